"""TensorFlow's lowering table: pooling. All data are channels-last."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from assay.frameworks.tensorflow.common import TABLE, given, in_order, is_float, one_or_all, rank_of, refuse, written
from assay.frameworks.tensorflow.rules.spatial import (
    channels_last,
    emit_channels_last,
    padding_of,
    places_of,
    symmetric,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.write.body import Builder


@TABLE.rule("MaxPool", "AveragePool", "LpPool")
def pool(call: Call, w: Builder) -> None:
    size = call.attribute("kernel_shape")
    rank = len(size)
    strides = call.attribute("strides", [1] * rank)
    dilations = call.attribute("dilations", [1] * rank)
    average = call.kind == "AveragePool"
    counted = bool(call.attribute("count_include_pad", 0))
    ceil = bool(call.attribute("ceil_mode", 0))
    pads = padding_of(call, tuple(size), tuple(strides), tuple(dilations))
    column_major = bool(call.attribute("storage_order", 0))
    power = call.attribute("p", 2)
    more = _overhang(call, size, strides, dilations, pads) if ceil else [0] * rank
    special = call.kind == "LpPool" or any(rate > 1 for rate in dilations) or any(more) or rank > 3
    special |= call.wanted(1) is not None or not is_float(call.x)
    special |= (
        rank == 3 and call.x.dtype == ir.DataType.DOUBLE
    )  # TensorFlow's kernels know no float64 in three dimensions
    if special:
        ends = tuple((before, after + extra) for (before, after), extra in zip(pads, more, strict=True))
        _pool_windows(call, w, ends, pads, counted, power, column_major)
        return
    x = channels_last(call, w, rank + 2)
    window = f"{w.literal(one_or_all(size), 'size')}, {w.literal(one_or_all(strides), 'strides')}"
    function = f"tf.nn.{'avg' if average else 'max'}_pool{rank}d"
    if not any(amount for pair in pads for amount in pair):
        text = f'{function}({x}, {window}, "VALID")'
    elif average and counted:
        text = f'{function}(tf.pad({x}, {((0, 0), *pads, (0, 0))}), {window}, "VALID")'
    elif pads == _same(call, size, strides):
        text = f'{function}({x}, {window}, "SAME")'
    else:
        text = f"{'average' if average else 'max'}_pool({x}, {window}, {w.literal(symmetric(pads), 'padding')})"
    emit_channels_last(call, w, text, rank + 2)


def _overhang(
    call: Call, size: list[int], strides: list[int], dilations: list[int], pads: tuple[tuple[int, int], ...]
) -> list[int]:
    """By how much the last window of each axis goes beyond the padding, where sizes are rounded up."""
    found = []
    for axis, places in enumerate(places_of(call, len(size))):
        if places is None:
            if strides[axis] > 1:
                raise refuse(call, "ceil_mode and sizes that are not known")
            found.append(0)
            continue
        before, after = pads[axis]
        reach = dilations[axis] * (size[axis] - 1) + 1
        count = -(-(places + before + after - reach) // strides[axis]) + 1
        if (count - 1) * strides[axis] >= places + before:  # a window begins in x, or in the padding before it
            count -= 1
        found.append(max((count - 1) * strides[axis] + reach - places - before, 0) - after)
    return found


def _pool_windows(
    call: Call,
    w: Builder,
    ends: tuple[tuple[int, int], ...],
    pads: tuple[tuple[int, int], ...],
    counted: bool,
    power: int,
    column_major: bool,
) -> None:
    """Pooling over windows that are laid out one by one: with dilations, of integers, with the places of the largest."""
    size, rank = tuple(call.attribute("kernel_shape")), len(call.attribute("kernel_shape"))
    strides, dilations = call.attribute("strides"), call.attribute("dilations")
    options: dict[str, Any] = {
        "strides": tuple(strides) if strides and any(stride > 1 for stride in strides) else None,
        "dilations": tuple(dilations) if dilations and any(rate > 1 for rate in dilations) else None,
        "padding": ends if any(amount for pair in ends for amount in pair) else None,
    }
    x = channels_last(call, w, rank + 2)
    if call.kind == "LpPool":
        emit_channels_last(call, w, written("lp_pool_windows", x, str(size), power=power, **options), rank + 2)
    elif call.kind == "AveragePool":
        if counted and options["padding"]:
            pairs = zip(pads, ends, strict=True)
            options["counted"] = tuple((min(a, c), min(b, d)) for (a, b), (c, d) in pairs)
        emit_channels_last(call, w, written("average_windows", x, str(size), **options), rank + 2)
    elif call.wanted(1) is None:
        emit_channels_last(call, w, written("max_windows", x, str(size), **options), rank + 2)
    else:
        column = True if column_major else None
        text = written("max_windows_with_places", x, str(size), column_major=column, **options)
        if list(order_of(call.x)) != list(range(rank + 2)):
            w.emit(call.outputs, text)
        else:
            back = (0, rank + 1, *range(1, rank + 1))
            w.emit(call.outputs, f"tuple(tf.transpose(part, {back}) for part in {text})")


@TABLE.rule("MaxUnpool")
def unpool(call: Call, w: Builder) -> None:
    size = call.attribute("kernel_shape")
    rank = len(size)
    strides, pads = call.attribute("strides", [1] * rank), call.attribute("pads", [0] * 2 * rank)
    sizes = given(call, 2, w)
    text = written(
        "unpool_largest",
        in_order(call.x, w),
        in_order(call.inputs[1], w),  # type: ignore[arg-type]
        str(tuple(size)),
        str(tuple(strides)),
        None if sizes == "None" else sizes,
        padding=[sum(pair) for pair in zip(pads[:rank], pads[rank:], strict=True)] if any(pads) else None,
    )
    w.emit(call.y, text)


def _same(call: Call, size: list[int], strides: list[int]) -> tuple[tuple[int, int], ...]:
    """What "SAME" adds to input of this size."""
    pairs = []
    for places, length, stride in zip(places_of(call, len(size)), size, strides, strict=True):
        if places is None:
            return ()
        total = max((-(-places // stride) - 1) * stride + length - places, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


@TABLE.rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call, w: Builder) -> None:
    rank = rank_of(call.x)
    power = call.attribute("p", 2)
    if rank is None:
        axes = f"range(2, len({w.use(call.x, 100)}.shape))"
    elif list(order_of(call.x)) == list(range(rank)):
        axes = str(one_or_all(tuple(range(2, rank))))
    else:
        axes = str(one_or_all(tuple(range(1, rank - 1))))
    if call.kind == "GlobalLpPool":
        text = f"tf.reduce_sum(tf.abs({w.use(call.x)}) ** {power}, axis={axes}, keepdims=True) ** (1 / {power})"
        w.emit(call.y, text, precedence=40)
        return
    name = "reduce_mean" if call.kind == "GlobalAveragePool" else "reduce_max"
    w.emit(call.y, f"tf.{name}({w.use(call.x)}, axis={axes}, keepdims=True)", light=True)
