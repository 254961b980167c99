"""The results of a suite as lines and as data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import OutputError
from assay.frameworks import Target, find, installed_versions
from assay.measure.environment import environment
from assay.testing.gaps import Outcome

_ALSO = {"torch": "torch", "tensorflow": "tensorflow-cpu", "jax": "jax"}


def line(outcome: Outcome) -> str:
    """One case in one line; what is wrong, or expected to be, stands below it."""
    word = {"pass": "pass", "gap": "gap ", "failure": "FAIL"}[outcome.status]
    notes = outcome.reasons or tuple(str(gap) for gap in outcome.gaps)
    return "\n".join([f"{word}  {outcome.name}  {outcome.seconds:.1f} s", *(f"        {note}" for note in notes)])


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    found = Counter(outcome.status for outcome in outcomes)
    return {"pass": found["pass"], "gap": found["gap"], "failure": found["failure"]}


def save(
    path: Path,
    suite: str,
    target: Target,
    modes: Sequence[str],
    outcomes: Sequence[Outcome],
    summary: Mapping[str, Any] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Writes the results as JSON, with the date, the versions and the machine; `details` by case are added to the cases."""
    machine = environment(threads=1)
    distributions = [*find(target.framework).distributions, *_backend(target), "assay", "numpy", "onnx", "safetensors"]
    content: dict[str, Any] = {
        "suite": suite,
        "target": target.name,
        "modes": list(modes),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(distributions),
        "machine": {**machine.summary(), "flags": dict(machine.flags)},
        "counts": counts(outcomes),
        **({"summary": dict(summary)} if summary is not None else {}),
        "cases": [{**_case(outcome), **(details or {}).get(outcome.name, {})} for outcome in outcomes],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _backend(target: Target) -> list[str]:
    """The distribution that a backend comes from."""
    return [_ALSO[target.backend]] if target.backend in _ALSO else []


def _case(outcome: Outcome) -> dict[str, Any]:
    """A case as data; what is empty is left out."""
    found: dict[str, Any] = {"name": outcome.name, "status": outcome.status}
    if outcome.reasons:
        found["reasons"] = list(outcome.reasons)
    if outcome.gaps:
        found["gaps"] = [{"kind": gap.kind, "why": gap.why, "link": gap.link} for gap in outcome.gaps]
        found["faults"] = [str(fault) for fault in outcome.faults]
    return found
