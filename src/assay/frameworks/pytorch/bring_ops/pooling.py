"""Pools and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, known, repeated
from assay.nn.tensor import Tensor


def _over_batch(c: Call, rank: int, op_type: str, **attributes: Any) -> Tensor:
    """A pool; one image without a batch axis gets one for the time being."""
    x = c.tensor("self")
    if x.rank == rank + 2:
        return c.result(op_type, [x], **attributes)
    return c.squeeze(c.node(op_type, [c.unsqueeze(x, 0)], (1, *c.shape), **attributes), [0])


def _rank(c: Call) -> int:
    return int(c.target.split("d.")[0].split("d_")[0][-1])


def _window(c: Call, rank: int) -> dict[str, Any]:
    kernel = repeated(c["kernel_size"], rank)
    return {
        "kernel_shape": kernel,
        "strides": repeated(c["stride"] or kernel, rank),
        "pads": repeated(c["padding"], rank) * 2,
        "ceil_mode": int(c["ceil_mode"]) or None,
    }


@aten("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(c: Call) -> Result:
    rank = _rank(c)
    return _over_batch(c, rank, "MaxPool", **_window(c, rank), dilations=repeated(c["dilation"], rank))


@aten("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(c: Call) -> Result:
    rank = _rank(c)
    if c.get("divisor_override") is not None:
        raise Untranslatable("a divisor other than the window's size")
    return _over_batch(c, rank, "AveragePool", **_window(c, rank), count_include_pad=int(c["count_include_pad"]))


@aten("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_average_pool(c: Call) -> Result:
    return _adaptive(c, _rank(c), True)


@aten("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(c: Call) -> Result:
    return (_adaptive(c, _rank(c), False), None)


def _adaptive(c: Call, rank: int, average: bool) -> Tensor:
    x = c.tensor("self")
    wanted = [known(size, "an adaptive pool") for size in c.shape[-rank:]]
    if set(wanted) == {1} and x.rank == rank + 2:
        return c.result("GlobalAveragePool" if average else "GlobalMaxPool", [x])
    sizes = [known(size, "an adaptive pool") for size in x.shape[-rank:]]
    if all(size % target == 0 for size, target in zip(sizes, wanted, strict=True)):
        window = [size // target for size, target in zip(sizes, wanted, strict=True)]
        op_type = "AveragePool" if average else "MaxPool"
        return _over_batch(c, rank, op_type, kernel_shape=window, strides=window, pads=[0] * 2 * rank)
    # Windows of unequal size: over a rectangle, one axis after the other.
    for axis, (size, target) in enumerate(zip(sizes, wanted, strict=True), start=x.rank - rank):
        x = _unequal(c, x, axis, size, target, average)
    return x


def _unequal(c: Call, x: Tensor, axis: int, size: int, target: int, average: bool) -> Tensor:
    if size == target:
        return x
    parts = []
    for place in range(target):
        start, stop = place * size // target, -(-(place + 1) * size // target)
        part = c.slice(x, axis, start, stop, stop - start)
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        reduce = "ReduceMean" if average else "ReduceMax"
        parts.append(c.node(reduce, [part, c.integers([axis])], shape, keepdims=1))
    return c.node("Concat", parts, (*x.shape[:axis], target, *x.shape[axis + 1 :]), axis=axis)


@aten("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(c: Call) -> Result:
    return _resize(c, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@aten("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def linear(c: Call) -> Result:
    return _resize(c, mode="linear", coordinate_transformation_mode=_coordinates(c))


@aten("upsample_bicubic2d")
def cubic(c: Call) -> Result:
    return _resize(c, mode="cubic", coordinate_transformation_mode=_coordinates(c), cubic_coeff_a=-0.75)


def _coordinates(c: Call) -> str:
    return "align_corners" if c["align_corners"] else "half_pixel"


def _resize(c: Call, **attributes: Any) -> Tensor:
    x = c.tensor("input") if "input" in c.arguments else c.tensor("self")
    sizes = [known(size, "resizing") for size in c.shape[2:]]
    factors: Sequence[float] | None = c.get("scale_factors")
    before = [known(size, "resizing") for size in x.shape[2:]]
    if factors and any(size != old * factor for size, old, factor in zip(sizes, before, factors, strict=True)):
        raise Untranslatable("a scale that does not give whole sizes")
    axes = list(range(2, x.rank))
    return c.result("Resize", [x, None, None, c.integers(sizes)], axes=axes, **attributes)


@aten("pixel_shuffle")
def pixel_shuffle(c: Call) -> Result:
    return c.result("DepthToSpace", [c.tensor("self")], blocksize=c["upscale_factor"], mode="CRD")


@aten("pixel_unshuffle")
def pixel_unshuffle(c: Call) -> Result:
    x, factor = c.tensor("self"), c["downscale_factor"]
    batch, channels, height, width = x.shape
    rows, columns = known(height, "pixel_unshuffle") // factor, known(width, "pixel_unshuffle") // factor
    y = c.reshape(x, (batch, channels, rows, factor, columns, factor))
    return c.reshape(c.transpose(y, (0, 1, 3, 5, 2, 4)), c.shape)
