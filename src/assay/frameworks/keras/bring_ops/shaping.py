"""Other axes, other sizes, the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import NeedsStaticBatch, Untranslatable
from assay.frameworks.keras.bring_ops.common import Call, Value, channels, first, known, layer, operation, plain
from assay.nn.tensor import Dim, Shape, Tensor


def _factor(size: Dim) -> tuple[int, str]:
    """`4*batch` → 4 and `batch`; a number and nothing for a number."""
    if isinstance(size, int):
        return size, ""
    number, _, name = size.rpartition("*")
    return (int(number) if number.isdigit() else 1), name


def reshaped(shape: Shape, target: Sequence[Any], spec: Sequence[int | None]) -> Shape:
    """The shape that a reshape gives, with the names of open sizes where they can be told."""
    numbers, names = 1, []
    for size in shape:
        factor, name = _factor(size)
        numbers *= factor
        names += [name] if name else []
    found: list[Dim | None] = []
    for axis, wanted in enumerate(spec):
        asked = target[axis] if axis < len(target) else None
        found.append(int(wanted) if wanted is not None else None if asked is None or asked == -1 else int(asked))
    open_axes = [axis for axis, size in enumerate(found) if size is None]
    # What stands at the same place in both is the same size, before anything is worked out.
    for axis in list(open_axes[:-1] if len(open_axes) > 1 else []):
        if axis < len(shape) and isinstance(shape[axis], str) and names and _factor(shape[axis])[1] == names[0]:
            found[axis] = shape[axis]
            numbers //= _factor(shape[axis])[0]
            names.pop(0)
            open_axes.remove(axis)
    if len(open_axes) > 1 or len(names) > 1:
        raise NeedsStaticBatch
    if open_axes:
        rest = math.prod(int(size) for size in found if isinstance(size, int)) or 1
        factor = numbers // rest
        name = names[0] if names else ""
        found[open_axes[0]] = factor if not name else name if factor == 1 else f"{factor}*{name}"
    return tuple(size if size is not None else 1 for size in found)


def _reshape(c: Call, x: Value, target: Sequence[Any]) -> Value:
    shape = reshaped(x.shape, target, c.specs[0][0])
    added = _ones_added(x.shape, shape)
    if added and x.order == plain(x.rank) and x.rank > 0:
        return _unsqueezed(c, x, shape, added)
    if shape == x.shape:
        return x
    return c.wrap(c.reshape(c.plain(x), shape))


def _ones_added(before: Shape, after: Shape) -> list[int]:
    """The places of axes of size one that a reshape adds between the last axis and those before; none if it does more."""
    if len(after) <= len(before) or len(before) < 2 or before[-1] != after[-1] or before[-1] == 1:
        return []
    lead = len(before) - 1
    added = list(range(lead, len(after) - 1))
    return added if after[:lead] == before[:-1] and all(after[axis] == 1 for axis in added) else []


def _unsqueezed(c: Call, x: Value, shape: Shape, added: Sequence[int]) -> Value:
    """(batch, channels) → (batch, 1, 1, channels): an image of one place, channels first in the graph."""
    if len(shape) < 3 or x.rank != 2:
        return c.wrap(c.unsqueeze(c.plain(x), added))
    order = first(len(shape))
    data = c.unsqueeze(c.plain(x), list(range(2, len(shape))))
    return Value(shape, x.dtype, {order: data})


@layer("Reshape")
def reshape_layer(c: Call) -> Value:
    return _reshape(c, c.x, (-1, *c.option("target_shape")) if -1 not in c.option("target_shape") else ())


@operation("Reshape")
def reshape_operation(c: Call) -> Value:
    given = c.option("newshape")
    if not isinstance(given, (tuple, list)) or any(hasattr(item, "dtype") for item in given):
        raise Untranslatable("a shape that is computed")
    return _reshape(c, c.x, given)


@layer("Flatten")
def flatten_layer(c: Call) -> Value:
    x = c.x
    if getattr(c.source, "data_format", "channels_last") == "channels_first" and x.rank > 2:
        moved = c.transpose(c.plain(x), (0, *range(2, x.rank), 1))
        x = c.wrap(moved)
    size = math.prod(known(item, "Flatten") for item in x.shape[1:])
    if x.rank == 2:
        return x
    return c.wrap(c.reshape(c.plain(x), (x.shape[0], size)))


@operation("Ravel")
def ravel(c: Call) -> Value:
    return _reshape(c, c.x, (-1,))


@layer("Permute")
def permute(c: Call) -> Value:
    return _moved(c, c.x, (0, *c.option("dims")))


def _moved(c: Call, x: Value, axes: Sequence[int]) -> Value:
    """Keras' axis i of the result is axis axes[i] of x: one more order of the same tensor."""
    return c.wrap(c.transpose(c.plain(x), [int(axis) % x.rank for axis in axes]))


