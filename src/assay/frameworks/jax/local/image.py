"""Images. Channels stand before the spatial axes."""

import math
from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np


def resized(
    x: jax.Array,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_floor",
    cubic: float = -0.75,
    antialias: bool = False,
    exclude_outside: bool = False,
    policy: str = "stretch",
    region: Sequence[float] | None = None,
    extrapolation: float = 0.0,
) -> jax.Array:
    """Resizes one axis after the other by a product with a matrix of weights, which depends on sizes only."""
    axes = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    before = [x.shape[axis] for axis in axes]
    if sizes is not None:
        scales = [size / old for size, old in zip(sizes, before, strict=True)]
        if policy != "stretch":
            scales = [min(scales) if policy == "not_larger" else max(scales)] * len(axes)
            sizes = [int(scale * old + 0.5) for scale, old in zip(scales, before, strict=True)]
    else:
        assert scales is not None
        sizes = [math.floor(scale * old) for scale, old in zip(scales, before, strict=True)]
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for place, axis in enumerate(axes):
        ends = (0.0, 1.0) if region is None else (region[place], region[place + len(axes)])
        if scales[place] == 1 and sizes[place] == before[place] and ends == (0.0, 1.0):
            continue
        where, outside = source_coordinates(before[place], sizes[place], scales[place], coordinates, ends)
        kind = nearest if mode == "nearest" else mode
        weights = resize_weights(where, before[place], scales[place], kind, cubic, antialias, exclude_outside)
        y = jnp.moveaxis(jnp.tensordot(y, jnp.asarray(weights, y.dtype), axes=(axis, 1)), -1, axis)
        if outside.any():
            y = jnp.where(outside.reshape(-1, *[1] * (x.ndim - axis - 1)), extrapolation, y)
    if jnp.issubdtype(x.dtype, jnp.integer):
        ends = jnp.iinfo(x.dtype)
        y = jnp.clip(jnp.round(y), ends.min, ends.max)
    return y.astype(x.dtype)


