"""assay: one model, every deep-learning framework: written as native code, proven equal, measured, yours to keep.

`load` brings a model; `prove`, `compare` and `train` lead it through the stages; `write` gives one framework's code.
Nothing heavy is imported until one of them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from assay.bring import load
    from assay.model import Model
    from assay.verbs.carry import carry
    from assay.verbs.compare import Options, compare
    from assay.verbs.diff import diff
    from assay.verbs.doctor import doctor
    from assay.verbs.history import history
    from assay.verbs.prove import prove
    from assay.verbs.train import train
    from assay.write import Package, write

__all__ = [
    "Model",
    "Options",
    "Package",
    "carry",
    "compare",
    "diff",
    "doctor",
    "history",
    "load",
    "prove",
    "train",
    "write",
]

_HOMES = {
    "Model": "assay.model",
    "Options": "assay.verbs.compare",
    "Package": "assay.write",
    "carry": "assay.verbs.carry",
    "compare": "assay.verbs.compare",
    "diff": "assay.verbs.diff",
    "doctor": "assay.verbs.doctor",
    "history": "assay.verbs.history",
    "load": "assay.bring",
    "prove": "assay.verbs.prove",
    "train": "assay.verbs.train",
    "write": "assay.write",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
