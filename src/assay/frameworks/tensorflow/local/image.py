"""Resizing and sampling of images in written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import itertools

import tensorflow as tf


def resize(
    x: tf.Tensor,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    extrapolation: float = 0.0,
    antialias: bool = False,
    policy: str = "stretch",
    scales: tf.Tensor | list[float] | None = None,
    sizes: tf.Tensor | list[int] | None = None,
    axes: list[int] | None = None,
    roi: tf.Tensor | list[float] | None = None,
) -> tf.Tensor:
    """Resizes axes of x by `scales` or to `sizes`, as ONNX's Resize defines it.

    Each axis is multiplied by a matrix of weights, (new size, size), or taken from ("nearest").
    """
    axes = list(range(len(x.shape))) if axes is None else [axis % len(x.shape) for axis in axes]
    lengths = [tf.cast(tf.shape(x)[axis], tf.float64) for axis in axes]
    if scales is not None:
        factors = tf.unstack(tf.cast(tf.convert_to_tensor(scales, tf.float32), tf.float64), len(axes))
        targets = [tf.floor(length * factor) for length, factor in zip(lengths, factors, strict=True)]
    else:
        targets = tf.unstack(tf.cast(sizes, tf.float64), len(axes))
        factors = [target / length for target, length in zip(targets, lengths, strict=True)]
        if policy != "stretch":
            choose = tf.reduce_min if policy == "not_larger" else tf.reduce_max
            factors = [choose(tf.stack(factors))] * len(axes)
            targets = [tf.floor(length * factor + 0.5) for length, factor in zip(lengths, factors, strict=True)]
    region = tf.unstack(tf.cast([0] * len(axes) + [1] * len(axes) if roi is None else roi, tf.float64), 2 * len(axes))
    outside = []
    for number, axis in enumerate(axes):
        length, factor, target = lengths[number], factors[number], targets[number]
        bounds = region[number], region[number + len(axes)]
        places = source_places(target, length, factor, coordinates, bounds)
        outside.append((axis, (places < 0) | (places > length - 1)))
        if mode == "nearest":
            x = tf.gather(x, nearest_places(places, length, nearest), axis=axis)
        else:
            width = tf.minimum(factor, 1) if antialias else tf.ones_like(factor)
            weights = resize_weights(places, length, mode, width, cubic, exclude_outside)
            order = list(range(len(x.shape) - 1))
            order.insert(axis, len(x.shape) - 1)
            x = tf.transpose(tf.tensordot(x, tf.cast(weights, x.dtype), [[axis], [1]]), order)
    if coordinates == "tf_crop_and_resize":
        for axis, places in outside:
            shape = [1] * len(x.shape)
            shape[axis] = -1
            x = tf.where(tf.reshape(places, shape), tf.cast(extrapolation, x.dtype), x)
    return x


def source_places(
    target: tf.Tensor,
    length: tf.Tensor,
    factor: tf.Tensor,
    coordinates: str,
    bounds: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Where the places of a resized axis lie on the old one."""
    places = tf.range(target, dtype=tf.float64)
    full = factor * length  # the new length, before it is rounded
    if coordinates == "asymmetric":
        return places / factor
    if coordinates == "align_corners":
        return places * tf.where(full == 1, tf.constant(0, tf.float64), (length - 1) / (full - 1))
    if coordinates == "tf_crop_and_resize":
        start, end = bounds
        middle = tf.where(full == 1, (start + end) * (length - 1) / 2, start * (length - 1))
        return middle + places * tf.where(
            full == 1, tf.constant(0, tf.float64), (end - start) * (length - 1) / (full - 1)
        )
    found = (places + 0.5) / factor - 0.5
    if coordinates == "pytorch_half_pixel":
        return tf.where(full == 1, tf.constant(-0.5, tf.float64), found)
    if coordinates == "half_pixel_symmetric":
        found += length / 2 * (1 - target / full)
    return found


def nearest_places(places: tf.Tensor, length: tf.Tensor, how: str) -> tf.Tensor:
    """The old places that new ones are taken from."""
    rounded = {
        "round_prefer_floor": lambda: tf.math.ceil(places - 0.5),
        "round_prefer_ceil": lambda: tf.floor(places + 0.5),
        "floor": lambda: tf.floor(places),
        "ceil": lambda: tf.math.ceil(places),
    }[how]()
    return tf.cast(tf.clip_by_value(rounded, 0, length - 1), tf.int32)