@operation("Transpose")
def transpose(c: Call) -> Value:
    x = c.x
    axes = c.option("axes")
    return _moved(c, x, list(reversed(range(x.rank))) if axes is None else axes)


@operation("Swapaxes")
def swap_axes(c: Call) -> Value:
    x = c.x
    axes = list(range(x.rank))
    one, other = int(c.option("axis1")) % x.rank, int(c.option("axis2")) % x.rank
    axes[one], axes[other] = axes[other], axes[one]
    return _moved(c, x, axes)


@operation("Moveaxis")
def move_axis(c: Call) -> Value:
    x = c.x
    source, target = c.option("source"), c.option("destination")
    one = [source] if isinstance(source, int) else list(source)
    other = [target] if isinstance(target, int) else list(target)
    axes = [axis for axis in range(x.rank) if axis not in [item % x.rank for item in one]]
    for place, axis in sorted(zip([item % x.rank for item in other], one, strict=True)):
        axes.insert(place, axis % x.rank)
    return _moved(c, x, axes)


@operation("ExpandDims")
def expand_dims(c: Call) -> Value:
    x = c.x
    axis = c.option("axis")
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = x.rank + len(axes)
    return c.wrap(c.unsqueeze(c.plain(x), [int(item) % rank for item in axes]))


@operation("Squeeze")
def squeeze(c: Call) -> Value:
    x = c.x
    axis = c.option("axis")
    axes = [axis] if isinstance(axis, int) else list(axis or [])
    found = [int(item) % x.rank for item in axes] or [place for place, size in enumerate(x.shape) if size == 1]
    form = c.squeeze(x.forms[x.order], sorted(x.order.index(item) for item in found))
    left = [item for item in range(x.rank) if item not in found]
    return c.wrap(form, tuple(left.index(item) for item in x.order if item in left))


@operation("BroadcastTo")
def broadcast_to(c: Call) -> Value:
    x = c.x
    shape = list(c.shape())
    for axis, size in enumerate(c.option("shape")):
        at = axis - (len(shape) - x.rank)
        if size is None and at >= 0:
            shape[axis] = x.shape[at]
        elif size is None and axis == 0 and "batch" in c.sizes:
            shape[axis] = "batch"
    return c.wrap(c.expand(c.plain(x), tuple(shape)))


@operation("Tile")
def tile(c: Call) -> Value:
    x = c.x
    repeats = c.option("repeats")
    counts = [int(item) for item in ([repeats] if isinstance(repeats, int) else repeats)]
    rank = max(x.rank, len(counts))
    counts = [1] * (rank - len(counts)) + counts
    data = c.unsqueeze(c.plain(x), list(range(rank - x.rank))) if rank > x.rank else c.plain(x)
    shape = tuple(_times(size, count) for size, count in zip(data.shape, counts, strict=True))
    return c.wrap(c.node("Tile", [data, c.integers(counts)], shape))


def _times(size: Dim, count: int) -> Dim:
    factor, name = _factor(size)
    return factor * count if not name else size if count == 1 else f"{factor * count}*{name}"


