"""Convolutions and pooling, channels-last."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.keras.rules.common import (
    TABLE,
    is_float,
    kernel_in_order,
    numbers,
    rank_of,
    tuple_text,
    typed,
    vector,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, keyword, positional
from assay.write.weights import Step, flip, reshape, transpose


def one_or_all(values: list[int] | tuple[int, ...]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


def _pads(call: Call, kernel: list[int], strides: tuple[int, ...], dilations: tuple[int, ...]) -> list[int] | None:
    """The padding of a convolution in numbers; None where it follows from sizes that are not known."""
    rank = len(kernel)
    auto = call.attribute("auto_pad", "NOTSET")
    pads = list(call.attribute("pads", [0] * 2 * rank))
    if auto in ("NOTSET", ""):
        return pads
    if auto == "VALID":
        return [0] * 2 * rank
    sizes = call.shape()[2:]
    if not all(isinstance(size, int) for size in sizes):
        return None
    found = []
    for size, reach, stride in zip(sizes, _reach(kernel, dilations), strides, strict=True):
        total = max(0, (-(-int(size) // stride) - 1) * stride + reach + 1 - int(size))
        found.append((total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2))
    return [before for before, _ in found] + [after for _, after in found]


def _reach(kernel: list[int], dilations: tuple[int, ...]) -> list[int]:
    return [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    outputs, inputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    taken = ""
    given = strides
    if max(strides) > 1 and max(dilations) > 1:  # Keras refuses both at once: all places are computed, some are taken
        taken = f"[:, {', '.join(f'::{stride}' if stride > 1 else ':' for stride in strides)}]"
        strides = (1,) * rank
    x, padding = _padded(call, w, kernel, strides, dilations, given)
    depthwise = groups > 1 and inputs == 1 and len(set(strides)) == 1 and rank < 3
    size = keyword("depth_multiplier", outputs // groups, 1) if depthwise else positional(outputs, "channels")
    arguments = [
        *([] if depthwise else [size]),
        positional(one_or_all(kernel), "kernel_size"),
        *([size] if depthwise else []),
        keyword("strides", one_or_all(strides), 1),
        keyword("padding", padding, "valid"),
        keyword("dilation_rate", one_or_all(dilations), 1),
        *([] if depthwise else [keyword("groups", groups, 1)]),
        keyword("use_bias", bias is not None, True),
        *typed(call),
    ]
    steps: tuple[Step, ...] = (transpose(*range(2, 2 + rank), 1, 0),)
    if depthwise:
        steps += (reshape((*kernel, 1, outputs), (*kernel, groups, outputs // groups)),)
    weights = [NativeWeight("kernel", weight, steps)]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    layer = w.layer(f"layers.{'Depthwise' if depthwise else ''}Conv{rank}D", arguments, weights)
    w.emit(call.y, f"{layer}({x}){taken}", light=True)


def _padded(
    call: Call,
    w: Builder,
    kernel: list[int],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    given: tuple[int, ...],
) -> tuple[str, str]:
    """The input of a convolution and its padding option; Keras' own "same" where that is what the pads say."""
    rank = len(kernel)
    x = w.use(call.x)
    pads = _pads(call, kernel, given, dilations)
    if pads is None:
        if call.attribute("auto_pad") == "SAME_UPPER":
            return x, "same"
        padded = w.temporary("x")
        w.emit(padded, f"pad_same({x}, {tuple(kernel)}, {given}, {dilations}, lower=True)", light=True)
        return w.use(padded), "valid"
    if not any(pads):
        return x, "valid"
    half = [dilation * (size - 1) / 2 for dilation, size in zip(dilations, kernel, strict=True)]
    if set(strides) == {1} and list(pads) == half * 2:
        return x, "same"
    widths = [(pads[axis], pads[rank + axis]) for axis in range(rank)]
    amounts = widths[0] if rank == 1 else one_or_all([width[0] for width in widths]) if _even(widths) else tuple(widths)
    hint = f"{w.attribute_name or 'conv'}_padding".replace(".", "_")
    layer = w.layer(f"layers.ZeroPadding{rank}D", [positional(amounts, "padding"), *typed(call)], hint=hint)
    padded = w.temporary("x")
    w.emit(padded, f"{layer}({x})", light=True)
    return w.use(padded), "valid"


