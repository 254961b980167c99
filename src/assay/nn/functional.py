"""Functions on tensors: activations, shape, reduction and pooling. Each builds one ONNX operator unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from assay.errors import ShapeError
from assay.nn.tensor import Dim, Shape, Tensor, broadcast, tracer

Size = int | Sequence[int]


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return tracer().node("Relu", [x], x.shape)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x · Φ(x), with Φ the normal distribution function; `approximate` uses the tanh formula (Hendrycks & Gimpel, 2016)."""
    return tracer().node("Gelu", [x], x.shape, approximate="tanh" if approximate else "none")


def silu(x: Tensor) -> Tensor:
    """x · sigmoid(x), also called swish."""
    return tracer().node("Swish", [x], x.shape)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(−x))."""
    return tracer().node("Sigmoid", [x], x.shape)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return tracer().node("Tanh", [x], x.shape)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return tracer().node("Softplus", [x], x.shape)


def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """x where x ≥ 0, slope · x elsewhere."""
    return tracer().node("LeakyRelu", [x], x.shape, alpha=slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha · (exp(x) − 1) elsewhere."""
    return tracer().node("Elu", [x], x.shape, alpha=alpha)


def selu(x: Tensor) -> Tensor:
    """Scaled ELU with the constants of Klambauer et al. (2017)."""
    return tracer().node("Selu", [x], x.shape)


def hard_sigmoid(x: Tensor) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1)."""
    return tracer().node("HardSigmoid", [x], x.shape, alpha=1 / 6, beta=0.5)


def hard_swish(x: Tensor) -> Tensor:
    """x · hard_sigmoid(x)."""
    return tracer().node("HardSwish", [x], x.shape)


def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus(x))."""
    return tracer().node("Mish", [x], x.shape)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along one axis."""
    return tracer().node("Softmax", [x], x.shape, axis=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x − log Σ exp(x) along one axis."""
    return tracer().node("LogSoftmax", [x], x.shape, axis=axis)


def exp(x: Tensor) -> Tensor:
    """eˣ."""
    return tracer().node("Exp", [x], x.shape)


def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return tracer().node("Log", [x], x.shape)


def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return tracer().node("Sqrt", [x], x.shape)


def absolute(x: Tensor) -> Tensor:
    """|x|."""
    return tracer().node("Abs", [x], x.shape)


