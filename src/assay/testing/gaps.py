"""What a framework is known not to do: the `[[gap]]` entries of its gaps.toml, each a strict expected failure.

[[gap]]
cases = "conv2d-groups*"  # shell pattern of case names
kind = "upstream"         # todo: ours · upstream: theirs, needs a link · never: has no meaning there
why = "…"
link = "https://…"
backend = "tensorflow"    # optional: only on this backend
mode = "eager"            # optional: only in this mode
stage = "gradients"       # optional: only this check fails
exception = "TypeError"   # optional: only so; what the fault's text begins with
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from assay.errors import AssayError

KINDS = ("todo", "upstream", "never")
_KEYS = {"cases", "kind", "why", "link", "backend", "mode", "stage", "exception"}


class GapError(AssayError):
    """A gaps.toml that says too little or too much."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with one case. `mode` is None for what happens before any mode is chosen."""

    stage: str  # "write", "weights", "outputs", "gradients", "float32"
    mode: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.mode}: {self.stage}: {self.text}" if self.mode else f"{self.stage}: {self.text}"


@dataclass(frozen=True)
class Gap:
    """An entry of gaps.toml: cases that are expected to fail, and why."""

    cases: str
    kind: str
    why: str
    link: str | None = None
    backend: str | None = None
    mode: str | None = None
    stage: str | None = None
    exception: str | None = None

    def matches(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name, self.cases)

    def covers(self, fault: Fault) -> bool:
        """Whether this entry expects that fault of a case it matches."""
        if self.exception is not None and not fault.text.startswith(self.exception):
            return False
        return self.mode in (None, fault.mode) and self.stage in (None, fault.stage)

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}" + (f" ({self.link})" if self.link else "")


@dataclass(frozen=True)
class Outcome:
    """The verdict on one case."""

    name: str
    status: Literal["pass", "gap", "failure"]
    reasons: tuple[str, ...] = ()  # of a failure
    faults: tuple[Fault, ...] = ()
    gaps: tuple[Gap, ...] = ()  # entries that expected the faults
    seconds: float = 0.0


def load_gaps(framework: str, backend: str | None = None) -> tuple[Gap, ...]:
    """The entries of a framework's gaps.toml that concern this backend. No file: no gaps."""
    place = resources.files(f"assay.frameworks.{framework}").joinpath("gaps.toml")
    if not place.is_file():
        return ()
    return read_gaps(place.read_text(encoding="utf-8"), backend, f"gaps.toml of {framework}")


def read_gaps(text: str, backend: str | None = None, where: str = "gaps.toml") -> tuple[Gap, ...]:
    """The entries in a text. Raises `GapError` for one that is incomplete or says what nobody reads."""
    gaps = [_gap(entry, f"{where}, gap {number}") for number, entry in enumerate(tomllib.loads(text).get("gap", []), 1)]
    return tuple(gap for gap in gaps if gap.backend in (None, backend))


def _gap(entry: dict[str, Any], where: str) -> Gap:
    if extra := sorted(set(entry) - _KEYS):
        raise GapError(f"{where} has {', '.join(extra)}, which nothing reads: the keys are {', '.join(sorted(_KEYS))}")
    if missing := sorted({"cases", "kind", "why"} - set(entry)):
        raise GapError(f"{where} lacks {', '.join(missing)}: every gap names its cases, its kind and its reason")
    gap = Gap(**entry)
    if gap.kind not in KINDS:
        raise GapError(f"{where} is of kind {gap.kind!r}: expected {', '.join(KINDS)}")
    if gap.kind == "upstream" and not gap.link:
        raise GapError(f"{where} is upstream's and has no link: add the issue, or the page that states it")
    return gap


def judge(
    name: str, faults: Sequence[Fault], gaps: Iterable[Gap], modes: Sequence[str], seconds: float = 0.0
) -> Outcome:
    """A case passes, fails as its gaps expect, or fails; a gap that expects a fault which did not come is a failure too."""
    concerned = [gap for gap in gaps if gap.matches(name) and (gap.mode is None or gap.mode in modes)]
    unexpected = [str(fault) for fault in faults if not any(gap.covers(fault) for gap in concerned)]
    idle = [
        f"the gap {gap.cases!r} ({gap.why}) expects a failure, and this case passes: remove or narrow the entry"
        for gap in concerned
        if not any(gap.covers(fault) for fault in faults)
    ]
    reasons = (*unexpected, *idle)
    status: Literal["pass", "gap", "failure"] = "failure" if reasons else "gap" if faults else "pass"
    return Outcome(name, status, reasons, tuple(faults), tuple(concerned), seconds)


def unmatched(gaps: Iterable[Gap], names: Iterable[str]) -> list[Gap]:
    """The entries that match no case of the whole suite."""
    known = list(names)
    return [gap for gap in gaps if not any(gap.matches(name) for name in known)]