@operation("Repeat")
def repeat(c: Call) -> Value:
    x = c.x
    count, axis = c.option("repeats"), c.option("axis")
    if axis is None or not isinstance(count, int):
        raise Untranslatable("elements repeated each a number of times of its own, or without an axis")
    return _repeated(c, x, int(axis) % x.rank, count)


def _repeated(c: Call, x: Value, axis: int, count: int) -> Value:
    data = c.plain(x)
    size = data.shape[axis]
    shape = (*data.shape[:axis], _times(size, count), *data.shape[axis + 1 :])
    if size == 1:
        return c.wrap(c.expand(data, shape))
    wide = c.unsqueeze(data, [axis + 1])
    wide = c.expand(wide, (*wide.shape[: axis + 1], count, *wide.shape[axis + 2 :]))
    return c.wrap(c.reshape(wide, shape))


@layer("RepeatVector")
def repeat_vector(c: Call) -> Value:
    x = c.x
    data = c.unsqueeze(c.plain(x), [1])
    return c.wrap(c.expand(data, (data.shape[0], int(c.option("n")), data.shape[2])))


# Margins --------------------------------------------------------------------------------------------------------------


def _pairs(given: Any, rank: int) -> list[tuple[int, int]]:
    listed = [given] if rank == 1 else list(given)
    if rank == 1 and isinstance(given, (list, tuple)) and len(given) == 2 and isinstance(given[0], int):
        return [(int(given[0]), int(given[1]))]
    return [(int(item), int(item)) if isinstance(item, int) else (int(item[0]), int(item[1])) for item in listed]


@layer("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(c: Call) -> Value:
    x = c.x
    order = channels(c, x)
    pairs = _pairs(c.option("padding"), x.rank - 2)
    return _padded(c, x, order, [(0, 0), (0, 0), *pairs], "constant", 0.0)


@operation("Pad")
def pad(c: Call) -> Value:
    x = c.x
    pairs = [(int(item[0]), int(item[-1])) for item in c.option("pad_width")]
    pairs = pairs * x.rank if len(pairs) == 1 else pairs
    value = c.arguments.get("constant_values")
    if value is not None and not isinstance(value, (int, float)):
        raise Untranslatable("a value that is computed")
    mode = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": ""}[c.option("mode")]
    if not mode:
        raise Untranslatable("mode='symmetric'")
    return _padded(c, x, x.order, [pairs[axis] for axis in x.order], mode, float(value or 0.0))


def _padded(
    c: Call, x: Value, order: tuple[int, ...], pairs: Sequence[tuple[int, int]], mode: str, value: float
) -> Value:
    data = c.in_order(x, order)
    if not any(before or after for before, after in pairs):
        return x
    amounts = [before for before, _ in pairs] + [after for _, after in pairs]
    stored = tuple(
        size if pair == (0, 0) else size + sum(pair) if isinstance(size, int) else c._open()
        for size, pair in zip(data.shape, pairs, strict=True)
    )
    fill: list[Tensor | None] = [c.graph.constant(np.array(value, dtype=x.dtype))] if mode == "constant" else []
    y = c.node("Pad", [data, c.integers(amounts), *fill], stored, mode=mode)
    return c.wrap(y, order)


@layer("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(c: Call) -> Value:
    x = c.x
    order = channels(c, x)
    data = c.in_order(x, order)
    starts, stops, axes, shape = [], [], [], list(data.shape)
    for place, (before, after) in enumerate(_pairs(c.option("cropping"), x.rank - 2), start=2):
        if before or after:
            size = data.shape[place]
            starts.append(before)
            stops.append(size - after if isinstance(size, int) else -after if after else 1 << 31)
            axes.append(place)
            shape[place] = size - before - after if isinstance(size, int) else c._open()
    if not axes:
        return x
    y = c.node("Slice", [data, *[c.integers(item) for item in (starts, stops, axes)]], tuple(shape))
    return c.wrap(y, order)