def source_coordinates(
    before: int, after: int, scale: float, mode: str, ends: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Where each element of a resized axis lies on the old one, and which of them lie outside of a cropped region."""
    place, length = np.arange(after, dtype=np.float64), scale * before
    if mode == "align_corners":
        where = place * 0 if length == 1 else place * (before - 1) / (length - 1)
    elif mode == "asymmetric":
        where = place / scale
    elif mode == "tf_crop_and_resize":
        span = (ends[1] - ends[0]) * (before - 1)
        where = place * 0 + span / 2 if length == 1 else place * span / (length - 1)
        where = where + ends[0] * (before - 1)
        return where, (where < 0) | (where > before - 1)
    elif mode == "pytorch_half_pixel" and length == 1:
        where = place * 0 - 0.5
    else:
        where = (place + 0.5) / scale - 0.5
        if mode == "half_pixel_symmetric":  # the middle stays in the middle though the size was rounded
            where = where + before / 2 * (1 - after / length)
    return where, np.zeros(after, bool)


def resize_weights(
    where: np.ndarray, before: int, scale: float, mode: str, cubic: float, antialias: bool, exclude_outside: bool
) -> np.ndarray:
    """How much of each old element is in each new one."""
    floor = np.floor(where)
    if mode in ("linear", "cubic"):
        stretch = min(scale, 1.0) if antialias else 1.0  # a kernel so much wider averages what is left out
        reach = 1 if mode == "linear" else 2
        first = math.floor(-reach / stretch) + 1
        offsets = np.arange(first, 2 - first)
        distance = np.abs((offsets - (where - floor)[:, None]) * stretch)
        if mode == "linear":
            weights = np.clip(1 - distance, 0, None)
        else:
            near = ((cubic + 2) * distance - (cubic + 3)) * distance**2 + 1
            far = ((cubic * distance - 5 * cubic) * distance + 8 * cubic) * distance - 4 * cubic
            weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        if antialias:
            weights /= weights.sum(1, keepdims=True)
    else:
        fraction = where - floor
        up = {
            "round_prefer_floor": fraction > 0.5,
            "round_prefer_ceil": fraction >= 0.5,
            "ceil": fraction > 0,
            "floor": fraction < 0,
        }[mode]
        offsets, weights = np.zeros(1, int), np.ones((len(where), 1))
        floor = floor + up
    places = floor[:, None].astype(int) + offsets
    if exclude_outside:
        weights = np.where((places < 0) | (places >= before), 0, weights)
        weights /= weights.sum(1, keepdims=True)
    matrix = np.zeros((len(where), before))
    np.add.at(matrix, (np.arange(len(where))[:, None], np.clip(places, 0, before - 1)), weights)
    return matrix


def grid_sampled(
    x: jax.Array, grid: jax.Array, mode: str = "linear", padding: str = "zeros", align_corners: bool = False
) -> jax.Array:
    """x at the places of a grid, whose coordinates (the last axis first) go from -1 to 1 across the image."""
    sizes = x.shape[2:]
    where = []
    for axis, size in enumerate(sizes):
        place = grid[..., len(sizes) - 1 - axis]
        place = (place + 1) / 2 * (size - 1) if align_corners else ((place + 1) * size - 1) / 2
        if mode == "nearest":
            place = jnp.round(place)
        if padding == "border" and mode != "cubic":
            place = jnp.clip(place, 0, size - 1)
        elif padding == "reflection" and mode != "cubic":
            place = jnp.clip(reflected(place, size, align_corners), 0, size - 1)
        where.append(place)
    near = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}[mode]
    floors = [jnp.floor(place) for place in where]
    weights = [neighbour_weights(place - low, mode) for place, low in zip(where, floors, strict=True)]

    def pixels(image: jax.Array, places: list[jax.Array]) -> jax.Array:  # of one image: (channels, …)
        return image[:, *places]

    total = jnp.zeros((), x.dtype)
    for steps in product(range(len(near)), repeat=len(sizes)):
        inside, places, weight = jnp.array(True), [], jnp.array(1, x.dtype)
        for axis, step in enumerate(steps):
            place, size = floors[axis] + near[step], sizes[axis]
            if padding == "reflection":
                place = reflected(place, size, align_corners)
            elif padding == "zeros":
                inside = inside & (place >= 0) & (place < size)
            places.append(jnp.clip(place, 0, size - 1).astype(int))
            weight = weight * weights[axis][step]
        found = jax.vmap(pixels)(x, places)
        total = total + found * jnp.where(inside, weight, 0)[:, None]
    return total.astype(x.dtype)


def reflected(place: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """A place beyond the edge, reflected at the edges (the middles of the outermost pixels, or their outer sides)."""
    low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
    span = max(high - low, 1e-6)
    folded = jnp.mod(place - low, 2 * span)
    return low + jnp.where(folded > span, 2 * span - folded, folded)


def neighbour_weights(fraction: jax.Array, mode: str) -> list[jax.Array]:
    """The weights of the pixels around a place that lies a fraction behind one of them."""
    if mode == "nearest":
        return [jnp.ones_like(fraction)]
    if mode == "linear":
        return [1 - fraction, fraction]
    a = -0.75

    def near(t: jax.Array) -> jax.Array:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: jax.Array) -> jax.Array:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)]


def regions_aligned(
    x: jax.Array,
    regions: jax.Array,
    batch_indices: jax.Array,
    size: tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    half_pixel: bool = True,
    largest: bool = False,
) -> jax.Array:
    """Each region of an image as a grid of cells: the mean (or largest) of samples between pixels.

    Without a number of samples there are as many for each cell as it has pixels.
    """
    found = []
    for region, batch in zip(regions, batch_indices.tolist(), strict=True):
        left, top, right, bottom = region * scale - (0.5 if half_pixel else 0.0)
        height, width = bottom - top, right - left
        if not half_pixel:
            height, width = jnp.maximum(height, 1.0), jnp.maximum(width, 1.0)
        rows = samples or math.ceil(height.item() / size[0])
        columns = samples or math.ceil(width.item() / size[1])
        y = top + (jnp.arange(size[0] * rows) + 0.5) * height / (size[0] * rows)
        z = left + (jnp.arange(size[1] * columns) + 0.5) * width / (size[1] * columns)
        corners = region_corners(x[batch], y.astype(x.dtype), z.astype(x.dtype))
        cells = [corner.reshape(-1, size[0], rows, size[1], columns) for corner in corners]
        if largest:
            found.append(jnp.stack(cells).max(axis=(0, 3, 5)))
        else:
            found.append((cells[0] + cells[1] + cells[2] + cells[3]).mean(axis=(2, 4)))
    return jnp.stack(found) if found else jnp.zeros((0, x.shape[1], *size), x.dtype)


def region_corners(image: jax.Array, y: jax.Array, x: jax.Array) -> list[jax.Array]:
    """The four pixels around each place (y, x) of an image (channels, height, width), times their weights."""
    parts = []
    for place, size in ((y, image.shape[1]), (x, image.shape[2])):
        inside = (place >= -1) & (place <= size)
        place = jnp.clip(place, 0, size - 1)
        low = jnp.floor(place)
        high = jnp.minimum(low + 1, size - 1)
        parts.append([(low, jnp.where(inside, 1 - (place - low), 0)), (high, jnp.where(inside, place - low, 0))])
    return [
        image[:, row.astype(int)[:, None], column.astype(int)] * (near_y[:, None] * near_x)
        for (row, near_y), (column, near_x) in product(*parts)
    ]


def affine_grid(theta: jax.Array, size: Sequence[int], align_corners: bool = False) -> jax.Array:
    """Where an affine map finds every place of an image: theta (batch, axes, axes + 1) → (batch, …, axes).

    Places lie in -1 … 1, the last axis of the image first; `size` is the image's (batch, channels, …).
    """
    axes = jnp.meshgrid(*(pixels_along(length, align_corners, theta.dtype) for length in size[2:]), indexing="ij")
    places = jnp.stack([*reversed(axes), jnp.ones_like(axes[0])], axis=-1)
    return jnp.einsum("...k,nak->n...a", places, theta)


def pixels_along(length: int, align_corners: bool, dtype: jnp.dtype) -> jax.Array:
    """The centres of an axis' pixels in -1 … 1; with `align_corners` those of the first and the last are the ends."""
    index = jnp.arange(length, dtype=dtype)
    return 2 * index / max(length - 1, 1) - 1 if align_corners else (2 * index + 1) / length - 1
