"""Runs repeated as they were (`--again`) and gone on with where they stopped (`--resume`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assay.errors import DataError, NotFoundError
from assay.measure.environment import environment
from assay.show.difference import Other
from assay.store import open_store
from assay.store.contents import FINISHED, Contents, read_contents
from assay.store.folder import folder_of
from assay.verbs.diff import changed_environment
from assay.verbs.history import collect, find
from assay.verbs.recording import Recording

_PATH = "path"  # the key under which a path is kept, so that it comes back as one


def new(keep: Path | None, store: str | None, stored: bool, invocation: Mapping[str, Any] | None) -> Recording:
    """A run that repeats no other."""
    return Recording(keep, store, stored, invocation)


def repeating(
    run: str, keep: Path | None, store: str | None, stored: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], Recording]:
    """How a run was called, and a recording of it once more. `say` hears what has changed around it since."""
    contents = find(run, store)
    given = _given(contents)
    found = list(changed_environment(_environment(contents), vars(environment(0))))
    found = [other for other in found if other.what != "device"]
    say(f"run {contents.id} of {contents.started} again; {_said(found)}")
    return given, Recording(keep, store, stored, contents.description["invocation"], again=contents)


def _said(found: list[Other]) -> str:
    if not found:
        return "machine, versions and flags are as they were"
    changes = "; ".join(f"{item.what}: {item.a or 'not there'} then, {item.b or 'not there'} now" for item in found)
    return f"not as it was: {changes}"


def going_on(run: str, store: str | None, stored: bool) -> tuple[dict[str, Any], Recording]:
    """How a run was called that was cut short, and a recording that goes on with it."""
    path = _folder(run, store)
    contents = read_contents(path)
    if contents.status == FINISHED:
        raise DataError(f"run {contents.id} came to its end: assay compare --again {contents.id} repeats it")
    return _given(contents), Recording(None, store, stored, resume=path)


def _folder(run: str, store: str | None) -> Path:
    """The folder of a run, by its path or its name."""
    if Path(run).is_dir():
        return Path(run)
    found = folder_of(run)
    if found is not None:
        return found
    with open_store(store) as opened:
        collect(opened)
        name = opened.find(run)
    found = folder_of(name)
    if found is None:
        raise NotFoundError(
            f"the files of run {name} are not here any more, so it cannot go on: assay compare --again {name} repeats it"
        )
    return found


def invocation_of(given: Mapping[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of a command as plain data."""
    return {name: _frozen(value) for name, value in given.items() if name not in without}


def _given(contents: Contents) -> dict[str, Any]:
    """The parameters that a run was called with; a model's file is looked for where it was called from, too."""
    invocation = contents.description.get("invocation")
    if not invocation:
        raise DataError(
            f"run {contents.id} was not started by `assay compare` on the command line, or came from a file without its "
            "options: call it again as it was called"
        )
    given = {name: _thawed(value) for name, value in invocation.items()}
    given["model"] = _located(str(given["model"]), contents.description.get("directory"))
    return given


def _located(reference: str, directory: str | None) -> str:
    file, colon, name = reference.rpartition(":") if ":" in reference else (reference, "", "")
    elsewhere = Path(directory or ".") / file
    if not Path(file).exists() and elsewhere.exists():
        return f"{elsewhere}{colon}{name}"
    return reference


def _frozen(value: Any) -> Any:
    if isinstance(value, Path):
        return {_PATH: str(value)}
    if isinstance(value, list | tuple):
        return [_frozen(item) for item in value]
    json.dumps(value)  # a parameter of another kind has to be taught here
    return value


def _thawed(value: Any) -> Any:
    if isinstance(value, dict):
        return Path(value[_PATH])
    if isinstance(value, list):
        return tuple(_thawed(item) for item in value)
    return value


def _environment(contents: Contents) -> Mapping[str, Any]:
    found = next((line for line in contents.lines if line["kind"] == "environment"), None)
    return found or (contents.facts or {}).get("environment", {})
