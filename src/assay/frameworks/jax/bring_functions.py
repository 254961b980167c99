"""Functions of `jax.nn` that a jaxpr shows opened, found again by the operations that they consist of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import nn

from assay.frameworks.jax.bring_flat import Flat, Operation, Pattern, Ref, flatten, match

_MARK = 0.0123456789  # a number that no function has by itself


@dataclass(frozen=True)
class Function:
    """A function, and the ONNX operator that stands for it."""

    op_type: str
    function: Callable[..., Any]
    attributes: tuple[tuple[str, Any], ...] = ()
    number: str | None = None  # the attribute that the function's number becomes
    over_axis: bool = False


_FUNCTIONS = (
    Function("Relu", nn.relu),
    Function("Gelu", partial(nn.gelu, approximate=True), (("approximate", "tanh"),)),
    Function("Gelu", partial(nn.gelu, approximate=False), (("approximate", "none"),)),
    Function("Swish", nn.silu),
    Function("Softplus", nn.softplus),
    Function("LeakyRelu", partial(nn.leaky_relu, negative_slope=_MARK), number="alpha"),
    Function("Elu", partial(nn.elu, alpha=_MARK), number="alpha"),
    Function("Selu", nn.selu),
    Function("Celu", partial(nn.celu, alpha=_MARK), number="alpha"),
    Function("HardSwish", nn.hard_silu),
    Function("HardSigmoid", nn.hard_sigmoid, (("alpha", 1 / 6), ("beta", 0.5))),
    Function("Softsign", nn.soft_sign),
    Function("Mish", nn.mish),
    Function("Clip6", nn.relu6),
    Function("Clip1", nn.hard_tanh),
    Function("LogSigmoid", nn.log_sigmoid),
    Function("Softmax", nn.softmax, over_axis=True),
    Function("LogSoftmax", nn.log_softmax, over_axis=True),
    Function("LogSumExp", nn.logsumexp, over_axis=True),
)


@dataclass
class Finder:
    """Finds functions in a list of operations."""

    flat: Flat
    patterns: dict[Any, list[tuple[Function, Pattern]]] = field(default_factory=dict)
    begins: dict[str, list[tuple[Function, list[str]]]] = field(
        default_factory=dict
    )  # with the names of its operations

    def __post_init__(self) -> None:
        self.uses = self.flat.uses()
        for item, names in _named():
            self.begins.setdefault(names[0], []).append((item, names))

    def found(self, place: int) -> tuple[Function, Ref, float | None, int, int] | None:
        """The function that begins at an operation: it, its argument, its number, how many operations it takes, its axis."""
        operation = self.flat.operations[place]
        best = None
        for item, names in self.begins.get(operation.name, ()):
            if [other.name for other in self.flat.operations[place : place + len(names)]] != names:
                continue
            for aval, axis in self._arguments(operation, item):
                pattern = self._pattern(item, aval, axis)
                if pattern is None:
                    continue
                bound = match(pattern, self.flat.operations, place, self.uses)
                length = len(pattern.flat.operations)
                if bound is not None and (best is None or length > best[3]):
                    best = (item, *bound, length, axis)
        return best

    def _arguments(self, operation: Operation, item: Function) -> Sequence[tuple[Any, int]]:
        arrays = [self.flat.avals[ref] for ref in operation.inputs if isinstance(ref, int)]
        floating = [aval for aval in arrays[:2] if hasattr(aval, "shape") and jnp.issubdtype(aval.dtype, jnp.floating)]
        if not item.over_axis:
            return [(aval, 0) for aval in floating]
        axes = operation.params.get("axes", ())
        return [(aval, int(axes[0])) for aval in floating] if len(axes) == 1 else []

    def _pattern(self, item: Function, aval: Any, axis: int) -> Pattern | None:
        key = (id(item), str(aval), axis)
        if key not in self.patterns:
            try:
                made = _pattern(item, jax.ShapeDtypeStruct(aval.shape, aval.dtype), axis)
                self.patterns[key] = [(item, made)]
            except Exception:  # shapes that the function refuses
                self.patterns[key] = []
        return next((pattern for _, pattern in self.patterns[key]), None)


@cache
def _named() -> tuple[tuple[Function, list[str]], ...]:
    """Each function with the names of its operations, which are the same for all shapes."""
    small = jax.ShapeDtypeStruct((2, 2), jnp.float64)
    with jax.enable_x64(True):
        return tuple((item, [one.name for one in _pattern(item, small, 1).flat.operations]) for item in _FUNCTIONS)


def _pattern(item: Function, aval: Any, axis: int) -> Pattern:
    function = partial(item.function, axis=axis) if item.over_axis else item.function
    return Pattern(flatten(jax.make_jaxpr(function)(aval)), _MARK if item.number else None)
