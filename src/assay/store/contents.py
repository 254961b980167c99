"""One run as plain data: what goes into the store and comes out of it, and how it is read from the files of a run.

A run's folder holds `run.json` (what was asked for), `run/record.jsonl` (the raw record, line by line as it was
measured), `packages/` (the written code) and, once it has ended, `facts.json` (the comparison as it is shown).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import DataError, NotFoundError
from assay.measure.record import Record
from assay.measure.record_file import read_lines, record_of
from assay.show.codec import decode
from assay.show.facts import Comparison

DESCRIPTION, FACTS, RECORD, PACKAGES = "run.json", "facts.json", "run/record.jsonl", "packages"
FORMAT = 1  # of run.json

FINISHED, INTERRUPTED, KILLED, RUNNING = "finished", "interrupted", "killed", "running"


@dataclass(frozen=True)
class Contents:
    """Everything kept of one run. `lines` are those of the record, as they were written."""

    id: str
    description: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] | None = None  # with the written files; None: it did not come to its end

    @property
    def status(self) -> str:
        """`finished`; `interrupted` by Ctrl-C; or `killed`: it left no word of its end."""
        if self.lines:
            last = self.lines[-1]
            if last["kind"] != "end":
                return KILLED
            return INTERRUPTED if last["interrupted"] else (FINISHED if self.facts is not None else KILLED)
        if self.facts is None:
            return KILLED
        return INTERRUPTED if self.facts["interrupted"] else FINISHED

    @property
    def header(self) -> Mapping[str, Any]:
        """What was asked for, as the record has it; empty for what came from a comparison's JSON."""
        return next((line for line in self.lines if line["kind"] == "header"), {})

    @property
    def started(self) -> str:
        """When, in UTC, as ISO 8601."""
        said = self.description.get("started") or self.header.get("started") or (self.facts or {}).get("date")
        try:
            return datetime.fromisoformat(str(said)).astimezone(UTC).isoformat(timespec="seconds")
        except ValueError as error:
            raise DataError(f"run {self.id} has no date: {said!r} where one was expected") from error

    @property
    def record(self) -> Record | None:
        """The raw record, if it is there."""
        return record_of(self.lines, f"run {self.id}") if self.lines else None

    @property
    def comparison(self) -> Comparison | None:
        """The facts, if the run came to an end."""
        return decode_facts(self.facts, self.id) if self.facts is not None else None


def decode_facts(facts: Mapping[str, Any], run: str) -> Comparison:
    """Facts as stored; those of another format are refused in words that help."""
    try:
        return Comparison.from_dict(facts)
    except DataError as error:
        raise DataError(
            f"run {run} was kept by assay {facts.get('assay')}, and cannot be shown by this one: {error}; "
            "`assay history export` gives its JSON as it was"
        ) from error


def digest(text: str | bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def canonical(value: Any) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def read_contents(path: Path) -> Contents:
    """A run from its folder, from a raw record, or from the file of `assay compare --json`."""
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {path}")
    if path.suffix == ".jsonl":
        root = path.parent.parent
        return _of_folder(root) if (root / RECORD) == path or root / RECORD == path.resolve() else _of_record(path)
    return _of_facts(path)


def _of_folder(folder: Path) -> Contents:
    record = folder / RECORD
    if not record.exists() and not (folder / FACTS).exists():
        raise NotFoundError(
            f"{folder} holds no run: expected {RECORD} in it, as a folder of `assay compare --keep` has, or {FACTS}"
        )
    facts = _json(folder / FACTS) if (folder / FACTS).exists() else None
    lines = tuple(read_lines(record)) if record.exists() else ()
    description = _json(folder / DESCRIPTION) if (folder / DESCRIPTION).exists() else {}
    if description and description.get("format") != FORMAT:
        raise DataError(f"{folder / DESCRIPTION} has format {description.get('format')}; this assay reads {FORMAT}")
    if facts is None:
        description = {**description, "code": _sources(folder / PACKAGES)}
    return Contents(str(description.get("id") or _identity(lines, record)), description, lines, facts)


def _of_record(path: Path) -> Contents:
    lines = tuple(read_lines(path))
    return Contents(_identity(lines, path), {}, lines)


def _of_facts(path: Path) -> Contents:
    facts = _json(path)
    found = Contents(digest(canonical(facts))[:12], {}, (), facts)
    _ = found.comparison  # refuses what is none
    return found


def _identity(lines: tuple[Mapping[str, Any], ...], path: Path) -> str:
    """For a run that nobody named: from how its record begins, which stays when it grows."""
    if not lines:
        raise DataError(f"{path} is empty: nothing was measured")
    return digest(canonical(lines[:2]))[:12]


def _sources(packages: Path) -> list[dict[str, Any]]:
    """The written code of a run that was killed, laid out as the facts have it."""
    return [
        {
            "target": folder.name,
            "files": [
                {"name": file.name, "text": file.read_text(encoding="utf-8")} for file in sorted(folder.glob("*.py"))
            ],
        }
        for folder in (sorted(packages.iterdir()) if packages.is_dir() else [])
        if folder.is_dir()
    ]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}; expected what `assay compare` wrote") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is not what `assay compare` writes: expected an object, found {type(found).__name__}")
    return found


__all__ = ["Contents", "canonical", "decode", "digest", "read_contents"]
