"""Pooling layers, over the axes after (batch, channels)."""

from __future__ import annotations

from typing import Any

from assay.errors import ShapeError
from assay.nn import functional
from assay.nn.layers import Size, _sizes
from assay.nn.module import Module, require_rank
from assay.nn.tensor import Dim, Tensor, tracer


class _Pool(Module):
    rank: int
    op_type: str

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        name = type(self).__name__
        self.kernel_size = _sizes(kernel_size, self.rank, f"{name}: kernel_size")
        self.stride = _sizes(kernel_size if stride is None else stride, self.rank, f"{name}: stride")
        self.padding = _sizes(padding, self.rank, f"{name}: padding")

    def forward(self, x: Tensor) -> Tensor:
        require_rank(
            x, self.rank + 2, "(batch, channels, length)" if self.rank == 1 else "(batch, channels, height, width)"
        )
        spatial = []
        for size, kernel, stride, padding in zip(
            _fixed(x.shape[2:]), self.kernel_size, self.stride, self.padding, strict=True
        ):
            spatial.append((size + 2 * padding - kernel) // stride + 1)
            if spatial[-1] < 1:
                raise ShapeError(f"{tracer().where}: a window of {kernel} does not fit an axis of {size}")
        return tracer().node(
            self.op_type,
            [x],
            (*x.shape[:2], *spatial),
            kernel_shape=list(self.kernel_size),
            strides=list(self.stride),
            pads=list(self.padding) * 2,
            **self._more_attributes(),
        )

    def _more_attributes(self) -> dict[str, Any]:
        return {}


class MaxPool2d(_Pool):
    """The maximum of each window; padding counts as −∞. `stride` is the window's size unless given."""

    rank, op_type = 2, "MaxPool"


class MaxPool1d(_Pool):
    """The maximum of each window; padding counts as −∞. `stride` is the window's size unless given."""

    rank, op_type = 1, "MaxPool"


class AveragePool2d(_Pool):
    """The mean of each window's own elements: padding does not count. `stride` is the window's size unless given."""

    rank, op_type = 2, "AveragePool"

    def _more_attributes(self) -> dict[str, Any]:
        return {"count_include_pad": 0}


class AveragePool1d(AveragePool2d):
    """The mean of each window's own elements: padding does not count. `stride` is the window's size unless given."""

    rank = 1


class _GlobalPool(Module):
    def forward(self, x: Tensor) -> Tensor:
        reduce = functional.mean if "Average" in type(self).__name__ else functional.largest
        return reduce(x, tuple(range(2, x.rank)))


class GlobalAveragePool(_GlobalPool):
    """(batch, channels, …) → (batch, channels): the mean over all places."""


class GlobalMaxPool(_GlobalPool):
    """(batch, channels, …) → (batch, channels): the maximum over all places."""


class _AdaptivePool(Module):
    rank: int
    average: bool

    def __init__(self, output_size: Size) -> None:
        self.output_size = _sizes(output_size, self.rank, f"{type(self).__name__}: output_size")

    def forward(self, x: Tensor) -> Tensor:
        require_rank(
            x, self.rank + 2, "(batch, channels, length)" if self.rank == 1 else "(batch, channels, height, width)"
        )
        sizes = _fixed(x.shape[2:])
        if all(size % wanted == 0 for size, wanted in zip(sizes, self.output_size, strict=True)):
            window = [size // wanted for size, wanted in zip(sizes, self.output_size, strict=True)]
            shape = (*x.shape[:2], *self.output_size)
            op_type = "AveragePool" if self.average else "MaxPool"
            return tracer().node(op_type, [x], shape, kernel_shape=window, strides=window, pads=[0] * (2 * self.rank))
        # Windows of unequal size: the mean (the maximum) over a rectangle is taken one axis after the other.
        reduce = functional.mean if self.average else functional.largest
        for axis, (size, wanted) in enumerate(zip(sizes, self.output_size, strict=True), start=2):
            windows = [(index * size // wanted, -(-(index + 1) * size // wanted)) for index in range(wanted)]
            parts = [reduce(functional.narrow(x, axis, start, stop), axis, keepdims=True) for start, stop in windows]
            x = functional.concat(parts, axis)
        return x


class AdaptiveAveragePool2d(_AdaptivePool):
    """Output place i is the mean over input places ⌊i·size/out⌋ … ⌈(i+1)·size/out⌉ − 1, for each axis."""

    rank, average = 2, True


class AdaptiveMaxPool2d(_AdaptivePool):
    """Output place i is the maximum over input places ⌊i·size/out⌋ … ⌈(i+1)·size/out⌉ − 1, for each axis."""

    rank, average = 2, False


class AdaptiveAveragePool1d(_AdaptivePool):
    """Output place i is the mean over input places ⌊i·size/out⌋ … ⌈(i+1)·size/out⌉ − 1."""

    rank, average = 1, True


class AdaptiveMaxPool1d(_AdaptivePool):
    """Output place i is the maximum over input places ⌊i·size/out⌋ … ⌈(i+1)·size/out⌉ − 1."""

    rank, average = 1, False


def _fixed(sizes: tuple[Dim, ...]) -> list[int]:
    if symbolic := [size for size in sizes if isinstance(size, str)]:
        raise ShapeError(f"{tracer().where}: pooling needs known sizes, axis {symbolic[0]!r} has none")
    return [int(size) for size in sizes]
