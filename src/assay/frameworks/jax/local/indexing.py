"""Gathering, scattering, sorting, finding."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def gather_elements(x: jax.Array, indices: jax.Array, axis: int) -> jax.Array:
    """The element at each index along an axis; the indices may be fewer than x on the other axes."""
    kept = [slice(None) if place == axis % x.ndim else slice(size) for place, size in enumerate(indices.shape)]
    return jnp.take_along_axis(x[tuple(kept)], indices, axis)


def gather_nd(x: jax.Array, indices: jax.Array, batch_dims: int = 0) -> jax.Array:
    """The parts of x at the places that the last axis of `indices` holds, batch by batch."""

    def gathered(x: jax.Array, indices: jax.Array) -> jax.Array:
        return x[tuple(jnp.moveaxis(indices, -1, 0))]

    for _ in range(batch_dims):
        gathered = jax.vmap(gathered)
    return gathered(x, indices)


def along(indices: jax.Array, axis: int) -> tuple[jax.Array, ...]:
    """The places of elements that lie at these indices along one axis, and where they are on the others."""
    places = list(jnp.indices(indices.shape, sparse=True))
    places[axis] = indices
    return tuple(places)


def write_to_cache(
    cache: jax.Array, update: jax.Array, starts: jax.Array | None = None, axis: int = -2, circular: bool = False
) -> jax.Array:
    """The cache with an update written into it, for each entry of the batch from its own start on."""
    axis %= cache.ndim
    starts = jnp.zeros(cache.shape[:1], jnp.int32) if starts is None else starts

    def written(cache: jax.Array, update: jax.Array, start: jax.Array) -> jax.Array:
        places = start + jnp.arange(update.shape[axis - 1])
        places = places % cache.shape[axis - 1] if circular else places
        where = [slice(None)] * cache.ndim
        where[axis - 1] = places
        return cache.at[tuple(where)].set(update)

    return jax.vmap(written)(cache, update, starts)


def top_k(x: jax.Array, k: int, axis: int = -1, largest: bool = True) -> tuple[jax.Array, jax.Array]:
    """The k largest (or smallest) elements along an axis in order, and where they stand; of equals the first."""
    order = jnp.argsort(x, axis=axis, descending=largest, stable=True)
    indices = lax.slice_in_dim(order, 0, k, axis=axis).astype(jnp.int64)
    return jnp.take_along_axis(x, indices, axis), indices


def one_hot_of(indices: jax.Array, depth: float, values: jax.Array, axis: int = -1) -> jax.Array:
    """values[1] at the index along a new axis, values[0] elsewhere; negative indices count from the end."""
    places = jnp.where(indices < 0, indices + depth, indices)
    return jnp.where(jax.nn.one_hot(places, int(depth), dtype=bool, axis=axis), values[1], values[0])


def distinct(
    x: jax.Array, axis: int | None = None, in_order: bool = True
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The different elements (or slices) of x, where each comes first, which of them each is, how often each comes.

    In rising order, or as they come first.
    """
    found, first, inverse, counts = jnp.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not in_order:
        order = jnp.argsort(first)
        found = jnp.take(found, order, axis=0 if axis is None else axis)
        first, inverse, counts = first[order], jnp.argsort(order)[inverse], counts[order]
    return found, first, inverse, counts


def cumulated(
    operation: Callable[..., jax.Array], x: jax.Array, axis: int, exclusive: bool = False, reverse: bool = False
) -> jax.Array:
    """jnp.cumsum or jnp.cumprod from the other end, or of the elements before each."""
    y = jnp.flip(x, axis) if reverse else x
    if exclusive:  # shifted by one, behind the sum (or product) of nothing
        first = jnp.full_like(lax.slice_in_dim(y, 0, 1, axis=axis), operation is jnp.cumprod)
        y = jnp.concatenate([first, lax.slice_in_dim(y, 0, -1, axis=axis)], axis)
    y = operation(y, axis=axis, dtype=x.dtype)
    return jnp.flip(y, axis) if reverse else y
