"""Images: resizing, sampling at computed places, regions (all in ONNX's order of axes)."""

import itertools
import math

import keras
import numpy as np
from keras import ops

from assay.frameworks.keras.local.types import numbers_of


def resize_to(
    x,
    sizes=None,
    scales=None,
    axes=None,
    mode="nearest",
    coordinates="half_pixel",
    nearest="round_prefer_floor",
    cubic=-0.75,
    exclude_outside=False,
    antialias=False,
    extrapolation=0.0,
    region=None,
    policy="stretch",
):
    """x in another size: each axis is a product with the matrix of its weights."""
    axes = list(range(len(x.shape))) if axes is None else [axis % len(x.shape) for axis in axes]
    if sizes is not None:
        scales = [size / x.shape[axis] for size, axis in zip(sizes, axes, strict=True)]
        if policy != "stretch":
            scale = (min if policy == "not_larger" else max)(scales)
            scales = [scale] * len(axes)
            sizes = [math.floor(scale * x.shape[axis] + 0.5) for axis in axes]
    else:
        scales = [float(scale) for scale in scales]
        sizes = [math.floor(x.shape[axis] * scale) for axis, scale in zip(axes, scales, strict=True)]
    outside = []
    for place, (axis, size, scale) in enumerate(zip(axes, sizes, scales, strict=True)):
        ends = (0.0, 1.0) if region is None else (region[place], region[place + len(axes)])
        places = source_places(size, x.shape[axis], scale, coordinates, ends)
        outside.append((axis, (places < 0) | (places > x.shape[axis] - 1)))
        if scale == 1 and size == x.shape[axis] and coordinates != "tf_crop_and_resize":
            continue
        if mode == "nearest":
            x = ops.take(x, nearest_places(places, x.shape[axis], nearest), axis=axis)
        else:
            matrix = resize_matrix(places, x.shape[axis], scale, mode, cubic, exclude_outside, antialias)
            x = product_along(x, matrix, axis)
    if coordinates == "tf_crop_and_resize":
        for axis, beyond in outside:
            shape = [-1 if place == axis else 1 for place in range(len(x.shape))]
            x = ops.where(beyond.reshape(shape), ops.cast(extrapolation, x.dtype), x)
    return x


def product_along(x, matrix, axis):
    """A matrix times x along one axis."""
    kind = x.dtype if "float" in keras.backend.standardize_dtype(x.dtype) else "float64"
    y = ops.matmul(ops.cast(ops.moveaxis(x, axis, -1), kind), ops.convert_to_tensor(matrix.transpose(), dtype=kind))
    return ops.cast(ops.moveaxis(y, -1, axis), x.dtype)


def source_places(size, length, scale, coordinates, ends):
    """Where in the source each element of the result lies."""
    i = np.arange(size, dtype=np.float64)
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "align_corners":
        return i * (length - 1) / (length * scale - 1) if length * scale > 1 else np.zeros(size)
    if coordinates == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if size > 1 else np.zeros(size) - 0.5 * (size == 0)
    if coordinates == "half_pixel_symmetric":
        adjustment = size / (length * scale)
        return length / 2 * (1 - adjustment) + (i + 0.5) / scale - 0.5
    if coordinates == "tf_crop_and_resize":
        start, end = ends
        if size > 1:
            return start * (length - 1) + i * (end - start) * (length - 1) / (size - 1)
        return np.full(size, 0.5 * (start + end) * (length - 1))
    if coordinates == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    return (i + 0.5) / scale - 0.5


def nearest_places(places, length, rounding):
    """The element that is taken for each place."""
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }[rounding]
    return np.clip(rounded, 0, length - 1).astype(np.int64)