def _even(widths: list[tuple[int, int]]) -> bool:
    return all(before == after for before, after in widths) and len({before for before, _ in widths}) == 1


def _options(call: Call, rank: int) -> str:
    """The attributes that convolutions and pools share, as arguments of local functions."""
    found = ""
    for name, usual in (("strides", (1,) * rank), ("pads", (0,) * 2 * rank), ("dilations", (1,) * rank)):
        value = tuple(call.attribute(name, usual))
        found += f", {name}={value}" if value != usual else ""
    auto = call.attribute("auto_pad", "NOTSET")
    return found + (f', auto_pad="{auto}"' if auto not in ("NOTSET", "") else "")


@TABLE.rule("FunctionalConv")
def functional_convolution(call: Call, w: Builder) -> None:
    weight = call.inputs[1]
    rank = rank_of(weight)
    assert weight is not None and rank is not None
    call.attribute("kernel_shape")
    groups = call.attribute("group", 1)
    kernel = kernel_in_order(call, w, weight, (*range(2, rank), 1, 0))
    bias = f", {vector(call, w, call.inputs[2])}" if len(call.inputs) > 2 and call.inputs[2] is not None else ""
    more = _options(call, rank - 2) + (f", groups={groups}" if groups != 1 else "")
    w.emit(call.y, f"padded_conv({w.use(call.x)}, {kernel}{bias}{more})", light=True)


