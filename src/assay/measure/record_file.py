"""The file of a record: JSON lines that are never lost.

Each line is written whole, with one system call, the moment its fact is known, so that a manager that is killed loses at
most the sample in flight. `read_record` turns the lines back into the `Record` that `measure` returned; a last line that
was cut off is left out.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from assay.errors import DataError, OutputError
from assay.measure.environment import Environment
from assay.measure.record import (
    FORMAT,
    Cold,
    Costs,
    Decision,
    End,
    Failure,
    FirstCalls,
    Header,
    Latency,
    Loss,
    LossCurve,
    Outputs,
    Profile,
    Proved,
    Record,
    Remark,
    Resumed,
    Sample,
    Saved,
    Start,
    Warmup,
)

# Line kind → class, and the field of Record that collects it (None: a single one).
_KINDS: dict[str, tuple[type, str | None]] = {
    "header": (Header, None),
    "environment": (Environment, None),
    "proof": (Proved, "proofs"),
    "curve": (LossCurve, "curves"),
    "cold": (Cold, "colds"),
    "first": (FirstCalls, "first_calls"),
    "warmup": (Warmup, "warmups"),
    "sample": (Sample, "samples"),
    "outputs": (Outputs, "outputs"),
    "latency": (Latency, "latencies"),
    "start": (Start, "starts"),
    "costs": (Costs, "costs"),
    "saved": (Saved, "saved"),
    "profile": (Profile, "profiles"),
    "decision": (Decision, "decisions"),
    "loss": (Loss, "losses"),
    "failure": (Failure, "failures"),
    "resumed": (Resumed, "resumptions"),
    "remark": (Remark, "remarks"),
    "end": (End, None),
}
_KIND_OF = {kind_class: kind for kind, (kind_class, _) in _KINDS.items()}

Fact = TypeVar("Fact")


class RecordFile:
    """Appends facts to a new record file or, to `resume` a run, to its old one, less a last line that was cut off."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR if resume else os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.open(path, flags | os.O_APPEND, 0o644)
            if resume:
                os.ftruncate(self._file, path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            if path.exists() and not resume:
                raise OutputError(
                    f"{path} exists already: a record is never written over; choose another folder"
                ) from error
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, fact: Fact) -> Fact:
        """Writes one fact, whole, at once; OutputError if the disk refuses."""
        line = json.dumps({"kind": _KIND_OF[type(fact)], **_plain(fact)}).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror or error}; what came before is kept"
            ) from error
        if written != len(line):
            os.ftruncate(self._file, size)
            raise OutputError(f"cannot write {self.path}: the disk is full; what came before is kept")
        return fact

    def record(self) -> Record:
        """The record as far as it has come: what is in the file, so that there is one truth."""
        return read_record(self.path)

    def close(self) -> None:
        os.close(self._file)


def read_record(path: str | Path) -> Record:
    """The record in a file that `measure` wrote, whether it came to its end or was cut off."""
    return record_of(read_lines(path), str(path))


def read_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """The facts of a record file as plain data, in order; a last line that was cut off is left out."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(lines[:-1], 1):  # what follows the last newline was cut off, or is nothing
        try:
            content = json.loads(line)
            if content["kind"] not in _KINDS:
                raise KeyError(content["kind"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a record of assay ({error})") from error
        yield content


def record_of(lines: Iterable[Mapping[str, Any]], where: str) -> Record:
    """The record that these facts make; `where` they come from is said in errors."""
    facts = []
    for number, line in enumerate(lines, 1):
        try:
            facts.append(_fact(dict(line)))
        except (KeyError, TypeError) as error:
            raise DataError(f"{where}, line {number}: not a record of assay ({error})") from error
    return _assemble(facts, where)


def _fact(line: dict[str, Any]) -> Any:
    kind_class, _ = _KINDS[line.pop("kind")]
    return kind_class(**{name: _frozen(value) for name, value in line.items()})


def _assemble(facts: list[Any], path: str) -> Record:
    single = {type(fact): fact for fact in facts}
    if Header not in single or Environment not in single:
        raise DataError(f"{path} does not begin like a record of assay: it has no header and environment")
    if single[Header].format != FORMAT:
        raise DataError(f"{path} has record format {single[Header].format}; this assay reads {FORMAT}")
    many: dict[str, Any] = {
        collected: tuple(fact for fact in facts if type(fact) is kind_class)
        for kind_class, collected in _KINDS.values()
        if collected is not None
    }
    # What stands before a resumption is the first that was said: the end of a part is not that of the run.
    end = facts[-1] if isinstance(facts[-1], End) else None
    return Record(single[Header], single[Environment], **many, end=end)


def _plain(fact: Any) -> dict[str, Any]:
    return {item.name: getattr(fact, item.name) for item in dataclasses.fields(fact)}


def _frozen(value: Any) -> Any:
    """Lists as they come from JSON, as the tuples they were."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value
