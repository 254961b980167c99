"""Loops and sequences."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def repeated(
    body: Callable[..., Any], trips: jax.Array | None, going: jax.Array | None, *state: Any
) -> tuple[Any, ...]:
    """Repeats body(trip, going, *state) → (going, *state, *items) while it is going, so many trips at most.

    Gives the last state, then the items of all trips, stacked. It runs in Python: how often may depend on the data.
    """
    collected: list[list[Any]] = []
    trip, going = 0, jnp.array(True) if going is None else going
    while going and (trips is None or trip < trips):
        going, *results = body(jnp.array(trip, jnp.int64), going, *state)
        state, items = tuple(results[: len(state)]), results[len(state) :]
        collected = [[*before, item] for before, item in zip(collected or [[]] * len(items), items, strict=True)]
        trip += 1
    return (*state, *(jnp.stack(items) for items in collected))


def scanned(
    body: Callable[..., Any],
    state: Sequence[jax.Array],
    inputs: Sequence[jax.Array],
    axes: Sequence[int] | None = None,
    reverse: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
    output_reverse: Sequence[int] | None = None,
) -> tuple[jax.Array, ...]:
    """lax.scan of body(*state, *items) → (*state, *items), along given axes in given directions."""
    moved = [jnp.moveaxis(item, axes[place] if axes else 0, 0) for place, item in enumerate(inputs)]
    moved = [jnp.flip(item, 0) if reverse and reverse[place] else item for place, item in enumerate(moved)]

    def step(state: list[jax.Array], items: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        found = body(*state, *items)
        results = list(found) if isinstance(found, tuple) else [found]
        return results[: len(state)], results[len(state) :]

    final, outputs = lax.scan(step, list(state), moved)
    outputs = [
        jnp.flip(item, 0) if output_reverse and output_reverse[place] else item for place, item in enumerate(outputs)
    ]
    placed = [jnp.moveaxis(item, 0, output_axes[place] if output_axes else 0) for place, item in enumerate(outputs)]
    return (*final, *placed)


def with_item(items: list[Any], item: Any, place: int) -> list[Any]:
    """The list with one more item before a place."""
    found = list(items)
    found.insert(place, item)
    return found


def without_item(items: list[Any], place: int = -1) -> list[Any]:
    """The list without the item at a place."""
    found = list(items)
    del found[place]
    return found


def split_to_list(
    x: jax.Array, sizes: int | list[int] | None = None, axis: int = 0, squeeze: bool = False
) -> list[jax.Array]:
    """x in parts of these sizes (or of one size, the last with what is left) along an axis."""
    length = x.shape[axis]
    if not isinstance(sizes, list):
        step = sizes or 1
        sizes = [min(step, length - start) for start in range(0, length, step)]
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes) - 1)]
    parts = jnp.split(x, ends, axis=axis)
    return [part.squeeze(axis) for part in parts] if squeeze else parts
