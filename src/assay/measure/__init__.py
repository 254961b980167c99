"""Measuring written packages in isolated processes: plan → record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.measure.effort import EFFORTS, QUICK, RIGOROUS, STANDARD, Effort
    from assay.measure.manager import measure
    from assay.measure.plan import LATER, Condition, Curve, Entry, Plan, ProofResult, Proving, Task
    from assay.measure.record import Record
    from assay.measure.record_file import read_record

__all__ = [
    "EFFORTS",
    "LATER",
    "QUICK",
    "RIGOROUS",
    "STANDARD",
    "Condition",
    "Curve",
    "Effort",
    "Entry",
    "Plan",
    "ProofResult",
    "Proving",
    "Record",
    "Task",
    "measure",
    "read_record",
]

_HOMES = {
    "EFFORTS": "effort",
    "LATER": "plan",
    "QUICK": "effort",
    "RIGOROUS": "effort",
    "STANDARD": "effort",
    "Condition": "plan",
    "Curve": "plan",
    "Effort": "effort",
    "Entry": "plan",
    "Plan": "plan",
    "ProofResult": "plan",
    "Proving": "plan",
    "Record": "record",
    "Task": "plan",
    "measure": "manager",
    "read_record": "record_file",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used: the worker imports this package and must stay light."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