def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of two tensors, element by element."""
    return tracer().node("Max", [x, y], broadcast(x.shape, y.shape))


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of two tensors, element by element."""
    return tracer().node("Min", [x, y], broadcast(x.shape, y.shape))


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A new shape as ONNX reads it: 0 keeps the size of that axis, one −1 is worked out. Row-major order."""
    result: list[Dim] = [x.shape[index] if size == 0 else size for index, size in enumerate(shape)]
    kept = {index for index, size in enumerate(shape) if size == 0}
    rest = [size for index, size in enumerate(x.shape) if index not in kept]
    if -1 in shape:
        known = prod(size for index, size in enumerate(shape) if size > 0 and index not in kept)
        result[list(shape).index(-1)] = _product(rest) // known
    elif _product(rest) != prod(size for size in shape if size > 0):
        raise ShapeError(f"{tracer().where}: cannot reshape {x.shape} to {tuple(shape)}")
    return tracer().node("Reshape", [x, _integers(shape)], tuple(result))


def _product(sizes: Sequence[Dim]) -> int:
    if symbolic := [size for size in sizes if isinstance(size, str)]:
        raise ShapeError(
            f"{tracer().where}: the axis {symbolic[0]!r} has no fixed size; keep it with 0 in the new shape"
        )
    return prod(int(size) for size in sizes)


def flatten(x: Tensor) -> Tensor:
    """(batch, …) → (batch, the product of the rest)."""
    return tracer().node("Flatten", [x], (x.shape[0], _product(x.shape[1:])), axis=1)


def transpose(x: Tensor, order: Sequence[int]) -> Tensor:
    """The axes in a new order."""
    if sorted(order) != list(range(x.rank)):
        raise ShapeError(f"{tracer().where}: {tuple(order)} does not order the axes of shape {x.shape}")
    return tracer().node("Transpose", [x], tuple(x.shape[axis] for axis in order), perm=list(order))


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """A new axis of size 1 at this place of the result."""
    place = axis % (x.rank + 1)
    return tracer().node("Unsqueeze", [x, _integers([place])], (*x.shape[:place], 1, *x.shape[place:]))


def squeeze(x: Tensor, axis: int) -> Tensor:
    """Removes an axis of size 1."""
    place = axis % x.rank
    if x.shape[place] != 1:
        raise ShapeError(f"{tracer().where}: axis {axis} of shape {x.shape} has not size 1")
    return tracer().node("Squeeze", [x, _integers([place])], (*x.shape[:place], *x.shape[place + 1 :]))


def concat(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Joined along one axis; all other axes agree."""
    first = tensors[0]
    place = axis % first.rank
    for other in tensors[1:]:
        if other.rank != first.rank or any(
            a != b for index, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if index != place
        ):
            raise ShapeError(
                f"{tracer().where}: cannot concatenate {[item.shape for item in tensors]} along axis {axis}"
            )
    size = _product([item.shape[place] for item in tensors[:1]]) + sum(int(item.shape[place]) for item in tensors[1:])
    return tracer().node("Concat", list(tensors), (*first.shape[:place], size, *first.shape[place + 1 :]), axis=place)


def split(x: Tensor, parts: int, axis: int = -1) -> tuple[Tensor, ...]:
    """Equal parts along one axis."""
    place = axis % x.rank
    size = x.shape[place]
    if isinstance(size, str) or size % parts:
        raise ShapeError(f"{tracer().where}: axis {axis} of shape {x.shape} does not split into {parts} equal parts")
    shape = (*x.shape[:place], size // parts, *x.shape[place + 1 :])
    return tracer().node_with_outputs("Split", [x], [shape] * parts, axis=place, num_outputs=parts)


def narrow(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """The part from `start` up to but without `stop` along one axis."""
    place = axis % x.rank
    shape = (*x.shape[:place], stop - start, *x.shape[place + 1 :])
    return tracer().node("Slice", [x, _integers([start]), _integers([stop]), _integers([place])], shape)


def pad(x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Adds `value` before and after each axis."""
    amounts = [before for before, _ in pads] + [after for _, after in pads]
    shape = tuple(size if pad == (0, 0) else int(size) + sum(pad) for size, pad in zip(x.shape, pads, strict=True))
    fill = tracer().constant(np.array(value, dtype=x.dtype))
    return tracer().node("Pad", [x, _integers(amounts), fill], shape)


def mean(x: Tensor, axes: Size, keepdims: bool = False) -> Tensor:
    """The mean over some axes."""
    return _reduce("ReduceMean", x, axes, keepdims)


def total(x: Tensor, axes: Size, keepdims: bool = False) -> Tensor:
    """The sum over some axes."""
    return _reduce("ReduceSum", x, axes, keepdims)


def largest(x: Tensor, axes: Size, keepdims: bool = False) -> Tensor:
    """The maximum over some axes."""
    return _reduce("ReduceMax", x, axes, keepdims)


def _reduce(op_type: str, x: Tensor, axes: Size, keepdims: bool) -> Tensor:
    places = sorted(axis % x.rank for axis in ([axes] if isinstance(axes, int) else axes))
    shape: Shape = tuple(
        1 if index in places else size for index, size in enumerate(x.shape) if keepdims or index not in places
    )
    return tracer().node(op_type, [x, _integers(places)], shape, keepdims=int(keepdims))


def _integers(values: Sequence[int]) -> Tensor:
    return tracer().constant(np.array(values, dtype=np.int64))
