"""Parts of tensors, and tables that are looked up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import (
    Call,
    Order,
    Value,
    Weight,
    known,
    layer,
    onnx_type,
    operation,
    plain,
)
from assay.nn.tensor import Tensor


@operation("GetItem")
def get_item(c: Call) -> Value:
    """x[…]: slices and numbers for each axis, new axes."""
    x, key = c.x, c["key"]
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(not (item is None or item is Ellipsis or isinstance(item, (int, slice, np.integer))) for item in keys):
        raise Untranslatable("an index that is a tensor; use ops.take")
    given = sum(item is not None and item is not Ellipsis for item in keys)
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    place = keys.index(Ellipsis)
    keys[place : place + 1] = [slice(None)] * (x.rank - given)
    return _indexed(c, x, keys)


def _indexed(c: Call, x: Value, keys: Sequence[Any]) -> Value:
    form, order = x.forms[x.order], x.order
    dropped, added, axis, place = [], [], 0, 0
    for key in keys:
        if key is None:
            added.append(place)
            place += 1
            continue
        if isinstance(key, slice):
            form = _sliced(c, form, order.index(axis), key)
            place += 1
        else:
            start = int(key)
            form = c.slice(form, order.index(axis), start, start + 1 if start != -1 else (1 << 31), 1)
            dropped.append(axis)
        axis += 1
    if dropped:
        form = c.squeeze(form, [order.index(item) for item in dropped])
        left = [item for item in range(x.rank) if item not in dropped]
        order = tuple(left.index(item) for item in order if item in left)
    value = c.wrap(form, order)
    return c.wrap(c.unsqueeze(c.plain(value), added)) if added else value


def _sliced(c: Call, x: Tensor, place: int, key: slice) -> Tensor:
    if key == slice(None):
        return x
    if any(not (item is None or isinstance(item, (int, np.integer))) for item in (key.start, key.stop, key.step)):
        raise Untranslatable("a slice whose bounds are computed")
    step = 1 if key.step is None else int(key.step)
    size = x.shape[place]
    count = len(range(size)[key]) if isinstance(size, int) else c._open()
    start = (0 if step > 0 else -1) if key.start is None else int(key.start)
    stop = ((1 << 31) if step > 0 else -(1 << 31)) if key.stop is None else int(key.stop)
    if isinstance(size, int) and step > 0:
        start, stop, _ = key.indices(size)
    return c.slice(x, place, start, stop, count, step)


@operation("Slice")
def slice_operation(c: Call) -> Value:
    x = c.x
    starts = c["start_indices"]
    if not all(isinstance(item, (int, np.integer)) for item in starts):
        raise Untranslatable("a slice whose start is computed")
    keys = [
        slice(int(start), None if size in (None, -1) else int(start) + int(size))
        for start, size in zip(starts, c.option("shape"), strict=True)
    ]
    return _indexed(c, x, keys)


@operation("Take")
def take(c: Call) -> Value:
    axis = c.option("axis")
    if axis is None:
        raise Untranslatable("places in a flattened tensor; give an axis")
    given = c.find(c["x"])
    x = c.held(given) if isinstance(given, Weight) else c.value(c["x"])
    indices = c["indices"]
    if isinstance(indices, (int, np.integer)):
        keys: list[Any] = [slice(None)] * x.rank
        keys[int(axis) % x.rank] = int(indices)
        return _indexed(c, x, keys)
    places = c.value(indices)
    data, wanted = c.plain(x), c.plain(places)
    place = int(axis) % x.rank
    shape = (*data.shape[:place], *wanted.shape, *data.shape[place + 1 :])
    return c.wrap(c.node("Gather", [data, wanted], shape, x.dtype, axis=place))


@operation("TakeAlongAxis")
def take_along_axis(c: Call) -> Value:
    x, places = c.x, c.value(c["indices"])
    if c.option("axis") is None:
        raise Untranslatable("places in a flattened tensor; give an axis")
    axis = int(c.option("axis")) % x.rank
    return c.wrap(c.node("GatherElements", [c.plain(x), c.plain(places)], places.shape, x.dtype, axis=axis))


@operation("OneHot")
def one_hot(c: Call) -> Value:
    x = c.x
    return _one_hot(c, x, int(c.option("num_classes")), int(c.option("axis")))


def _one_hot(c: Call, x: Value, classes: int, axis: int) -> Value:
    data = c.plain(x)
    values = c.graph.constant(np.array([0, 1], dtype=c.dtype))
    place = axis % (x.rank + 1)
    shape = (*data.shape[:place], classes, *data.shape[place:])
    inputs = [data, c.graph.constant(np.array(classes, dtype=np.int64)), values]
    return c.wrap(c.node("OneHot", inputs, shape, c.dtype, axis=-1 if place == x.rank else place))


@layer("CategoryEncoding")
def category_encoding(c: Call) -> Value:
    x = c.x
    mode = c.option("output_mode")
    if c.given("count_weights") or mode not in ("one_hot", "multi_hot"):
        raise Untranslatable(f"output_mode={mode!r}")
    data = c.plain(x)
    if mode == "one_hot":
        if x.rank and x.shape[-1] == 1:
            data = c.squeeze(data, [x.rank - 1])
        return _one_hot(c, c.wrap(data), int(c.option("num_tokens")), -1)
    hot = _one_hot(c, x, int(c.option("num_tokens")), -1)
    shape = (*hot.shape[:-2], hot.shape[-1])
    return c.wrap(c.node("ReduceMax", [c.plain(hot), c.integers([x.rank - 1])], shape, keepdims=0))


@operation("Split")
def split(c: Call) -> list[Value]:
    x, given = c.x, c.option("indices_or_sections")
    axis = int(c.option("axis")) % x.rank
    size = known(x.shape[axis], "a split")
    order: Order = x.order
    form = x.forms[order]
    if isinstance(given, int):
        sizes = [size // given] * given
    else:
        bounds = [0, *[int(item) for item in given], size]
        sizes = [after - before for before, after in itertools.pairwise(bounds)]
    place = order.index(axis)
    shapes = [(*form.shape[:place], item, *form.shape[place + 1 :]) for item in sizes]
    if len(set(sizes)) == 1:
        parts = c.graph.node_with_outputs("Split", [form], shapes, axis=place, num_outputs=len(sizes))
    else:
        parts = c.graph.node_with_outputs("Split", [form, c.integers(sizes)], shapes, axis=place)
    return [c.wrap(part, order) for part in parts]


@operation("Unstack")
def unstack(c: Call) -> list[Value]:
    x = c.x
    axis = int(c.option("axis")) % x.rank
    found = []
    for place in range(known(x.shape[axis], "unstack")):
        keys: list[Any] = [slice(None)] * x.rank
        keys[axis] = place
        found.append(_indexed(c, x, keys))
    return found


@operation("Flip")
def flip(c: Call) -> Value:
    x = c.x
    axis = c.option("axis")
    axes = range(x.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    form = x.forms[x.order]
    for item in axes:
        place = x.order.index(int(item) % x.rank)
        form = c.slice(form, place, -1, -(1 << 31), form.shape[place], -1)
    return c.wrap(form, x.order)


@operation("Tril", "Triu")
def triangle(c: Call) -> Value:
    x = c.x
    k = c.graph.constant(np.array(int(c.option("k")), dtype=np.int64))
    data = c.plain(x)
    return c.wrap(c.node("Trilu", [data, k], data.shape, upper=int(c.name.endswith("Triu"))))


@operation("OnesLike", "ZerosLike", "FullLike")
def filled(c: Call) -> Value:
    x = c.x
    number = 1 if c.name == "ops.OnesLike" else 0 if c.name == "ops.ZerosLike" else c["fill_value"]
    if not isinstance(number, (int, float, bool)):
        raise Untranslatable("a value that is computed")
    one = c.graph.constant(np.full((1,) * x.rank, number, dtype=c.dtype))
    order = plain(x.rank)
    if all(isinstance(size, int) for size in x.shape):
        return c.wrap(c.expand(one, x.shape))
    data = c.plain(x)
    shape = c.node("Shape", [data], (x.rank,), "int64")
    return Value(x.shape, c.dtype, {order: c.node("Expand", [one, shape], x.shape, c.dtype)})


def typed_cast(c: Call, x: Tensor, dtype: str) -> Tensor:
    """A tensor in another type."""
    return x if x.dtype == dtype else c.node("Cast", [x], x.shape, dtype, to=onnx_type(dtype))
