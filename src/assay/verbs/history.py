"""`history`: what was compared before. Runs listed, found, shown, imported and deleted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import overload

from assay.errors import AssayError, DataError, NotFoundError, StoreError
from assay.measure import Record
from assay.show.facts import Comparison
from assay.show.runs import RunSummary, fragment
from assay.store import open_store
from assay.store.contents import FINISHED, RECORD, RUNNING, Contents, read_contents
from assay.store.folder import folder_of, is_running, unfinished
from assay.store.place import runs_folder
from assay.store.runs import ADDED, UNCHANGED, UPDATED, Filter, Store
from assay.verbs.recording import discard


class History(Sequence[RunSummary]):
    """The runs that were asked for, the newest first.

    history[0], history["3f2a1c"]          what the list says of a run
    history.comparison("3f2a1c")           all facts of it
    history.record("3f2a1c")               every raw sample
    """

    def __init__(self, runs: Sequence[RunSummary], store: str | None = None) -> None:
        self._runs = tuple(runs)
        self._store = store

    @overload
    def __getitem__(self, which: int | str) -> RunSummary: ...
    @overload
    def __getitem__(self, which: slice) -> History: ...
    def __getitem__(self, which: int | str | slice) -> RunSummary | History:
        if isinstance(which, slice):
            return History(self._runs[which], self._store)
        if isinstance(which, int):
            return self._runs[which]
        found = [run for run in self._runs if run.id.startswith(which)]
        if len(found) != 1:
            raise NotFoundError(f"{len(found) or 'no'} runs of this list begin with {which!r}")
        return found[0]

    def __len__(self) -> int:
        return len(self._runs)

    def comparison(self, run: str) -> Comparison:
        """All facts of a run, by its name or the beginning of it, or `last`. Raises `NotFoundError`, `DataError`."""
        return comparison_of(find(run, self._store))

    def record(self, run: str) -> Record:
        """The raw record of a run: every sample, and everything around it."""
        found = find(run, self._store).record
        if found is None:
            raise NotFoundError(f"run {run} has no raw record: it was imported from a comparison's JSON")
        return found

    def __repr__(self) -> str:
        lines = [f"{run.id}  {run.started}  {run.model}  {run.status}" for run in self._runs]
        return "\n".join(lines) or "no runs"

    def _repr_html_(self) -> str:
        return fragment(self._runs)


def history(
    model: str | None = None,
    framework: str | None = None,
    since: str | None = None,
    until: str | None = None,
    store: str | None = None,
) -> History:
    """The runs that are kept, the newest first; those that were killed and could not say so are put into the store now.

    `model`: its name, what the command line called it, or the beginning of its digest. `framework`: as `jax`,
    `keras/jax` or `jax:jit`. `since` and `until`: dates (2026-11-22, both included) or times, in local time unless they
    say otherwise. `store`: the database's URL or path. Raises `DataError` for what is no date and `StoreError` for a
    store that cannot be used.
    """
    wanted = Filter(model, framework, _moment(since, last=False), _moment(until, last=True))
    with open_store(store) as opened:
        collect(opened)
        found = opened.runs(wanted)
    return History(tuple(_as_it_is_now(found)), store)


def _as_it_is_now(found: Sequence[RunSummary]) -> Iterator[RunSummary]:
    folders = {run: path for path, run in unfinished()}
    for run in found:
        path = folders.get(run.id)
        if path is not None and is_running(path):
            yield dataclasses.replace(run, status=RUNNING)
        else:
            yield dataclasses.replace(run, resumable=path is not None and run.status != FINISHED)


def _moment(said: str | None, last: bool) -> str | None:
    """A date or time as ISO 8601 in UTC; a date alone means its beginning or, as the last one, its end."""
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said).astimezone()
    except ValueError as error:
        raise DataError(f"{said!r} is no date: expected one as 2026-11-22 or 2026-11-22T14:30") from error
    if last and len(said) <= len("2026-11-22"):
        found = (found.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return found.astimezone(UTC).isoformat(timespec="seconds")


def collect(store: Store) -> None:
    """Puts runs into the store that ended without being able to: killed ones, and those that found it locked."""
    for path, run in list(unfinished()):
        if is_running(path) or not ((path / RECORD).exists() or (path / "facts.json").exists()):
            continue
        try:
            contents = read_contents(path)
            store.add(contents)
        except StoreError:
            raise
        except AssayError:
            continue  # damaged, or of another assay; it stays where it is
        if contents.status == FINISHED and run == contents.id:
            discard(path)


def find(run: str, store: str | None = None) -> Contents:
    """A run by its name or the beginning of it, by `last`, or by a file or folder that holds one."""
    path = Path(run)
    if path.exists() and (path.is_dir() or path.suffix in (".json", ".jsonl")):
        return read_contents(path)
    if "/" in run or path.suffix in (".json", ".jsonl"):
        raise NotFoundError(f"there is no file or folder {run}")
    with open_store(store) as opened:
        collect(opened)
        return opened.get(opened.find(run))


def comparison_of(contents: Contents) -> Comparison:
    """The facts of a run; one that was killed has none yet."""
    found = contents.comparison
    if found is None:
        raise DataError(
            f"run {contents.id} was killed before it could say what it found ({len(contents.lines)} lines of its record "
            f"are kept): assay compare --resume {contents.id} goes on with it"
        )
    return found


def import_runs(path: Path, store: str | None = None) -> list[tuple[str, str]]:
    """Puts the run in a file or folder, or all runs in a folder of them, into the store: their names, and what became
    of each (`added`, `updated`, `unchanged`)."""
    places = _runs_in(path)
    found = []
    with open_store(store) as opened:
        for place in places:
            if is_running(place) if place.is_dir() else False:
                raise StoreError(f"the run in {place} is going on: wait for it, or stop it first")
            contents = read_contents(place)
            found.append(opened.add(contents))
            if contents.status == FINISHED and place.absolute().parent == runs_folder():
                discard(place)
    return found


def _runs_in(path: Path) -> list[Path]:
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {path}")
    if not path.is_dir() or any((path / name).exists() for name in (RECORD, "facts.json", "run.json")):
        return [path]
    inside = [
        item
        for item in sorted(path.iterdir())
        if item.suffix == ".json" or (item.is_dir() and any((item / name).exists() for name in (RECORD, "facts.json")))
    ]
    if not inside:
        raise NotFoundError(
            f"{path} holds no run: expected the folder of a run (as `assay compare --keep` makes), or files that "
            "`assay compare --json` wrote"
        )
    return inside


def delete_run(run: str, store: str | None = None) -> str:
    """Takes a run out of the store, and its folder if it was cut short. Returns its name."""
    with open_store(store) as opened:
        collect(opened)
        name = opened.find(run)
        path = folder_of(name)
        if path is not None and is_running(path):
            raise StoreError(f"run {name} is going on: wait for it, or stop it first")
        opened.delete(name)
    if path is not None:
        discard(path)
    return name


__all__ = ["ADDED", "UNCHANGED", "UPDATED", "History", "comparison_of", "delete_run", "find", "history", "import_runs"]
