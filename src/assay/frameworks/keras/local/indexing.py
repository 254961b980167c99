"""Gathering, scattering, selecting, sorting."""

import keras
import numpy as np
from keras import ops


def on_host(function, *arrays, **options):
    """A NumPy function of the arrays; it has no gradient, and no traced form."""
    results = function(*[as_host(array) for array in arrays], **options)
    return tuple(from_host(item) for item in results) if isinstance(results, tuple) else from_host(results)


def as_host(array):
    """A tensor as a NumPy array; strings as Python's."""
    array = array if isinstance(array, np.ndarray) else np.asarray(ops.convert_to_numpy(array))
    if array.dtype.kind not in "OSU":
        return array
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in array.reshape(-1)]
    return np.array(words, dtype=object).reshape(array.shape)


def from_host(array):
    """A NumPy array as a tensor; strings stay."""
    array = np.asarray(array)
    return array if array.dtype.kind in "OSU" else ops.convert_to_tensor(array, dtype=array.dtype.name)


def from_start(indices, size):
    """Indices that count from the start, of those that may count from the end."""
    return ops.where(indices < 0, indices + size, indices)


def full_indices(indices, shape, axis):
    """The whole place, one row each, of every element that indices along one axis name."""
    grid = [
        ops.cast(ops.reshape(part, (-1,)), "int64")
        for part in ops.meshgrid(*map(ops.arange, indices.shape), indexing="ij")
    ]
    grid[axis] = ops.reshape(from_start(ops.cast(indices, "int64"), shape[axis]), (-1,))
    return ops.stack(grid, axis=-1)


def gather_elements(x, indices, axis=0):
    """The elements of x at these places along an axis, and at the indices' own places along the others."""
    axis = axis % len(x.shape)
    part = x[tuple(slice(None) if i == axis else slice(size) for i, size in enumerate(indices.shape))]
    return ops.take_along_axis(part, ops.cast(indices, "int64"), axis=axis)


def flat_places(indices, sizes):
    """The places in a flattened array that rows of indices name."""
    place = 0
    for axis, size in enumerate(ops.cast(size, "int64") for size in sizes):
        place = place * size + from_start(ops.cast(indices[..., axis], "int64"), size)
    return place


def gather_nd(x, indices, batch_dims=0):
    """The slices of x that the rows of the indices name, after axes that both share."""
    depth, shape = indices.shape[-1], tuple(ops.shape(x))
    if not batch_dims:
        flat = ops.reshape(x, (-1, *shape[depth:]))
        return ops.take(flat, flat_places(indices, shape[:depth]), axis=0)
    lead = int(np.prod(shape[:batch_dims]))
    named = shape[batch_dims : batch_dims + depth]
    rest = shape[batch_dims + depth :]
    flat = ops.reshape(x, (lead * int(np.prod(named)), *rest))
    places = flat_places(ops.reshape(indices, (lead, -1, depth)), named)
    places = places + ops.arange(lead, dtype="int64")[:, None] * int(np.prod(named))
    return ops.reshape(ops.take(flat, places, axis=0), (*indices.shape[:-1], *rest))


def scatter_elements(x, indices, updates, axis=0, reduction=None):
    """x with updates put in (or added, multiplied …) at these places along an axis."""
    if not len(indices.shape) or 0 in indices.shape:
        return x
    places = full_indices(indices, x.shape, axis % len(x.shape))
    return scatter_rows(x, places, ops.reshape(updates, (-1,)), reduction)


def scatter_nd(x, indices, updates, reduction=None):
    """x with slices put in (or added, multiplied …) where the rows of the indices say."""
    depth, shape = indices.shape[-1], tuple(ops.shape(x))
    places = flat_places(ops.reshape(indices, (-1, depth)), shape[:depth])[:, None]
    updates = ops.reshape(updates, (-1, *shape[depth:]))
    flat = ops.reshape(x, (-1, *shape[depth:]))
    return ops.reshape(scatter_rows(flat, places, updates, reduction), shape)


def scatter_rows(x, places, updates, reduction):
    """x with updates at these places; products of updates to one place are taken in turn."""
    return ops.scatter_update(x, places, updates, reduction=reduction)


def write_into(past, update, places=None, axis=-2, circular=False):
    """A cache with an update written in from each sequence's own place on."""
    rank = len(past.shape)
    axis = axis % rank
    steps, size = update.shape[axis], past.shape[axis]
    starts = ops.zeros((past.shape[0],), dtype="int64") if places is None else ops.cast(places, "int64")
    rows = starts[:, None] + ops.arange(steps, dtype="int64")
    rows = rows % size if circular else rows
    wide = ops.reshape(rows, [past.shape[0] if i == 0 else steps if i == axis else 1 for i in range(rank)])
    return scatter_elements(past, ops.broadcast_to(wide, update.shape), update, axis=axis)


def top_k(x, k, axis=-1, largest=True):
    """The k largest (or smallest) elements along an axis, in order, and their places; the first of equal ones first."""
    x = ops.moveaxis(x, axis, -1)
    if largest and keras.backend.backend() != "torch":
        values, places = ops.top_k(x, k)
    elif largest:  # torch takes equal elements in any order
        places = x.shape[-1] - 1 - ops.flip(ops.argsort(ops.flip(x, axis=-1), axis=-1), axis=-1)[..., :k]
        values = ops.take_along_axis(x, places, axis=-1)
    else:
        places = ops.argsort(x, axis=-1)[..., :k]
        values = ops.take_along_axis(x, places, axis=-1)
    return ops.moveaxis(values, -1, axis), ops.moveaxis(ops.cast(places, "int64"), -1, axis)


def one_hot_of(indices, depth, values, axis=-1):
    """The second of two values where an index says, the first elsewhere."""
    depth = int(depth)
    rank = len(indices.shape) + 1
    places = ops.cast(indices, "int64")
    places = ops.expand_dims(ops.where(places < 0, places + depth, places), axis)
    classes = ops.reshape(ops.arange(depth, dtype="int64"), [-1 if i == axis % rank else 1 for i in range(rank)])
    return ops.where(places == classes, values[1], values[0])