def resize_matrix(places, length, scale, mode, cubic, exclude_outside, antialias):
    """The weight of every source element in every element of the result."""
    wide = max(1.0, 1.0 / scale) if antialias else 1.0
    reach = (2 if mode == "cubic" else 1) * wide
    first = np.floor(places - reach).astype(int)
    offsets = np.arange(math.ceil(2 * reach) + 2)
    taken = first[:, None] + offsets
    distance = np.abs(taken - places[:, None]) / wide
    if mode == "cubic":
        near = ((cubic + 2) * distance - (cubic + 3)) * distance**2 + 1
        far = ((cubic * distance - 5 * cubic) * distance + 8 * cubic) * distance - 4 * cubic
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    else:
        weights = np.maximum(0.0, 1.0 - distance)
    if exclude_outside or (antialias and mode == "cubic" and exclude_outside):
        weights = np.where((taken < 0) | (taken >= length), 0.0, weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(places), length))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(taken, 0, length - 1)), weights)
    return matrix


def pixels_at(x, indices, padding="zeros"):
    """x (batch, channels, …) at rows of whole places (batch, n, axes); zeros beyond its edges unless those are repeated."""
    sizes = tuple(x.shape[2:])
    flat = ops.reshape(x, (x.shape[0], x.shape[1], int(np.prod(sizes))))
    place = ops.zeros_like(indices[..., 0])
    inside = place == 0
    for axis, size in enumerate(sizes):
        index = indices[..., axis]
        inside = inside & (index >= 0) & (index < size)
        place = place * size + ops.clip(index, 0, size - 1)
    seen = ops.take_along_axis(flat, ops.broadcast_to(place[:, None], (*flat.shape[:2], place.shape[1])), axis=-1)
    return ops.where(inside[:, None], seen, ops.zeros_like(seen)) if padding == "zeros" else seen


def interpolate_at(x, places, padding="zeros"):
    """x (batch, channels, …) at rows of places (batch, n, axes), linear between its elements."""
    low = ops.floor(places)
    part = places - low
    low = ops.cast(low, "int64")
    total = 0
    for corner in itertools.product((0, 1), repeat=places.shape[-1]):
        weight = ops.ones_like(part[..., 0])
        for axis, upper in enumerate(corner):
            weight = weight * (part[..., axis] if upper else 1 - part[..., axis])
        total = total + weight[:, None] * pixels_at(x, low + ops.convert_to_tensor(corner, dtype="int64"), padding)
    return total


def cubic_at(x, places, padding, align_corners, cubic=-0.75):
    """x (batch, channels, …) at rows of places, by cubic convolution; every element it looks at is padded on its own."""
    low = ops.floor(places)
    part = places - low
    total = 0
    for corner in itertools.product((-1, 0, 1, 2), repeat=places.shape[-1]):
        weight = ops.ones_like(part[..., 0])
        for axis, offset in enumerate(corner):
            d = ops.abs(part[..., axis] - offset)
            near = ((cubic + 2) * d - (cubic + 3)) * d**2 + 1
            far = ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic
            weight = weight * ops.where(d <= 1, near, far)
        index = low + ops.convert_to_tensor(corner, dtype=low.dtype)
        index = within_edges(index, x.shape[2:], padding, align_corners)
        total = total + weight[:, None] * pixels_at(x, ops.cast(ops.round(index), "int64"), padding)
    return total


def within_edges(places, sizes, padding, align_corners):
    """Places beyond the edges brought back: to the edge, or mirrored at it."""
    if padding == "zeros":
        return places
    columns = []
    for axis, size in enumerate(sizes):
        place = places[..., axis]
        if padding == "reflection":
            low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
            span = high - low
            if span:
                away = (place - low) % (2 * span)
                place = low + ops.where(away > span, 2 * span - away, away)
        columns.append(ops.clip(place, 0, size - 1))
    return ops.stack(columns, axis=-1)


def grid_sample(x, grid, mode="linear", padding="zeros", align_corners=False):
    """x at places of a grid, which counts from -1 to 1 along each axis, the last axis of x first."""
    sizes = tuple(x.shape[2:])
    batch, *shape, rank = grid.shape
    places = ops.flip(ops.reshape(grid, (batch, -1, rank)), axis=-1)
    lengths = ops.convert_to_tensor(sizes, dtype=x.dtype)
    places = (places + 1) / 2 * (lengths - 1) if align_corners else ((places + 1) * lengths - 1) / 2
    if mode == "cubic":
        y = cubic_at(x, places, padding, align_corners)
    else:
        places = within_edges(places, sizes, padding, align_corners)
        y = (
            pixels_at(x, ops.cast(ops.round(places), "int64"), padding)
            if mode == "nearest"
            else interpolate_at(x, places, padding)
        )
    return ops.reshape(y, (batch, x.shape[1], *shape))


