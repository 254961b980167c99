"""How closely float64 results must agree, and where a framework's float64 is known to be less than that."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

# Relative to the largest element of a tensor. Two programs that mean the same agree to a few units of the last place,
# grown by the length of their sums; two that differ in meaning differ in the first digits.
OUTPUTS = 1e-10
GRADIENTS = 1e-9
STEPS = 1e-8

# A tensor much smaller than its neighbours is judged by their size: this fraction of the largest.
SMALLEST_SCALE = 1e-6

# A gradient below this fraction of the largest is zero in exact arithmetic, and what is left of it rounding: that of a bias
# before batch normalisation, or of the keys of attention. Every framework must find such noise there and no more.
SILENT = 1e-12
# Optimizers that divide by the size of the gradient (Adam, RMSprop) make steps of noise; so far from each other, as a fraction
# of the largest step of all, two frameworks may take such a parameter.
SILENT_STEPS = 1e-5


@dataclass(frozen=True)
class Allowance:
    """An operator that a framework computes in less than float64, with the relative error that follows."""

    operator: str
    backend: str | None
    error: float
    why: str
    link: str | None = None

    def __str__(self) -> str:
        return f"{self.operator}: {self.error:g} ({self.why})"


@lru_cache
def allowances(framework: str) -> tuple[Allowance, ...]:
    """The precision entries of a framework's gaps.toml."""
    try:
        text = resources.files(f"assay.frameworks.{framework}").joinpath("gaps.toml").read_text(encoding="utf-8")
    except (FileNotFoundError, ModuleNotFoundError):
        return ()
    entries = tomllib.loads(text).get("precision", [])
    return tuple(
        Allowance(entry["operator"], entry.get("backend"), float(entry["error"]), entry["why"], entry.get("link"))
        for entry in entries
    )


def applying(framework: str, backend: str | None, kinds: Iterable[str]) -> tuple[Allowance, ...]:
    """The allowances that a model with these kinds of call needs."""
    present = set(kinds)
    return tuple(item for item in allowances(framework) if item.operator in present and item.backend in (None, backend))


__all__ = [
    "GRADIENTS",
    "OUTPUTS",
    "SILENT",
    "SILENT_STEPS",
    "SMALLEST_SCALE",
    "STEPS",
    "Allowance",
    "allowances",
    "applying",
]
