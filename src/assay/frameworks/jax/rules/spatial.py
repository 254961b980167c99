"""Convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from assay.errors import UnsupportedError
from assay.frameworks.jax.rules.common import (
    TABLE,
    call_layer,
    channels_axis_last,
    is_integer,
    options,
    sizes_known,
    tuple_of,
    weight_or_input,
)
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, keyword, positional
from assay.write.weights import Step, flip, reshape, transpose

_SAME = {"SAME_UPPER": "SAME", "SAME_LOWER": "SAME_LOWER", "VALID": "VALID"}


def _padding(call: Call, rank: int) -> str | list[tuple[int, int]]:
    """The padding as Flax and XLA say it: pairs, or a word."""
    pads = call.attribute("pads", [0] * 2 * rank)
    auto = call.attribute("auto_pad", "NOTSET")
    if auto != "NOTSET":
        return _SAME[auto]
    return list(zip(pads[:rank], pads[rank:], strict=True)) if any(pads) else "VALID"


def _shown(padding: str | Sequence[tuple[int, int]]) -> str:
    return f'"{padding}"' if isinstance(padding, str) else str(padding)


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    if call.x.shape is None or not sizes_known(call.weights["weight"]) or (call.spatial_rank and not _is_last(call)):
        functional_convolution(call, w)
        return
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    outputs, inputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    arguments = [
        positional(inputs * groups, "in_channels"),
        positional(outputs, "out_channels"),
        positional(tuple(kernel), "kernel_size"),
        keyword("strides", strides, (1,) * rank),
        keyword("padding", _padding(call, rank)),
        keyword("kernel_dilation", dilations, (1,) * rank),
        keyword("feature_group_count", groups, 1),
        keyword("use_bias", bias is not None, True),
    ]
    weights = [NativeWeight("kernel", weight, (transpose(*range(2, 2 + rank), 1, 0),))]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    call_layer(call, w, "nnx.Conv", arguments, weights)


def _is_last(call: Call) -> bool:
    return channels_axis_last(call)


@TABLE.rule("FunctionalConv")
def functional_convolution(call: Call, w: Builder) -> None:
    weight, bias = weight_or_input(call, w, 1, "weight"), weight_or_input(call, w, 2, "bias")
    w.emit(call.y, f"convolved({w.use(call.x)}, {weight}{options(bias=bias)}{_window_options(call)})")


def _window_options(call: Call) -> str:
    """Strides and the like of a functional convolution; what is left out is 1 on every axis."""
    call.attribute("kernel_shape")
    strides, dilations = call.attribute("strides", None), call.attribute("dilations", None)
    pads = call.attribute("pads", [])
    padding = _padding(call, len(pads) // 2) if pads or "auto_pad" in call.attributes else "VALID"
    call.attribute("auto_pad")
    groups = call.attribute("group", 1)
    return options(
        strides=None if strides is None or set(strides) == {1} else tuple(strides),
        padding=None if padding == "VALID" else _shown(padding),
        dilation=None if dilations is None or set(dilations) == {1} else tuple(dilations),
        groups=None if groups == 1 else groups,
        channels_last=None if channels_axis_last(call) else False,
    )


@TABLE.rule("ConvInteger")
def integer_convolution(call: Call, w: Builder) -> None:
    x, weight = (w.array(value, 100) for value in call.inputs[:2])
    given = [f"{x}.astype(jnp.int32)", f"{weight}.astype(jnp.int32)"]
    x_zero, w_zero = call.computed(2), call.computed(3)
    if x_zero is not None:
        given[0] += f" - {w.array(x_zero)}"
    if w_zero is not None:
        zero = w.array(w_zero)
        given[1] += f" - {zero}.reshape(-1, *[1] * ({weight}.ndim - 1))"
    w.emit(call.y, f"convolved({', '.join(given)}{_window_options(call)})")


@TABLE.rule("QLinearConv")
def quantized_convolution(call: Call, w: Builder) -> None:
    given = ", ".join(w.array(value) for value in call.inputs[:8])
    bias = call.computed(8)
    w.emit(
        call.y,
        f"quantized_convolution({given}{options(bias=None if bias is None else w.array(bias))}{_window_options(call)})",
    )


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    special = any(name in call.attributes for name in ("auto_pad", "output_shape"))
    if call.x.shape is None or special or not _is_last(call):
        functional_transposed_convolution(call, w)
        return
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    inputs, outputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    pads, extra = call.attribute("pads", [0] * 2 * rank), call.attribute("output_padding", [0] * rank)
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
    padding = [(reach[i] - pads[i], reach[i] - pads[rank + i] + extra[i]) for i in range(rank)]
    arguments = [
        positional(inputs, "in_channels"),
        positional(outputs * groups, "out_channels"),
        positional(tuple(kernel), "kernel_size"),
        keyword("strides", strides, (1,) * rank),
        keyword("padding", padding),
        keyword("kernel_dilation", dilations, (1,) * rank),
        keyword("use_bias", bias is not None, True),
    ]
    spatial = range(2, 2 + rank)
    if groups == 1:
        arguments.append(keyword("transpose_kernel", True))
        callee = "nnx.ConvTranspose"
        steps: tuple[Step, ...] = (transpose(*spatial, 1, 0),)
    else:
        arguments = [Argument(item.value, item.name, hint=item.hint) for item in arguments]
        arguments.append(keyword("groups", groups))
        callee = "GroupConvTranspose"
        split = (groups, inputs // groups, outputs, *kernel)
        joined = (*kernel, inputs // groups, groups * outputs)
        apart = (*kernel, inputs // groups, groups, outputs)
        steps = (
            reshape((inputs, outputs, *kernel), split),
            transpose(*range(3, 3 + rank), 1, 0, 2),
            reshape(apart, joined),
            flip(*range(rank)),
        )
    weights = [NativeWeight("kernel", weight, steps)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    call_layer(call, w, callee, arguments, weights)


@TABLE.rule("FunctionalConvTranspose")
def functional_transposed_convolution(call: Call, w: Builder) -> None:
    weight, bias = weight_or_input(call, w, 1, "weight"), weight_or_input(call, w, 2, "bias")
    extra, shape = call.attribute("output_padding", []), call.attribute("output_shape", [])
    more = options(
        output_padding=tuple(extra) if any(extra) else None, output_shape=tuple(shape[-len(shape) :]) or None
    )
    w.emit(call.y, f"convolved_transposed({w.use(call.x)}, {weight}{options(bias=bias)}{_window_options(call)}{more})")


@TABLE.rule("DeformConv")
def deformable_convolution(call: Call, w: Builder) -> None:
    names = ("bias", "mask")
    given = {name: w.array(value) for name, slot in zip(names, (3, 4), strict=True) if (value := call.computed(slot))}
    offset_groups = call.attribute("offset_group", 1)
    text = ", ".join(w.array(value) for value in call.inputs[:3])
    more = options(**given, offset_groups=None if offset_groups == 1 else offset_groups)
    window = _window_options(call).replace(", channels_last=False", "")
    w.emit(call.y, f"convolved_deformably({text}{more}{window})")


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    strides, dilations = tuple(call.attribute("strides", [1] * rank)), tuple(call.attribute("dilations", [1] * rank))
    padding, ceil = _padding(call, rank), bool(call.attribute("ceil_mode", 0))
    pads = not isinstance(padding, str)
    counted = bool(call.attribute("count_include_pad", 0))
    by_column = call.attribute("storage_order", 0)
    average, indices = call.kind == "AveragePool", call.wanted(1)
    plain = channels_axis_last(call) and not ceil and set(dilations) == {1} and indices is None
    # Without padding in its counts nnx.avg_pool gives float64 for float32 where 64-bit types are on.
    if plain and not is_integer(call.x) and (not average or padding == "VALID" or (counted and pads)):
        text = [w.use(call.x), str(kernel), f"strides={strides}"]
        if padding != "VALID":
            text.append(f"padding={_shown(padding)}")
        w.emit(call.y, f"nnx.{'avg_pool' if average else 'max_pool'}({', '.join(text)})", light=True)
        return
    more = options(
        strides=None if set(strides) == {1} else strides,
        padding=None if padding == "VALID" else _shown(padding),
        dilation=None if set(dilations) == {1} else dilations,
        ceil_mode=ceil or None,
        count_include_pad=(average and counted) or None,
        by_column=True if by_column and indices is not None else None,
        channels_last=None if channels_axis_last(call) else False,
    )
    if average:
        w.emit(call.y, f"average_pool({w.use(call.x)}, {kernel}{more})")
    elif indices is None:
        w.emit(call.y, f"max_pool({w.use(call.x)}, {kernel}{more})")
    else:
        w.emit(call.outputs, f"max_pool_with_indices({w.use(call.x)}, {kernel}{more})")


@TABLE.rule("LpPool")
def lp_pool(call: Call, w: Builder) -> None:
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    strides, dilations = tuple(call.attribute("strides", [1] * rank)), tuple(call.attribute("dilations", [1] * rank))
    padding = _padding(call, rank)
    more = options(
        strides=None if set(strides) == {1} else strides,
        padding=None if padding == "VALID" else _shown(padding),
        dilation=None if set(dilations) == {1} else dilations,
        ceil_mode=bool(call.attribute("ceil_mode", 0)) or None,
    )
    w.emit(call.y, f"lp_pool({w.use(call.x)}, {kernel}, {call.attribute('p', 2)}{more})")


@TABLE.rule("MaxUnpool")
def max_unpool(call: Call, w: Builder) -> None:
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    strides = tuple(call.attribute("strides", [1] * rank))
    padding = _padding(call, rank)
    more = options(
        padding=None if padding == "VALID" else _shown(padding),
        shape=tuple_of(call, w, 2),
    )
    w.emit(call.y, f"max_unpool({w.array(call.x)}, {w.array(call.inputs[1])}, {kernel}, {strides}{more})")


@TABLE.rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call, w: Builder) -> None:
    name = "mean" if call.kind == "GlobalAveragePool" else "max"
    x = w.use(call.x, 100)
    if call.x.shape is None:
        w.emit(call.y, f"{x}.{name}(axis=tuple(range(2, {x}.ndim)), keepdims=True)")
        return
    first = 1 if channels_axis_last(call) else 2
    axes = tuple(range(first, first + call.spatial_rank))
    w.emit(call.y, f"{x}.{name}(axis={axes if len(axes) > 1 else axes[0]}, keepdims=True)", light=True)


@TABLE.rule("GlobalLpPool")
def global_lp_pool(call: Call, w: Builder) -> None:
    x, p = w.array(call.x, 100), call.attribute("p", 2)
    w.emit(call.y, f"(jnp.abs({x}) ** {p}).sum(axis=tuple(range(2, {x}.ndim)), keepdims=True) ** {1 / p}")


@TABLE.rule("Col2Im")
def col2im(call: Call, w: Builder) -> None:
    image, block = tuple_of(call, w, 1), tuple_of(call, w, 2)
    window = _window_options(call).replace(", channels_last=False", "")
    if image is None or block is None:
        raise UnsupportedError("Col2Im lacks its image or block shape", ["Col2Im"])
    w.emit(call.y, f"columns_to_image({w.array(call.x)}, {image}, {block}{window})")


@TABLE.rule("LRN")
def local_response_normalization(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 1e-4), call.attribute("beta", 0.75)
    bias, size = call.attribute("bias", 1.0), call.attribute("size")
    w.emit(call.y, f"local_response_norm({w.array(call.x)}, {size}, {alpha}, {beta}, {bias})", light=True)
