"""Convolutions of one to three axes: plain, grouped, depthwise, separable, transposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.activations import apply
from assay.frameworks.keras.bring_ops.common import Call, Order, Value, channels, layer, operation, repeated
from assay.nn.tensor import Dim, Shape, Tensor
from assay.write.weights import reshape, transpose


def padding_of(
    padding: str, sizes: Sequence[Dim], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> dict[str, Any]:
    """Keras' padding as ONNX's attributes: in numbers where the sizes are known."""
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
    if padding == "valid":
        return {"pads": [0] * 2 * len(kernel)}
    if padding == "causal":
        return {"pads": [*reach, *[0] * len(reach)]}
    if all(step == 1 for step in strides):
        totals = reach
    elif all(isinstance(size, int) for size in sizes):
        totals = [
            max(0, (-(-int(size) // step) - 1) * step + far + 1 - int(size))
            for size, step, far in zip(sizes, strides, reach, strict=True)
        ]
    else:
        return {"auto_pad": "SAME_UPPER"}
    return {"pads": [total // 2 for total in totals] + [total - total // 2 for total in totals]}


def _spatial(c: Call, x: Value, order: Order) -> list[Dim]:
    return [x.shape[axis] for axis in order[2:]]


def _node(c: Call, x: Value, order: Order, weight: Tensor, bias: Tensor | None, shape: Shape, **options: Any) -> Value:
    data = c.in_order(x, order)
    op_type = options.pop("op_type", "Conv")
    inputs = [data, weight] if bias is None else [data, weight, bias]
    kernel = [int(size) for size in weight.shape[2:]]
    stored = tuple(shape[axis] for axis in order)
    y = c.node(op_type, inputs, stored, kernel_shape=kernel, **options)
    return Value(shape, y.dtype, {order: y})


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(c: Call) -> Value:
    x, rank = c.x, int(c.option("rank"))
    order = channels(c, x)
    kernel, bias = c.option("_kernel"), c.option("bias")
    *window, inputs, filters = (int(size) for size in kernel.shape)
    weight = c.form(kernel, (filters, inputs, *window), transpose(*range(2, rank + 2), 1, 0))
    strides, dilations = repeated(c.option("strides"), rank), repeated(c.option("dilation_rate"), rank)
    y = _node(
        c,
        x,
        order,
        weight,
        None if bias is None else c.form(bias, (filters,)),
        c.shape(x),
        strides=strides,
        dilations=dilations,
        group=int(c.option("groups")),
        **padding_of(c.option("padding"), _spatial(c, x, order), window, strides, dilations),
    )
    return apply(c, y, c.option("activation"))


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(c: Call) -> Value:
    x, rank = c.x, int(c.option("rank"))
    order = channels(c, x)
    kernel, bias = c.option("kernel"), c.option("bias")
    weight = _depthwise_kernel(c, kernel, rank)
    strides, dilations = repeated(c.option("strides"), rank), repeated(c.option("dilation_rate"), rank)
    window = [int(size) for size in kernel.shape[:rank]]
    y = _node(
        c,
        x,
        order,
        weight,
        None if bias is None else c.form(bias, tuple(bias.shape)),
        c.shape(x),
        strides=strides,
        dilations=dilations,
        group=int(kernel.shape[rank]),
        **padding_of(c.option("padding"), _spatial(c, x, order), window, strides, dilations),
    )
    return apply(c, y, c.option("activation"))


def _depthwise_kernel(c: Call, kernel: Any, rank: int) -> Tensor:
    """(…, channels, multiplier) of Keras from (channels · multiplier, 1, …) of the graph."""
    *window, inputs, multiplier = (int(size) for size in kernel.shape)
    return c.form(
        kernel,
        (inputs * multiplier, 1, *window),
        reshape((inputs * multiplier, 1, *window), (inputs, multiplier, *window)),
        transpose(*range(2, rank + 2), 0, 1),
    )


@layer("SeparableConv1D", "SeparableConv2D")
def separable(c: Call) -> Value:
    """A depthwise convolution, then one of single points: two layers."""
    x, rank = c.x, int(c.option("rank"))
    order = channels(c, x)
    depth, point, bias = c.option("depthwise_kernel"), c.option("pointwise_kernel"), c.option("bias")
    *window, inputs, multiplier = (int(size) for size in depth.shape)
    strides, dilations = repeated(c.option("strides"), rank), repeated(c.option("dilation_rate"), rank)
    shape = c.shape(x)
    channel = order[1]
    between = tuple(inputs * multiplier if axis == channel else size for axis, size in enumerate(shape))
    if c.scope[-1][0]:
        c.graph.modules[c.scope[-1][0]] = {"class": type(c.source).__name__, "arguments": ["x"]}
    with c.graph.within(_inner(c, "depthwise")):
        y = _node(
            c,
            x,
            order,
            _depthwise_kernel(c, depth, rank),
            None,
            between,
            strides=strides,
            dilations=dilations,
            group=inputs,
            **padding_of(c.option("padding"), _spatial(c, x, order), window, strides, dilations),
        )
    filters = int(point.shape[-1])
    steps = transpose(*range(2, rank + 2), 1, 0)
    with c.graph.within(_inner(c, "pointwise")):
        y = _node(
            c,
            y,
            order,
            c.form(point, (filters, inputs * multiplier, *[1] * rank), steps),
            None if bias is None else c.form(bias, (filters,)),
            shape,
            strides=[1] * rank,
            dilations=[1] * rank,
            group=1,
            pads=[0] * 2 * rank,
        )
    return apply(c, y, c.option("activation"))


def _inner(c: Call, name: str) -> Any:
    """The scope of a part of the layer."""
    path, number = c.scope[-1]
    if not path:
        return c.scope[:-1]
    c.graph.modules.setdefault(f"{path}.{name}", {"class": name.title(), "arguments": ["x"]})
    return (*c.scope, (f"{path}.{name}", number))


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(c: Call) -> Value:
    x, rank = c.x, int(c.option("rank"))
    order = channels(c, x)
    kernel, bias = c.option("kernel"), c.option("bias")
    *window, filters, inputs = (int(size) for size in kernel.shape)
    weight = c.form(kernel, (inputs, filters, *window), transpose(*range(2, rank + 2), 1, 0))
    strides, dilations = repeated(c.option("strides"), rank), repeated(c.option("dilation_rate"), rank)
    shape = c.shape(x)
    more = c.option("output_padding")
    pads, extra = _transposed_pads(
        c.option("padding"), window, strides, dilations, None if more is None else repeated(more, rank)
    )
    y = _node(
        c,
        x,
        order,
        weight,
        None if bias is None else c.form(bias, (filters,)),
        shape,
        op_type="ConvTranspose",
        strides=strides,
        dilations=dilations,
        group=1,
        pads=pads,
        output_padding=extra,
    )
    return apply(c, y, c.option("activation"))


def _transposed_pads(
    padding: str, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int], more: Sequence[int] | None
) -> tuple[list[int], list[int]]:
    """What is cut off before and after, and what is added after.

    Without `more` (output_padding) the result has size · stride places for "same", as the gradient of a convolution with
    that padding has, and (size − 1) · stride + max(reach, stride) for "valid".
    """
    before, after, extra = [], [], []
    for axis, (size, stride, dilation) in enumerate(zip(window, strides, dilations, strict=True)):
        reach = dilation * (size - 1) + 1
        if padding == "valid":
            added = max(reach, stride) - reach if more is None else more[axis]
            cut, rest = 0, -added
        else:  # how far the input is extended on both sides together, when the kernel slides over it
            extended = stride + reach - 2 if more is None else reach + reach % 2 - 2 + more[axis]
            left = min(extended - extended // 2, reach - 1)
            cut, rest = reach - 1 - left, reach - 1 - (extended - left)
        before.append(cut)
        after.append(max(0, rest))
        extra.append(max(0, -rest))
    return [*before, *after], extra


# Operations -----------------------------------------------------------------------------------------------------------


@operation("Conv", "DepthwiseConv")
def convolution_operation(c: Call) -> Value:
    """A convolution with a kernel that is a tensor or a variable."""
    x, kernel = c.value(c["inputs"]), c.value(c["kernel"])
    rank = x.rank - 2
    order = channels(c, x)
    held = c.plain(kernel)
    *window, inputs, filters = (int(size) for size in kernel.shape if isinstance(size, int))
    strides, dilations = repeated(c.option("strides"), rank), repeated(c.option("dilation_rate"), rank)
    axes = list(range(rank))
    if c.name.endswith("DepthwiseConv"):
        moved = c.transpose(held, (rank, rank + 1, *axes))
        weight = c.reshape(moved, (inputs * filters, 1, *window))
        groups = inputs
    else:
        weight = c.transpose(held, (rank + 1, rank, *axes))
        channel = x.shape[order[1]]
        if isinstance(channel, str):
            raise Untranslatable("a convolution over an unknown number of channels")
        groups = channel // inputs
    options = padding_of(c.option("padding"), _spatial(c, x, order), window, strides, dilations)
    return _node(c, x, order, weight, None, c.shape(x), strides=strides, dilations=dilations, group=groups, **options)


def window_count(sizes: Sequence[int]) -> int:
    """How many places a window has."""
    return math.prod(int(np.int64(size)) for size in sizes)
