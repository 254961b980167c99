"""Taking, scattering, sorting and finding elements in written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import numpy as np
import tensorflow as tf


def take(x: tf.Tensor, indices: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """Elements along an axis; negative indices count from its end, as tf.gather does not."""
    size = tf.shape(x, indices.dtype)[axis]
    return tf.gather(x, tf.where(indices < 0, indices + size, indices), axis=axis)


def places_along(indices: tf.Tensor, axis: int, size: tf.Tensor) -> tf.Tensor:
    """For each element of `indices` its own place, with the index along `axis`: (…, axes)."""
    indices = tf.cast(indices, tf.int64)
    places = tf.meshgrid(*[tf.range(length) for length in tf.unstack(tf.shape(indices, tf.int64))], indexing="ij")
    places[axis] = tf.where(indices < 0, indices + size, indices)
    return tf.stack(places, -1)


def gather_elements(x: tf.Tensor, indices: tf.Tensor, axis: int) -> tf.Tensor:
    """y[i, j, …] = x[i, indices[i, j, …], …], the index standing at `axis`."""
    return tf.gather_nd(x, places_along(indices, axis, tf.shape(x, tf.int64)[axis]))


def scatter_elements(
    x: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor, axis: int, reduction: str = "none"
) -> tf.Tensor:
    """x with x[i, indices[i, j, …], …] = updates[i, j, …] (or the sum, product … with it)."""
    return scatter_nd(x, places_along(indices, axis, tf.shape(x, tf.int64)[axis]), updates, reduction)


def gather_nd(x: tf.Tensor, indices: tf.Tensor, batch_dims: int = 0) -> tf.Tensor:
    """The parts of x whose places stand along the last axis of `indices`, negative ones counted from the end."""
    sizes = tf.shape(x, indices.dtype)[batch_dims : batch_dims + indices.shape[-1]]
    return tf.gather_nd(x, tf.where(indices < 0, indices + sizes, indices), batch_dims)


def scatter_nd(x: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor, reduction: str = "none") -> tf.Tensor:
    """x with the parts at `indices` replaced by `updates` (or by the sum, product … with them)."""
    sizes = tf.shape(x, indices.dtype)[: indices.shape[-1]]
    indices = tf.where(indices < 0, indices + sizes, indices)
    if reduction == "mul":  # which TensorFlow has for segments only
        flat = tf.reduce_sum(indices * tf.math.cumprod(sizes, exclusive=True, reverse=True), -1)
        parts = tf.concat([[-1], tf.shape(x)[indices.shape[-1] :]], 0)
        factors = tf.math.unsorted_segment_prod(
            tf.reshape(updates, parts), tf.reshape(flat, [-1]), tf.reduce_prod(sizes)
        )
        return x * tf.reshape(factors, tf.shape(x))
    scatters = {
        "none": tf.tensor_scatter_nd_update,
        "add": tf.tensor_scatter_nd_add,
        "max": tf.tensor_scatter_nd_max,
        "min": tf.tensor_scatter_nd_min,
    }
    return scatters[reduction](x, indices, updates)


def write_at(
    x: tf.Tensor, update: tf.Tensor, starts: tf.Tensor | None = None, axis: int = -2, circular: bool = False
) -> tf.Tensor:
    """x (batch, …) with `update` written along an axis from a start on, of which every example has its own."""
    shape = tf.shape(update, tf.int64)
    axis %= len(x.shape)
    starts = tf.zeros(shape[0], tf.int64) if starts is None else tf.cast(starts, tf.int64)
    places = tf.meshgrid(*[tf.range(length) for length in tf.unstack(shape)], indexing="ij")
    places[axis] += tf.reshape(starts, [-1] + [1] * (len(x.shape) - 1))
    if circular:
        places[axis] %= tf.shape(x, tf.int64)[axis]
    return tf.tensor_scatter_nd_update(x, tf.stack(places, -1), update)


def compress(x: tf.Tensor, condition: tf.Tensor, axis: int | None = None) -> tf.Tensor:
    """The places along an axis (of all elements in a row without one) where the condition holds; it may be shorter."""
    places = tf.where(condition)[:, 0]
    return tf.gather(tf.reshape(x, [-1]), places) if axis is None else tf.gather(x, places, axis=axis)


def one_hot(indices: tf.Tensor, depth: int | tf.Tensor, values: tf.Tensor, axis: int = -1) -> tf.Tensor:
    """values[1] at the index along a new axis, values[0] elsewhere; an index beyond the axis has no place."""
    depth = tf.cast(tf.reshape(depth, []), tf.int64)
    indices = tf.cast(indices, tf.int64)
    indices = tf.where(indices < 0, indices + depth, indices)
    hot = tf.range(depth) == indices[..., tf.newaxis]
    rank = len(indices.shape)
    axis %= rank + 1
    order = [*range(axis), rank, *range(axis, rank)]
    return tf.where(tf.transpose(hot, order), values[1], values[0])


def top_k(x: tf.Tensor, k: int | tf.Tensor, axis: int = -1, largest: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """The k largest (or smallest) elements along an axis, in order, and their places; of equal ones the first."""
    direction = "DESCENDING" if largest else "ASCENDING"
    k = tf.cast(tf.reshape(k, []), tf.int32)
    places = tf.gather(tf.argsort(x, axis, direction, stable=True), tf.range(k), axis=axis)
    return gather_elements(x, places, axis), tf.cast(places, tf.int64)


def unique_elements(
    x: tf.Tensor, axis: int | None = None, ascending: bool = True
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """What is in x (along an axis, or element by element) once each; where first; which each is; how often."""
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis %= len(x.shape)
    found, which, counts = tf.raw_ops.UniqueWithCountsV2(x=x, axis=[axis], out_idx=tf.int64)
    total, number = tf.shape(x, tf.int64)[axis], tf.shape(found)[axis]
    first = tf.math.unsorted_segment_min(tf.range(total), which, number)
    if ascending:
        rows = tf.experimental.numpy.moveaxis(found, axis, 0)
        columns = tf.unstack(tf.reshape(rows, (number, -1)), axis=1)
        order = tf.range(number)
        for column in reversed(columns):  # the first column decides: it is sorted by last
            order = tf.gather(order, tf.argsort(tf.gather(column, order), stable=True))
        found, first, counts = tf.gather(found, order, axis=axis), tf.gather(first, order), tf.gather(counts, order)
        which = tf.gather(tf.cast(tf.math.invert_permutation(order), tf.int64), which)
    return found, first, which, counts


def suppress_boxes(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    most: int | tf.Tensor,
    overlap: float | tf.Tensor,
    least: float | tf.Tensor | None,
    center: bool = False,
) -> tf.Tensor:
    """The boxes kept for each image and class: rows of (image, class, box), the best first."""
    if center:  # (x, y, width, height) → corners
        middle, half = boxes[..., 1::-1], boxes[..., :1:-1] / 2
        boxes = tf.concat([middle - half, middle + half], -1)
    least = -np.inf if least is None else tf.reshape(least, [])
    rows = []
    for image in range(scores.shape[0]):
        for kind in range(scores.shape[1]):
            kept = tf.image.non_max_suppression(
                boxes[image],
                scores[image, kind],
                tf.cast(tf.minimum(tf.reshape(most, []), boxes.shape[1]), tf.int32),
                tf.reshape(overlap, []),
                least,
            )
            kept = tf.cast(kept, tf.int64)
            rows.append(
                tf.stack([tf.fill(tf.shape(kept), tf.constant(value, tf.int64)) for value in (image, kind)] + [kept], 1)
            )
    return tf.concat(rows, 0)