def _transposed_pads(call: Call, kernel: list[int], strides: tuple[int, ...], dilations: tuple[int, ...]) -> list[int]:
    """What is cut off the whole result of a transposed convolution."""
    rank = len(kernel)
    auto, shape = call.attribute("auto_pad", "NOTSET"), call.attribute("output_shape")
    extra = call.attribute("output_padding", [0] * rank)
    if auto not in ("SAME_UPPER", "SAME_LOWER") and shape is None:
        return list(call.attribute("pads", [0] * 2 * rank)) if auto != "VALID" else [0] * 2 * rank
    call.attribute("pads")
    sizes = [int(size) for size in call.shape()[2:]]
    wanted = (
        list(shape)[-rank:] if shape is not None else [size * step for size, step in zip(sizes, strides, strict=True)]
    )
    reaches = _reach(kernel, dilations)
    totals = [strides[i] * (sizes[i] - 1) + extra[i] + reaches[i] + 1 - wanted[i] for i in range(rank)]
    first = [total // 2 if auto == "SAME_UPPER" else total - total // 2 for total in totals]
    return first + [total - before for total, before in zip(totals, first, strict=True)]


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    inputs, outputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    pads, extra = _transposed_pads(call, kernel, strides, dilations), call.attribute("output_padding", [0] * rank)
    biases = [NativeWeight("bias", bias)] if bias is not None else []
    spatial = range(2, 2 + rank)
    if (
        groups > 1
        or set(dilations) != {1}
        or min(pads[:rank]) < 0
        or any(x >= s for x, s in zip(extra, strides, strict=True))
    ):
        reach = _reach(kernel, dilations)
        padding = tuple((reach[i] - pads[i], reach[i] - pads[rank + i] + extra[i]) for i in range(rank))
        arguments = [
            positional(outputs * groups, "channels"),
            positional(tuple(kernel), "kernel_size"),
            keyword("strides", strides),
            keyword("padding", padding),
            keyword("dilation_rate", dilations),
            keyword("groups", groups),
            keyword("use_bias", bias is not None, True),
            *typed(call),
        ]
        split, apart = (groups, inputs // groups, outputs, *kernel), (*kernel, inputs // groups, groups, outputs)
        steps = (
            reshape((inputs, outputs, *kernel), split),
            transpose(*range(3, 3 + rank), 1, 0, 2),
            reshape(apart, (*kernel, inputs // groups, groups * outputs)),
            flip(*range(rank)),
        )
        layer = w.layer("ConvTranspose", arguments, [NativeWeight("kernel", weight, steps), *biases])
        w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)
        return
    # Keras' "same" crops elsewhere: the whole result is taken, and the pads are cut off.
    longer = [max(0, extra[i] - pads[rank + i]) for i in range(rank)]
    cut = [(pads[i], max(0, pads[rank + i] - extra[i])) for i in range(rank)]
    arguments = [
        positional(outputs, "channels"),
        positional(one_or_all(kernel), "kernel_size"),
        keyword("strides", one_or_all(strides), 1),
        keyword("output_padding", one_or_all(longer)),
        keyword("use_bias", bias is not None, True),
        *typed(call),
    ]
    weights = [NativeWeight("kernel", weight, (transpose(*spatial, 1, 0),)), *biases]
    layer = w.layer(f"layers.Conv{rank}DTranspose", arguments, weights)
    if not any(sum(pair) for pair in cut):
        w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)
        return
    whole = w.temporary("x")
    w.emit(whole, f"{layer}({w.use(call.x)})", light=True)
    amounts = cut[0] if rank == 1 else tuple(cut)
    hint = f"{w.attribute_name or 'conv'}_cropping".replace(".", "_")
    cropping = w.layer(f"layers.Cropping{rank}D", [positional(amounts, "cropping"), *typed(call)], hint=hint)
    w.emit(call.y, f"{cropping}({w.use(whole)})", light=True)


@TABLE.rule("FunctionalConvTranspose")
def functional_transposed_convolution(call: Call, w: Builder) -> None:
    weight = call.inputs[1]
    rank = rank_of(weight)
    assert weight is not None and rank is not None
    call.attribute("kernel_shape")
    groups, extra, shape = call.attribute("group", 1), call.attribute("output_padding"), call.attribute("output_shape")
    kernel = kernel_in_order(call, w, weight, (*range(2, rank), 0, 1))
    bias = f", {vector(call, w, call.inputs[2])}" if len(call.inputs) > 2 and call.inputs[2] is not None else ""
    more = _options(call, rank - 2) + (f", groups={groups}" if groups != 1 else "")
    more += f", output_padding={tuple(extra)}" if extra else ""
    more += f", output_shape={tuple(shape)}" if shape else ""
    w.emit(call.y, f"conv_transpose({w.use(call.x)}, {kernel}{bias}{more})", light=True)


def _plain_pool(call: Call, rank: int) -> bool:
    """Whether Keras' pooling does it, after padding."""
    dilations, ceil = call.attributes.get("dilations", [1] * rank), call.attributes.get("ceil_mode", 0)
    automatic = call.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "", "VALID")
    typed = is_float(call.x) and str(call.x.dtype) in ("FLOAT", "DOUBLE")
    return set(dilations) == {1} and not ceil and not automatic and call.wanted(1) is None and typed


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    kernel = tuple(call.attribute("kernel_shape"))
    average = call.kind == "AveragePool"
    count = bool(call.attribute("count_include_pad", 0))
    of_double = rank == 3 and call.x.dtype == ir.DataType.DOUBLE  # which TensorFlow's kernels do not know
    if of_double or not _plain_pool(call, rank):
        _pool_by_windows(call, w, rank, kernel)
        return
    for name in ("dilations", "ceil_mode", "auto_pad", "storage_order"):
        call.attribute(name)
    strides, pads = tuple(call.attribute("strides", [1] * rank)), call.attribute("pads", [0] * 2 * rank)
    if any(pads):
        widths = tuple((pads[i], pads[rank + i]) for i in range(rank))
        more = ", count_padding=True" if average and count else ""
        name = "average_pool" if average else "max_pool"
        w.emit(call.y, f"{name}({w.use(call.x)}, {kernel}, {strides}, {widths}{more})", light=True)
        return
    arguments = [
        positional(one_or_all(kernel), "pool_size"),
        keyword("strides", one_or_all(strides), one_or_all(kernel)),
        *typed(call),
    ]
    layer = w.layer(f"layers.{'Average' if average else 'Max'}Pooling{rank}D", arguments)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


def _pool_by_windows(call: Call, w: Builder, rank: int, kernel: tuple[int, ...]) -> None:
    more = _options(call, rank) + (", ceil_mode=True" if call.attribute("ceil_mode", 0) else "")
    order = call.attribute("storage_order", 0)
    x = w.use(call.x)
    if call.kind == "AveragePool":
        more += ", count_padding=True" if call.attribute("count_include_pad", 0) else ""
        w.emit(call.y, f"average_windows({x}, {kernel}{more})", light=True)
    elif call.wanted(1) is None:
        w.emit(call.y, f"max_windows({x}, {kernel}{more})", light=True)
    else:
        more += ", column_major=True" if order else ""
        w.emit(call.outputs, f"max_windows_and_places({x}, {kernel}{more})")


@TABLE.rule("LpPool")
def lp_pool(call: Call, w: Builder) -> None:
    kernel = tuple(call.attribute("kernel_shape"))
    more = _options(call, len(kernel)) + (", ceil_mode=True" if call.attribute("ceil_mode", 0) else "")
    p = call.attribute("p", 2)
    x = _channels_last(call, w)
    _emit_channels_first(call, w, f"lp_windows({x}, {kernel}, {p}{more})")


def _channels_last(call: Call, w: Builder) -> str:
    """The input of an operator that keeps ONNX's order, with channels last."""
    rank = len(call.shape())
    return f"ops.transpose({w.use(call.x)}, {(0, *range(2, rank), 1)})"


def _emit_channels_first(call: Call, w: Builder, text: str) -> None:
    rank = len(call.shape())
    w.emit(call.y, f"ops.transpose({text}, {(0, rank - 1, *range(1, rank - 1))})", light=True)


@TABLE.rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call, w: Builder) -> None:
    rank = len(call.shape())
    order = order_of(call.x)
    axes = tuple(place for place in range(rank) if order[place] > 1)
    where = tuple_text(axes) if len(axes) != 1 else str(axes[0])
    if call.kind == "GlobalLpPool":
        p = call.attribute("p", 2)
        w.emit(
            call.y, f"ops.sum(ops.abs({w.use(call.x)}) ** {p}, axis={where}, keepdims=True) ** {1 / p!r}", light=True
        )
        return
    name = "mean" if call.kind == "GlobalAveragePool" else "max"
    w.emit(call.y, f"ops.{name}({w.use(call.x)}, axis={where}, keepdims=True)", light=True)