def resize_weights(
    places: tf.Tensor, length: tf.Tensor, mode: str, width: tf.Tensor, cubic: float, exclude_outside: bool
) -> tf.Tensor:
    """(new size, size): the weights of a linear or cubic interpolation, whose kernel is 1 / width times as wide."""
    reach = tf.math.ceil((2 if mode == "cubic" else 1) / width)
    taps = tf.floor(places)[:, tf.newaxis] + tf.range(1 - reach, reach + 1, dtype=tf.float64)
    distances = tf.abs(taps - places[:, tf.newaxis]) * width
    weights = cubic_kernel(distances, cubic) if mode == "cubic" else tf.maximum(1 - distances, 0)
    if exclude_outside:
        weights = tf.where((taps < 0) | (taps >= length), tf.constant(0, tf.float64), weights)
    weights /= tf.reduce_sum(weights, 1, keepdims=True)
    clipped = tf.cast(tf.clip_by_value(taps, 0, length - 1), tf.int32)
    hot = tf.one_hot(clipped, tf.cast(length, tf.int32), dtype=tf.float64)  # (new size, taps, size)
    return tf.reduce_sum(hot * weights[..., tf.newaxis], 1)


def cubic_kernel(distances: tf.Tensor, a: float) -> tf.Tensor:
    """The kernel of cubic convolution."""
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = ((distances - 5) * distances + 8) * a * distances - 4 * a
    return tf.where(distances <= 1, near, tf.where(distances < 2, far, tf.zeros_like(far)))


def sample_grid(
    x: tf.Tensor, grid: tf.Tensor, mode: str = "linear", padding: str = "zeros", align_corners: bool = False
) -> tf.Tensor:
    """x (batch, channels, …) at the places of a grid (batch, …, axes) from -1 to 1, the last axis first."""
    lengths = tf.cast(tf.shape(x)[2:], grid.dtype)
    grid = tf.reverse(grid, [-1])
    places = (grid + 1) / 2 * (lengths - 1) if align_corners else ((grid + 1) * lengths - 1) / 2
    return sample_places(x, places, mode, padding, align_corners)


def sample_places(x: tf.Tensor, places: tf.Tensor, mode: str, padding: str, align_corners: bool = False) -> tf.Tensor:
    """x (batch, channels, …) interpolated at places (batch, …, axes): (batch, channels, …).

    Beyond x there is nothing ("zeros"), its border, or its mirror image ("reflection").
    """
    lengths = tf.unstack(tf.shape(x)[2:])
    axes = []  # for each axis its taps: places on the axis and weights
    for length, along in zip(lengths, tf.unstack(places, axis=-1), strict=True):
        low = tf.round(along) if mode == "nearest" else tf.floor(along)
        if mode == "nearest":
            taps = [(low, tf.ones_like(low))]
        elif mode == "linear":
            taps = [(low, 1 - (along - low)), (low + 1, along - low)]
        else:
            taps = [(low + step, cubic_kernel(tf.abs(along - low - step), -0.75)) for step in (-1, 0, 1, 2)]
        axes.append([beyond(*tap, tf.cast(length, along.dtype), padding, align_corners) for tap in taps])
    flat = tf.reshape(x, (tf.shape(x)[0], tf.shape(x)[1], -1))
    total = 0
    for chosen in itertools.product(*axes):
        index, weight = 0, 1
        for (place, share), length in zip(chosen, lengths, strict=True):
            index, weight = index * length + place, weight * share
        found = tf.gather(tf.transpose(flat, (0, 2, 1)), tf.reshape(index, (tf.shape(x)[0], -1)), batch_dims=1)
        total += found * tf.cast(tf.reshape(weight, (tf.shape(x)[0], -1, 1)), x.dtype)
    shape = tf.concat([tf.shape(x)[:2], tf.shape(places)[1:-1]], 0)
    return tf.reshape(tf.transpose(total, (0, 2, 1)), shape)


