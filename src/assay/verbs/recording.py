"""Keeps a comparison: in a folder while it goes on, in the store once it has ended; nothing measured is ever lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.errors import AssayError, OutputError
from assay.show.facts import Comparison
from assay.store import open_store
from assay.store.folder import RunFolder


class Recording:
    """One comparison that is kept. As a context manager it holds the run's folder.

    `keep`: the user's own folder, which stays. `store`: the database's URL or path; None for the default. `stored`:
    False to leave nothing behind. `invocation`: how the command line was called, for `--again`. Afterwards `told` is what
    the user should hear about where the run is.
    """

    def __init__(
        self,
        keep: Path | None = None,
        store: str | None = None,
        stored: bool = True,
        invocation: Mapping[str, Any] | None = None,
    ) -> None:
        self._keep, self._url, self._stored, self._invocation = keep, store, stored, invocation
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

    def describe(self, **more: Any) -> None:
        """Adds to what is known of the run before it is measured."""
        if self._folder is not None:
            self._folder.describe(**more)

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
            folder.close(remove=not needed)
            if needed and error is not None:
                error.add_note(_resumable(folder))
        self._folder = None


def _resumable(folder: RunFolder) -> str:
    return f"what was measured is in {folder.path}: assay compare --resume {folder.id} goes on with it"


def discard(folder: Path) -> None:
    """Removes a run's folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