@TABLE.rule("MaxUnpool")
def unpool(call: Call, w: Builder) -> None:
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    strides, pads = tuple(call.attribute("strides", [1] * rank)), tuple(call.attribute("pads", [0] * 2 * rank))
    more = f", pads={pads}" if any(pads) else ""
    given = call.constant(2) is not None or call.computed(2) is not None
    more += f", output_shape={numbers(call, w, 2)}" if given else ""
    w.emit(call.y, f"max_unpool({w.array(call.x)}, {w.array(call.inputs[1])}, {kernel}, {strides}{more})", light=True)


@TABLE.rule("Col2Im")
def col2im(call: Call, w: Builder) -> None:
    image, block = numbers(call, w, 1), numbers(call, w, 2)
    more = "".join(
        f", {name}={tuple(value)}"
        for name in ("strides", "pads", "dilations")
        if (value := call.attribute(name)) is not None
    )
    w.emit(call.y, f"col2im({w.array(call.x)}, {image}, {block}{more})", light=True)


@TABLE.rule("DeformConv")
def deformable(call: Call, w: Builder) -> None:
    rank = 2
    names = ("x", "weight", "offset", "bias", "mask")
    operands = [
        f"{name}={w.array(value)}" for name, value in zip(names, call.inputs, strict=False) if value is not None
    ]
    call.attribute("kernel_shape")
    more = _options(call, rank)
    for name, argument in (("group", "groups"), ("offset_group", "offset_groups")):
        value = call.attribute(name, 1)
        more += f", {argument}={value}" if value != 1 else ""
    w.emit(call.y, f"deform_conv({', '.join(operands)}{more})", light=True)
