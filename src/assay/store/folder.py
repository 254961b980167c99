"""The folder of a run that is going on: held by a lock that dies with its process, described in `run.json`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from assay import __version__
from assay.errors import NotFoundError, OutputError, StoreError
from assay.show.facts import Comparison
from assay.store.contents import DESCRIPTION, FACTS, FORMAT, RECORD, RUNNING, Contents, read_contents
from assay.store.place import runs_folder


class RunFolder:
    """One run's folder. As long as it is open no other process can open it; a killed one leaves no lock behind."""

    def __init__(self, path: Path, run: str, lock: int) -> None:
        self.path = path
        self.id = run
        self._lock: int | None = lock

    @classmethod
    def create(cls, path: Path | None = None) -> RunFolder:
        """A new run in this folder, or in one of its own beside the user's other runs. Raises `OutputError`."""
        run = uuid.uuid4().hex[:12]
        place = path if path is not None else runs_folder() / run
        try:
            place.mkdir(parents=True, exist_ok=path is not None)
            made = cls(place, run, _locked(place))
        except OSError as error:
            raise OutputError(f"cannot write {place}: {error.strerror or error}") from error
        try:
            made.describe(
                format=FORMAT,
                id=run,
                started=datetime.now().astimezone().isoformat(timespec="seconds"),
                assay=__version__,
                directory=os.getcwd(),
            )
        except OutputError:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that was cut short. Raises `StoreError` if it is going on."""
        try:
            lock = _locked(path)
        except BlockingIOError as error:
            raise StoreError(f"the run in {path} is going on: wait for it, or stop it first") from error
        except OSError as error:
            raise NotFoundError(f"cannot open {path}: {error.strerror or error}") from error
        description = _description(path)
        if "id" not in description:
            os.close(lock)
            raise NotFoundError(f"{path} is not the folder of a run: it has no {DESCRIPTION}")
        return cls(path, description["id"], lock)

    @property
    def description(self) -> dict[str, Any]:
        """What `run.json` says."""
        return _description(self.path)

    @property
    def has_record(self) -> bool:
        """True if anything was measured or proven: more than what begins every record."""
        with contextlib.suppress(OSError):
            return (self.path / RECORD).read_bytes().count(b"\n") > 2
        return False

    def describe(self, **more: Any) -> None:
        """Adds to `run.json`, whole or not at all."""
        self._write(DESCRIPTION, json.dumps({**_description(self.path), **more}, indent=1) + "\n")

    def finish(self, comparison: Comparison) -> None:
        """Keeps what the run came to."""
        self._write(FACTS, comparison.to_json() + "\n")

    def contents(self) -> Contents:
        return read_contents(self.path)

    def close(self, remove: bool = False) -> None:
        """Lets go of the folder; `remove`: it goes with all that is in it."""
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, name: str, text: str) -> None:
        path, beside = self.path / name, self.path / f".{name}.tmp"
        try:
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def is_running(path: Path) -> bool:
    """True if a living process holds the folder."""
    try:
        os.close(_locked(path))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def unfinished() -> Iterator[tuple[Path, str]]:
    """The folders of runs that go on or were cut short, with the id of each."""
    home = runs_folder()
    for path in sorted(home.iterdir()) if home.is_dir() else []:
        run = _description(path).get("id") if path.is_dir() else None
        if run is not None:
            yield path, str(run)


def folder_of(run: str) -> Path | None:
    """The folder of a run that was cut short or goes on, by its id."""
    return next((path for path, known in unfinished() if known == run), None)


def status_of(path: Path, contents: Contents) -> str:
    """The run's status, also of one that goes on."""
    return RUNNING if is_running(path) else contents.status


def _description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / DESCRIPTION).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _locked(path: Path) -> int:
    """A descriptor of the folder that holds its lock: the kernel lets go of it when the process ends, however it does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