def beyond(
    place: tf.Tensor, weight: tf.Tensor, length: tf.Tensor, padding: str, align_corners: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """A tap brought into x: moved to its border, mirrored, or of no weight."""
    if padding == "reflection":
        low = tf.constant(0 if align_corners else -0.5, place.dtype)
        span = length - 1 - 2 * low
        distance = tf.math.floormod(place - low, 2 * tf.maximum(span, 1))
        place = tf.minimum(distance, 2 * span - distance) + low
    elif padding == "zeros":
        weight = tf.where((place < 0) | (place > length - 1), tf.zeros_like(weight), weight)
    return tf.cast(tf.clip_by_value(place, 0, length - 1), tf.int32), weight


def align_regions(
    x: tf.Tensor,
    regions: tf.Tensor,
    images: tf.Tensor,
    size: tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    largest: bool = False,
    half_pixel: bool = True,
) -> tf.Tensor:
    """Regions (x1, y1, x2, y2) of images, each cut into `size` bins: the mean (or largest) of samples in each."""
    found = []
    for region, image in zip(tf.unstack(regions), tf.unstack(images), strict=True):
        corners = region * scale - (0.5 if half_pixel else 0)
        extent = corners[2:] - corners[:2]
        extent = extent if half_pixel else tf.maximum(extent, 1)
        value = x[image]  # (channels, height, width)
        axes, counts = [], []
        for axis, bins in enumerate(size):
            start, width = corners[1 - axis], extent[1 - axis] / bins
            count = samples or tf.maximum(tf.cast(tf.math.ceil(width), tf.int32), 1)
            steps = (tf.range(tf.cast(count, x.dtype)) + 0.5) / tf.cast(count, x.dtype)
            places = tf.reshape(start + (tf.range(bins, dtype=x.dtype)[:, tf.newaxis] + steps) * width, [-1])
            axes.append(region_taps(places, tf.cast(tf.shape(value)[axis + 1], x.dtype)))
            counts += [bins, count]
        terms = []
        for (row, row_weight), (column, column_weight) in itertools.product(*axes):
            part = tf.gather(tf.gather(value, row, axis=1), column, axis=2)
            terms.append(part * row_weight[:, tf.newaxis] * column_weight)
        joined = tf.reduce_max(tf.stack(terms), 0) if largest else tf.add_n(terms)
        joined = tf.reshape(joined, (-1, *counts))
        found.append(tf.reduce_max(joined, (2, 4)) if largest else tf.reduce_mean(joined, (2, 4)))
    return tf.stack(found)


def region_taps(places: tf.Tensor, length: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The two neighbours of each place on an axis with their weights, which are 0 more than one beyond its ends."""
    inside = tf.cast((places >= -1) & (places <= length), places.dtype)
    places = tf.clip_by_value(places, 0, length - 1)
    low = tf.floor(places)
    high = tf.minimum(low + 1, length - 1)
    share = places - low
    return [(tf.cast(low, tf.int32), inside * (1 - share)), (tf.cast(high, tf.int32), inside * share)]


def affine_grid(theta: tf.Tensor, size: tf.Tensor | list[int], align_corners: bool = False) -> tf.Tensor:
    """Where an affine map finds every place of an image: theta (batch, axes, axes + 1) → (batch, …, axes).

    Places lie in -1 … 1, the last axis of the image first; `size` is the image's (batch, channels, …).
    """
    lengths = tf.unstack(tf.convert_to_tensor(size)[2:], theta.shape[1])
    axes = tf.meshgrid(*(pixels_along(length, align_corners, theta.dtype) for length in lengths), indexing="ij")
    places = tf.stack([*reversed(axes), tf.ones_like(axes[0])], -1)
    found = tf.matmul(tf.reshape(places, (1, -1, len(axes) + 1)), theta, transpose_b=True)  # (batch, places, axes)
    return tf.reshape(found, (-1, *lengths, len(axes)))


def pixels_along(length: tf.Tensor, align_corners: bool, dtype: tf.DType) -> tf.Tensor:
    """The centres of an axis' pixels in -1 … 1; with `align_corners` those of the first and the last are the ends."""
    index, length = tf.cast(tf.range(length), dtype), tf.cast(length, dtype)
    return 2 * index / tf.maximum(length - 1, 1) - 1 if align_corners else (2 * index + 1) / length - 1
