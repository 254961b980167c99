"""Keeps a comparison: in a folder while it goes on, in the store once it has ended; nothing measured is ever lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.errors import AssayError, DataError, OutputError
from assay.measure import read_record
from assay.measure.past import Past
from assay.show.facts import Comparison
from assay.store import open_store
from assay.store.contents import RECORD, Contents
from assay.store.folder import RunFolder
from assay.store.place import runs_folder


class Recording:
    """One comparison that is kept. As a context manager it holds the run's folder.

    `keep`: the user's own folder, which stays. `store`: the database's URL or path; None for the default. `stored`:
    False to leave nothing behind. `invocation`: how the command line was called, for `--again`. `again`: the run that this
    one repeats. `resume`: the folder of the run that this one goes on with. Afterwards `told` is what the user should
    hear about where the run is.
    """

    def __init__(
        self,
        keep: Path | None = None,
        store: str | None = None,
        stored: bool = True,
        invocation: Mapping[str, Any] | None = None,
        again: Contents | None = None,
        resume: Path | None = None,
    ) -> None:
        self._keep, self._stored, self._invocation = keep, stored, invocation
        self._again, self._resume = again, resume
        if resume is not None and resume.absolute().parent != runs_folder():
            self._keep = resume  # the user's own folder
        self._folder: RunFolder | None = None
        self._temporary: Path | None = None
        self._comparison: Comparison | None = None
        self._settled = False  # everything is in the store, or nobody wants it
        self.told: list[str] = []
        if stored:
            self._store = open_store(store)  # a URL that cannot be one is refused before anything is measured

    @property
    def path(self) -> Path:
        """The run's folder."""
        if self._folder is None:
            raise OutputError("this recording is not open: use it as a context manager")
        return self._folder.path

    @property
    def id(self) -> str:
        """The run's name in the store."""
        if self._folder is None:
            raise OutputError("this recording is not open: use it as a context manager")
        return self._folder.id

    def __enter__(self) -> Self:
        if self._resume is not None:
            self._folder = RunFolder.open(self._resume)
            return self
        if self._keep is not None or self._stored:
            try:
                self._folder = RunFolder.create(self._keep)
            except OutputError as error:
                if self._keep is not None:
                    raise
                self.told.append(f"the run is not kept while it goes on, only once it has ended: {error}")
        if self._folder is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="assay-"))
            self._folder = RunFolder.create(self._temporary)
        self._folder.describe(invocation=dict(self._invocation) if self._invocation is not None else None)
        return self

    def begin(self, command: str, name: str, digest: str) -> None:
        """Says which model is compared; for a run that is repeated or gone on with it has to be the same."""
        assert self._folder is not None
        old = self._again.description if self._again is not None else self._folder.description
        known = old.get("model", {}).get("digest")
        if known is not None and known != digest:
            run = self._again.id if self._again is not None else self.id
            raise DataError(
                f"the model is not the one of run {run} any more (digest {known[:12]} then, {digest[:12]} now): its file, "
                "its weights or the way it is brought have changed; compare it anew"
            )
        if self._resume is None:
            reference = (self._invocation or {}).get("model", name)
            self._folder.describe(command=command, model={"name": name, "reference": reference, "digest": digest})

    def renew(self, folder: str) -> None:
        """Makes room for files that are written anew when a run goes on."""
        if self._resume is not None:
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def packages(self, digests: Mapping[str, str]) -> None:
        """Keeps what the written packages are, by target."""
        assert self._folder is not None
        if self._resume is None or "packages" not in self._folder.description:
            self._folder.describe(packages=dict(digests))

    def past(self, digests: Mapping[str, str], contestants: Mapping[str, str]) -> Past | None:
        """What the run has recorded, if it goes on. `digests`: of the packages, by target; `contestants`: their targets."""
        if self._resume is None or not self._had_record:
            return None
        assert self._folder is not None
        then = self._folder.description.get("packages", {})
        reason = "its written code or its weights are not what they were when the run was begun"
        changed = {name: reason for name, target in contestants.items() if then.get(target) != digests.get(target)}
        return Past(read_record(self.path / RECORD), changed)

    @property
    def _had_record(self) -> bool:
        path = self.path / RECORD
        return path.exists() and path.read_bytes().count(b"\n") >= 2

    def finish(self, comparison: Comparison) -> None:
        """Keeps what the run came to, and puts all of it into the store. What goes wrong is told, not raised."""
        assert self._folder is not None
        self._comparison = comparison
        if not self._stored and self._keep is None:
            self._settled = True
            return
        try:
            self._folder.finish(comparison)
            if self._stored:
                with self._store:
                    self._store.add(self._folder.contents())
                self.told.append(self._kept(comparison))
            self._settled = True
        except AssayError as error:
            self.told.append(
                f"not in the store: {error}. Nothing measured is lost: it is in {self.path}; add it later with  "
                f"assay history --import {self.path}"
            )

    def _kept(self, comparison: Comparison) -> str:
        if comparison.interrupted:
            return f"kept as run {self.id}: assay compare --resume {self.id} goes on with it"
        if self._again is not None:
            return f"kept as run {self.id}: assay diff {self._again.id} {self.id} holds it against the first"
        return f"kept as run {self.id}: assay history show {self.id}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        folder = self._folder
        assert folder is not None
        interrupted = self._comparison is not None and self._comparison.interrupted is not None
        to_resume = self._stored and interrupted
        needed = to_resume if self._settled else folder.has_record
        if self._keep is not None:
            folder.close()
        else:
            folder.close(remove=(not needed and self._resume is None) or (self._settled and not needed))
        if self._resume is None and needed and error is not None:
            error.add_note(_resumable(folder))
        self._folder = None


def _resumable(folder: RunFolder) -> str:
    return f"what was measured is in {folder.path}: assay compare --resume {folder.id} goes on with it"


def discard(folder: Path) -> None:
    """Removes a run's folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
