"""TensorFlow's lowering table: convolutions and pooling. All data are channels-last."""

from __future__ import annotations

from dataclasses import dataclass

from assay.frameworks.tensorflow.common import TABLE, one_or_all, refuse, require
from assay.graph.calls import Call
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
        return _symmetric(self.pads)

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


def _symmetric(pads: tuple[tuple[int, int], ...]) -> int | tuple[tuple[int, int], ...]:
    return pads[0][0] if len({amount for pair in pads for amount in pair}) == 1 else pads


def _read(call: Call, size: tuple[int, ...]) -> _Convolution:
    rank = len(size)
    call.attribute("kernel_shape")
    require(call, auto_pad="NOTSET")
    pads = call.attribute("pads", [0] * 2 * rank)
    return _Convolution(
        size,
        tuple(call.attribute("strides", [1] * rank)),
        tuple(call.attribute("dilations", [1] * rank)),
        tuple(zip(pads[:rank], pads[rank:], strict=True)),
        call.attribute("group", 1),
        "bias" in call.weights,
    )


def _weights(call: Call, *steps: Step) -> list[NativeWeight]:
    weights = [NativeWeight("kernel", call.weights["weight"], steps)]
    return weights + ([NativeWeight("bias", call.weights["bias"])] if "bias" in call.weights else [])


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
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
    text = f"{w.layer(callee, arguments, weights)}({w.use(call.x)})"
    if skipped:
        text += f"[:, {', '.join(f'::{stride}' if stride > 1 else ':' for stride in skipped)}]"
    w.emit(call.y, text, light=True)


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    inputs, filters, *size = (int(value) for value in shape_of(call.weights["weight"]))
    conv = _read(call, tuple(size))
    extra = tuple(call.attribute("output_padding", [0] * conv.rank))
    if "output_shape" in call.attributes:
        raise refuse(call, "output_shape")
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


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    size = call.attribute("kernel_shape")
    rank = len(size)
    strides = call.attribute("strides", [1] * rank)
    amounts = call.attribute("pads", [0] * 2 * rank)
    average = call.kind == "AveragePool"
    counted = bool(call.attribute("count_include_pad", 0))
    require(call, auto_pad="NOTSET", ceil_mode=0, dilations=[1] * rank, storage_order=0)
    if len(call.outputs) > 1 or rank > 3:
        raise refuse(call, f"{len(call.outputs)} outputs over {rank} axes")
    pads = tuple(zip(amounts[:rank], amounts[rank:], strict=True))
    x = w.use(call.x)
    window = f"{w.literal(one_or_all(size), 'size')}, {w.literal(one_or_all(strides), 'strides')}"
    function = f"tf.nn.{'avg' if average else 'max'}_pool{rank}d"
    if not any(amounts):
        text = f'{function}({x}, {window}, "VALID")'
    elif average and counted:
        text = f'{function}(tf.pad({x}, {((0, 0), *pads, (0, 0))}), {window}, "VALID")'
    elif pads == _same(call, size, strides):
        text = f'{function}({x}, {window}, "SAME")'
    else:
        text = f"{'average' if average else 'max'}_pool({x}, {window}, {w.literal(_symmetric(pads), 'padding')})"
    w.emit(call.y, text, light=True)


def _same(call: Call, size: list[int], strides: list[int]) -> tuple[tuple[int, int], ...]:
    """What "SAME" adds to input of this size."""
    pairs = []
    for places, length, stride in zip(call.shape()[2:], size, strides, strict=True):
        if isinstance(places, str):
            return ()
        total = max((-(-places // stride) - 1) * stride + length - places, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


@TABLE.rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call, w: Builder) -> None:
    axes = tuple(range(1, call.spatial_rank + 1))
    name = "reduce_mean" if call.kind == "GlobalAveragePool" else "reduce_max"
    w.emit(call.y, f"tf.{name}({w.use(call.x)}, axis={one_or_all(axes)}, keepdims=True)", light=True)
