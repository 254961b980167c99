"""TensorFlow's lowering table: convolutions and pooling. All data are channels-last."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    TABLE,
    are_layers,
    given,
    in_order,
    one_or_all,
    operand,
    optional,
    rank_of,
    refuse,
    written,
)
from assay.graph.calls import Call
from assay.graph.layout import channels_last_order, order_of
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, keyword, positional
from assay.write.weights import Step, flip, reshape, transpose

Padding = str | int | tuple[tuple[int, int], ...]


@dataclass
class _Convolution:
    """What a convolution node says, with its axes in order."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    use_bias: bool

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def is_strided(self) -> bool:
        return any(stride > 1 for stride in self.strides)

    @property
    def is_dilated(self) -> bool:
        return any(rate > 1 for rate in self.dilations)

    @property
    def zeros(self) -> int | tuple[tuple[int, int], ...]:
        """The padding in numbers."""
        return symmetric(self.pads)

    @property
    def padding(self) -> Padding:
        """The padding by name where it has one: "SAME" means the same zeros whatever the size only without strides."""
        if not any(amount for pair in self.pads for amount in pair):
            return "VALID"
        reach = [rate * (length - 1) for rate, length in zip(self.dilations, self.size, strict=True)]
        same = tuple((total // 2, total - total // 2) for total in reach)
        return "SAME" if same == self.pads and not self.is_strided else self.zeros

    def unstrided(self) -> tuple[int, ...]:
        """Gives the strides up, and returns them: places to be left out of the result."""
        strides, self.strides = self.strides, (1,) * self.rank
        return strides


def symmetric(pads: tuple[tuple[int, int], ...]) -> int | tuple[tuple[int, int], ...]:
    return pads[0][0] if len({amount for pair in pads for amount in pair}) == 1 else pads


def places_of(call: Call, rank: int) -> list[int | None]:
    """The sizes of the axes between batch and channels, as far as they are known."""
    if call.x.shape is None:
        return [None] * rank
    return [size if isinstance(size, int) else None for size in call.shape()[2:]]


def padding_of(
    call: Call, size: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after each axis, in numbers."""
    rank, mode = len(size), call.attribute("auto_pad", "NOTSET")
    amounts = call.attribute("pads", [0] * 2 * rank)
    if mode == "NOTSET":
        return tuple(zip(amounts[:rank], amounts[rank:], strict=True))
    if mode == "VALID":
        return ((0, 0),) * rank
    pairs = []
    for places, length, stride, rate in zip(places_of(call, rank), size, strides, dilations, strict=True):
        if places is None and stride > 1:
            raise refuse(call, f"auto_pad={mode!r}, strides and sizes that are not known")
        covered = 0 if places is None else (-(-places // stride) - 1) * stride - places
        total = max(covered + rate * (length - 1) + 1, 0) if places is not None else rate * (length - 1)
        pair = (total // 2, total - total // 2)
        pairs.append(pair if mode == "SAME_UPPER" else pair[::-1])
    return tuple(pairs)


def _read(call: Call, size: tuple[int, ...]) -> _Convolution:
    rank = len(size)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    pads = padding_of(call, size, strides, dilations) if call.kind.removeprefix("Functional") != "ConvTranspose" else ()
    return _Convolution(size, strides, dilations, pads, call.attribute("group", 1), "bias" in call.weights)


def channels_last(call: Call, w: Builder, rank: int) -> str:
    """The first input with its channels last, wherever the graph has put them."""
    if list(order_of(call.x)) != list(range(rank)) and call.x.shape is not None:
        return w.use(call.x)
    return f"tf.transpose({w.array(call.x)}, {channels_last_order(rank)})"


def emit_channels_last(call: Call, w: Builder, text: str, rank: int, light: bool = True) -> None:
    """Emits a result whose channels are last, in the order that the graph wants."""
    if call.y.shape is None or list(order_of(call.y)) == list(range(rank)):
        text = f"tf.transpose({text}, {(0, rank - 1, *range(1, rank - 1))})"
    w.emit(call.y, text, light=light)


def _weights(call: Call, *steps: Step) -> list[NativeWeight]:
    weights = [NativeWeight("kernel", call.weights["weight"], steps)]
    return weights + ([NativeWeight("bias", call.weights["bias"])] if "bias" in call.weights else [])


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    if not are_layers(call):
        computed_convolution(call, w)
        return
    filters, inputs, *size = (int(value) for value in shape_of(call.weights["weight"]))
    conv = _read(call, tuple(size))
    if conv.groups > 1 and inputs == 1 and conv.rank <= 2:
        _depthwise(call, w, conv, filters // conv.groups)
        return
    skipped = conv.unstrided() if conv.is_dilated and conv.is_strided else ()
    arguments = [positional(inputs * conv.groups, "inputs"), positional(filters, "filters")]
    tail = [keyword("padding", conv.padding, "VALID"), keyword("use_bias", conv.use_bias, True)]
    strides = keyword("strides", one_or_all(conv.strides), 1)
    if conv.groups > 1 or conv.rank > 2:
        callee = "GroupedConv"
        dilations = keyword("dilations", one_or_all(conv.dilations), 1)
        arguments += [positional(conv.size, "size"), keyword("groups", conv.groups), strides, dilations, *tail]
    elif conv.is_dilated:
        callee = "DilatedConv"
        arguments += [positional(conv.size, "size"), keyword("dilations", conv.dilations), *tail]
    else:
        callee = f"Conv{conv.rank}D"
        arguments += [positional(one_or_all(conv.size), "size"), strides, *tail]
    weights = _weights(call, transpose(*range(2, conv.rank + 2), 1, 0))
    _apply(call, w, callee, arguments, weights, skipped)


def _depthwise(call: Call, w: Builder, conv: _Convolution, multiplier: int) -> None:
    # tf.nn.depthwise_conv2d has equal strides only, and none together with dilations.
    skips = conv.is_strided and (conv.is_dilated or len(set(conv.strides)) > 1)
    skipped = conv.unstrided() if skips else ()
    arguments = [
        positional(conv.groups, "channels"),
        positional(one_or_all(conv.size), "size"),
        keyword("multiplier", multiplier, 1),
        keyword("strides", conv.strides[0], 1),
        keyword("padding", conv.padding, "VALID"),
        keyword("dilations", one_or_all(conv.dilations), 1),
        keyword("use_bias", conv.use_bias, True),
    ]
    by_channel = reshape((conv.groups * multiplier, 1, *conv.size), (conv.groups, multiplier, *conv.size))
    weights = _weights(call, by_channel, transpose(*range(2, conv.rank + 2), 0, 1))
    _apply(call, w, f"DepthwiseConv{conv.rank}D", arguments, weights, skipped)


def _apply(
    call: Call,
    w: Builder,
    callee: str,
    arguments: list[Argument],
    weights: list[NativeWeight],
    skipped: tuple[int, ...] = (),
) -> None:
    rank = len(shape_of(call.weights["weight"]))
    text = f"{w.layer(callee, arguments, weights)}({channels_last(call, w, rank)})"
    if skipped:
        text += f"[:, {', '.join(f'::{stride}' if stride > 1 else ':' for stride in skipped)}]"
    emit_channels_last(call, w, text, rank)


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    if not are_layers(call):
        computed_transposed_convolution(call, w)
        return
    inputs, filters, *size = (int(value) for value in shape_of(call.weights["weight"]))
    conv = _read(call, tuple(size))
    extra = _resolve_transposed(call, conv)
    arguments = [positional(inputs, "inputs"), positional(filters * conv.groups, "filters")]
    tail = [keyword("padding", conv.zeros, 0), keyword("use_bias", conv.use_bias, True)]
    beyond = any(more >= stride for more, stride in zip(extra, conv.strides, strict=True))
    if conv.groups == 1 and not conv.is_dilated and not beyond and conv.rank <= 2:
        arguments += [positional(one_or_all(conv.size), "size"), keyword("strides", one_or_all(conv.strides), 1)]
        arguments += [keyword("output_padding", one_or_all(extra), 0), *tail]
        weights = _weights(call, transpose(*range(2, conv.rank + 2), 1, 0))
        _apply(call, w, f"Conv{conv.rank}DTranspose", arguments, weights)
        return
    arguments += [positional(conv.size, "size"), keyword("groups", conv.groups), keyword("strides", conv.strides)]
    arguments += [keyword("dilations", conv.dilations, (1, 1)), keyword("output_padding", extra, (0, 0)), *tail]
    # The kernel of the convolution that does it: reversed, (*size, inputs, filters) by group, groups side by side.
    inside = inputs // conv.groups
    axes = range(3, conv.rank + 3)
    weights = _weights(
        call,
        reshape((inputs, filters, *conv.size), (conv.groups, inside, filters, *conv.size)),
        transpose(*axes, 1, 0, 2),
        reshape((*conv.size, inside, conv.groups, filters), (*conv.size, inside, conv.groups * filters)),
        flip(*range(conv.rank)),
    )
    _apply(call, w, "GroupedConvTranspose", arguments, weights)


def _resolve_transposed(call: Call, conv: _Convolution) -> tuple[int, ...]:
    """Sets the padding of a transposed convolution; returns what is added after each axis."""
    rank = conv.rank
    extra = list(call.attribute("output_padding", [0] * rank))
    mode, wanted = call.attribute("auto_pad", "NOTSET"), call.attribute("output_shape")
    amounts = call.attribute("pads", [0] * 2 * rank)
    pads = list(zip(amounts[:rank], amounts[rank:], strict=True))
    if wanted is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
        for axis, places in enumerate(places_of(call, rank)):
            reach = conv.dilations[axis] * (conv.size[axis] - 1) + 1
            if places is None and wanted is not None:
                raise refuse(call, "output_shape and sizes that are not known")
            before = 0 if places is None else places
            full = (before - 1) * conv.strides[axis] + reach + extra[axis]
            total = full - (wanted[axis] if wanted is not None else before * conv.strides[axis])
            pair = (total // 2, total - total // 2)
            pads[axis] = pair if mode == "SAME_UPPER" else pair[::-1]
    elif mode == "VALID":
        pads = [(0, 0)] * rank
    for axis, (before, after) in enumerate(pads):
        if before < 0:
            raise refuse(call, f"padding {before}")
        if after < 0:  # the result is longer than what there is
            extra[axis] -= after
            pads[axis] = (before, 0)
    conv.pads = tuple(pads)
    return tuple(extra)


def functional_convolution(call: Call, w: Builder, x: str, kernel: str, bias: str | None) -> str:
    """A convolution of x by a computed kernel, both in ONNX's order, as an expression in ONNX's order."""
    weight = call.inputs[3 if call.kind == "QLinearConv" else 1]
    assert weight is not None
    text = _convolve(call, w, f"tf.transpose({x}, {channels_last_order(len(shape_of(weight)))})", kernel, bias, weight)
    rank = len(shape_of(weight))
    return f"tf.transpose({text}, {(0, rank - 1, *range(1, rank - 1))})"


def _convolve(call: Call, w: Builder, x: str, kernel: str, bias: str | None, weight: ir.Value) -> str:
    conv = _read(call, tuple(int(size) for size in shape_of(weight)[2:]))
    return written(
        "convolve",
        x,
        kernel,
        bias,
        strides=conv.strides if conv.is_strided else None,
        padding=conv.zeros if any(amount for pair in conv.pads for amount in pair) else None,
        dilations=conv.dilations if conv.is_dilated else None,
        groups=conv.groups if conv.groups > 1 else None,
    )


@TABLE.rule("FunctionalConv")
def computed_convolution(call: Call, w: Builder) -> None:
    weight = call.weights.get("weight") or call.inputs[1]
    assert weight is not None
    rank = len(shape_of(weight))
    kernel, bias = operand(call, 1, w), operand(call, 2, w)
    text = _convolve(call, w, channels_last(call, w, rank), kernel or "", bias, weight)
    emit_channels_last(call, w, text, rank)


@TABLE.rule("FunctionalConvTranspose")
def computed_transposed_convolution(call: Call, w: Builder) -> None:
    weight = call.weights.get("weight") or call.inputs[1]
    assert weight is not None
    rank = len(shape_of(weight))
    conv = _read(call, tuple(int(size) for size in shape_of(weight)[2:]))
    extra = _resolve_transposed(call, conv)
    text = written(
        "convolve_transposed",
        channels_last(call, w, rank),
        operand(call, 1, w),
        operand(call, 2, w),
        strides=conv.strides if conv.is_strided else None,
        padding=conv.zeros if any(amount for pair in conv.pads for amount in pair) else None,
        output_padding=extra if any(extra) else None,
        dilations=conv.dilations if conv.is_dilated else None,
        groups=conv.groups if conv.groups > 1 else None,
    )
    emit_channels_last(call, w, text, rank)


@TABLE.rule("CausalConvWithState")
def causal_convolution(call: Call, w: Builder) -> None:
    x, kernel = (in_order(value, w) for value in call.inputs[:2] if value is not None)
    activation = call.attribute("activation", "none")
    text = written(
        "convolve_causally",
        x,
        kernel,
        optional(call, 2, w) or "None",
        optional(call, 3, w),
        swish=True if activation in ("silu", "swish") else None,
    ).replace(", None)", ")")
    w.emit([call.wanted(0), call.wanted(1)], text)


@TABLE.rule("DeformConv")
def deformable_convolution(call: Call, w: Builder) -> None:
    texts = [optional(call, slot, w) for slot in range(5)]
    rank = rank_of(call.inputs[1]) or 4
    call.attribute("kernel_shape")
    pads = call.attribute("pads", [0] * 2 * (rank - 2))
    text = written(
        "convolve_deformed",
        *[text or "None" for text in texts[:4]],
        texts[4],
        strides=call.attribute("strides"),
        starts=pads[: rank - 2] if any(pads) else None,
        dilations=call.attribute("dilations"),
        groups=call.attribute("group"),
        offset_groups=call.attribute("offset_group"),
    )
    w.emit(call.y, text.replace(", None)", ")"))


@TABLE.rule("Col2Im")
def columns_to_image(call: Call, w: Builder) -> None:
    pads = call.attribute("pads")
    text = written(
        "sum_columns",
        in_order(call.x, w),
        given(call, 1, w),
        given(call, 2, w),
        strides=call.attribute("strides"),
        pads=pads if pads and any(pads) else None,
        dilations=call.attribute("dilations"),
    )
    w.emit(call.y, text)
