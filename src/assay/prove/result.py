"""`Proof`: what proving hands over for each contestant."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT32 = "float32 outputs"  # the one check that is not made in float64


@dataclass(frozen=True)
class Check:
    """One kind of thing compared in float64: outputs, loss, gradients, statistics, steps or dropout."""

    check: str
    status: str  # "equal", "different" or "not-run"
    tensors: int  # how many arrays were compared
    tensor: str | None = None  # the one that deviates most
    error: float | None = None  # its relative deviation
    tolerance: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Worst:
    """The check that came closest to its tolerance, or went beyond it by most."""

    check: str
    tensor: str
    error: float


@dataclass(frozen=True)
class Divergence:
    """The first node whose value differs, and the line of written code that computes it."""

    node: str
    operator: str
    error: float
    file: str | None = None
    line: int | None = None
    source: str | None = None
    reference: str | None = None  # the same node's line as written in a framework that is proven equal
    module: str | None = None  # the module of the source around it: its path and class
    expected: float | None = None  # the element that is furthest off, as the float64 oracle has it
    found: float | None = None  # and as the contestant has it
    index: tuple[int, ...] = ()  # which element that is
    origin: str | None = None  # the line of the user's own code, as `net.py:14: x = torch.tanh(x)`


@dataclass(frozen=True)
class Proof:
    """Whether a contestant computes the same function as the graph and as the others, in its own mode."""

    contestant: str
    status: str  # "equal", "different" or "not-run"
    reason: str | None = None
    checks: tuple[Check, ...] = ()
    divergence: Divergence | None = None
    allowances: tuple[str, ...] = ()
    reduced: str | None = None  # what was smaller than usual, because the model is large

    @property
    def worst(self) -> Worst | None:
        """The deviation that is largest beside its tolerance."""
        known = [
            (item.error / item.tolerance, Worst(item.check, item.tensor, item.error))
            for item in self.checks
            if item.error is not None and item.tensor is not None and item.tolerance
            # What float32 costs is no deviation in meaning, unless it is too much.
            if item.check != FLOAT32 or item.status == "different"
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None
