"""Loops and sequences of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def loop(
    body: Callable[..., Any], trips: tf.Tensor | None, going: tf.Tensor | None, *state: Any, scanned: int = 0
) -> tuple[Any, ...]:
    """Runs going, *state, *items = body(trip, going, *state) while `going` holds, `trips` times at most.

    Returns the last state, then the items of all trips, stacked.
    """
    gathered: list[list[Any]] = [[] for _ in range(scanned)]
    trip = 0
    while (trips is None or trip < trips) and (going is None or going):
        results = body(tf.constant(trip, tf.int64), tf.constant(True) if going is None else going, *state)
        results = results if isinstance(results, tuple) else (results,)
        going, state = results[0], results[1 : len(results) - scanned]
        for items, item in zip(gathered, results[len(results) - scanned :], strict=True):
            items.append(item)
        trip += 1
    return (*state, *[tf.stack(items) if items else tf.zeros(0) for items in gathered])


def scan_over(
    body: Callable[..., Any],
    state: list[tf.Tensor],
    sequences: list[tf.Tensor],
    axes: list[int] | None = None,
    reverse: list[int] | None = None,
    output_axes: list[int] | None = None,
    output_reverse: list[int] | None = None,
) -> tuple[tf.Tensor, ...]:
    """Runs *state, *items = body(*state, *elements) over the elements of sequences along an axis of each.

    Returns the last state, then the items of all steps, stacked along an axis of their own.
    """
    parts = []
    for place, sequence in enumerate(sequences):
        elements = tf.unstack(sequence, axis=axes[place] if axes else 0)
        parts.append(elements[::-1] if reverse and reverse[place] else elements)
    steps = []
    for elements in zip(*parts, strict=True):
        results = body(*state, *elements)
        results = results if isinstance(results, tuple) else (results,)
        state, items = list(results[: len(state)]), results[len(state) :]
        steps.append(items)
    gathered = []
    for place, items in enumerate(zip(*steps, strict=True)):
        items = items[::-1] if output_reverse and output_reverse[place] else items
        gathered.append(tf.stack(items, axis=output_axes[place] if output_axes else 0))
    return (*state, *gathered)


def map_sequences(body: Callable[..., Any], inputs: list[Any], are_sequences: list[bool]) -> tuple[list[Any], ...]:
    """The body's results for the items of sequences in step; what is no sequence is the same for all."""
    count = next(len(value) for value, varies in zip(inputs, are_sequences, strict=True) if varies)
    found = []
    for place in range(count):
        items = [value[place] if varies else value for value, varies in zip(inputs, are_sequences, strict=True)]
        results = body(*items)
        found.append(results if isinstance(results, tuple) else (results,))
    return tuple(list(items) for items in zip(*found, strict=True))


def insert_item(values: list[Any], item: Any, place: int) -> list[Any]:
    """The list with an item put in front of a place."""
    return [*values[:place], item, *values[place:]]


def erase_item(values: list[Any], place: int) -> list[Any]:
    """The list without the item at a place."""
    place %= len(values)
    return [*values[:place], *values[place + 1 :]]


def split_by(x: tf.Tensor, sizes: int | list[int] | tf.Tensor, axis: int) -> list[tf.Tensor]:
    """Parts of these sizes along an axis; of one number, all of that size, the last one perhaps smaller."""
    sizes = np.asarray(sizes)
    total = x.shape[axis]
    if sizes.ndim == 0:
        sizes = np.diff([*range(0, total, int(sizes)), total])
    return tf.split(x, sizes.tolist(), axis=axis)
