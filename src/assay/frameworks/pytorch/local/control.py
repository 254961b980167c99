"""Loops of a model, and what they are over."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def repeat_body(
    body: Callable, trips: Tensor | None, going: Tensor | None, *state: Any, collected: int = 0
) -> tuple[Any, ...]:
    """Calls the body until it says to stop, or for so many trips: (trip, going, *state) → (going, *state, *items).

    Gives the last state and the items of all trips, stacked.
    """
    going = torch.tensor(True) if going is None else going
    items: list[tuple[Tensor, ...]] = []
    trip = 0
    while going and (trips is None or trip < trips):
        going, *results = body(torch.tensor(trip), going, *state)
        state, found = results[: len(state)], results[len(state) :]
        items.append(tuple(found))
        trip += 1
    stacked = [torch.stack(parts) for parts in zip(*items, strict=True)] if items else [torch.empty(0)] * collected
    return (*state, *stacked)


def scan_items(
    body: Callable,
    state: Sequence[Tensor],
    items: Sequence[Tensor],
    input_axes: Sequence[int] = (),
    output_axes: Sequence[int] = (),
    input_reversed: Sequence[int] = (),
    output_reversed: Sequence[int] = (),
) -> tuple[Tensor, ...]:
    """Calls the body with the state and one item of each input at a time: the last state, and what it made, stacked."""
    axes = [*input_axes, *[0] * (len(items) - len(input_axes))]
    columns = [x.unbind(axis) for x, axis in zip(items, axes, strict=True)]
    columns = [
        column[::-1] if place < len(input_reversed) and input_reversed[place] else column
        for place, column in enumerate(columns)
    ]
    made = []
    for parts in zip(*columns, strict=True):
        results = body(*state, *parts)
        results = results if isinstance(results, tuple) else (results,)
        state = results[: len(state)]
        made.append(results[len(state) :])
    outputs = []
    for place, parts in enumerate(zip(*made, strict=True)):
        parts = parts[::-1] if place < len(output_reversed) and output_reversed[place] else parts
        outputs.append(torch.stack(parts, output_axes[place] if place < len(output_axes) else 0))
    return (*state, *outputs)


def erase_item(items: Sequence[Tensor], place: int = -1) -> list[Tensor]:
    """A list without one of its items."""
    place %= len(items)
    return [*items[:place], *items[place + 1 :]]