def roi_align(x, regions, batches, output, sampling_ratio=0, spatial_scale=1.0, mode="avg", half_pixel=True):
    """Each region of its image cut into output cells: the mean (or maximum) of x at places inside of each."""
    height, width = x.shape[2:]
    corners = regions * spatial_scale - (0.5 if half_pixel else 0.0)
    results = []
    for number, batch in enumerate(numbers_of(batches)):
        left, top, right, bottom = (corners[number, place] for place in range(4))
        wide, high = right - left, bottom - top
        if not half_pixel:
            wide, high = ops.maximum(wide, 1.0), ops.maximum(high, 1.0)
        counts = [
            sampling_ratio or math.ceil(numbers_of(length)[0] / cells)
            for length, cells in ((high, output[0]), (wide, output[1]))
        ]
        ys = top + high * axis_places(output[0], counts[0], x.dtype)
        xs = left + wide * axis_places(output[1], counts[1], x.dtype)
        grid = ops.stack(ops.meshgrid(ys, xs, indexing="ij"), axis=-1)
        grid = ops.reshape(grid, (1, -1, 2))
        beyond = (grid[..., 0] < -1) | (grid[..., 0] > height) | (grid[..., 1] < -1) | (grid[..., 1] > width)
        grid = within_edges(grid, (height, width), "border", True)
        image = x[batch : batch + 1]
        shape = (x.shape[1], output[0], counts[0], output[1], counts[1])
        if mode == "avg":
            seen = interpolate_at(image, grid, "border")
            seen = ops.where(beyond[:, None], ops.zeros_like(seen), seen)
            results.append(ops.mean(ops.reshape(seen[0], shape), axis=(2, 4)))
        else:
            results.append(ops.max(ops.reshape(largest_corner_at(image, grid, beyond)[0], shape), axis=(2, 4)))
    return ops.stack(results)


def largest_corner_at(x, places, beyond):
    """The largest of the four weighted neighbours of each place, which is what ONNX's RoiAlign takes the maximum of."""
    low = ops.floor(places)
    part = places - low
    low = ops.cast(low, "int64")
    seen = []
    for corner in itertools.product((0, 1), repeat=2):
        weight = ops.ones_like(part[..., 0])
        for axis, upper in enumerate(corner):
            weight = weight * (part[..., axis] if upper else 1 - part[..., axis])
        seen.append(weight[:, None] * pixels_at(x, low + ops.convert_to_tensor(corner, dtype="int64"), "border"))
    best = ops.max(ops.stack(seen), axis=0)
    return ops.where(beyond[:, None], ops.zeros_like(best), best)


def axis_places(cells, count, dtype):
    """Evenly spread places in each of several cells, between 0 and 1."""
    places = (np.arange(cells)[:, None] + (np.arange(count) + 0.5) / max(count, 1)) / cells
    return ops.convert_to_tensor(places.reshape(-1), dtype=dtype)


def affine_grid(theta, size, align_corners=False):
    """Where an affine map finds every place of an image: theta (batch, axes, axes + 1) → (batch, …, axes).

    Places lie in -1 … 1, the last axis of the image first; `size` is the image's (batch, channels, …).
    """
    axes = ops.meshgrid(*(pixels_along(length, align_corners, theta.dtype) for length in size[2:]), indexing="ij")
    places = ops.stack([*reversed(axes), ops.ones_like(axes[0])], axis=-1)
    found = ops.matmul(ops.reshape(places, (1, -1, len(axes) + 1)), ops.transpose(theta, (0, 2, 1)))
    return ops.reshape(found, (-1, *size[2:], len(axes)))


def pixels_along(length, align_corners, dtype):
    """The centres of an axis' pixels in -1 … 1; with `align_corners` those of the first and the last are the ends."""
    index = ops.cast(ops.arange(length), dtype)
    return 2 * index / max(length - 1, 1) - 1 if align_corners else (2 * index + 1) / length - 1
