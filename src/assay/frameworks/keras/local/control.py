"""Loops over computed numbers of steps, and sequences."""

from keras import ops

from assay.frameworks.keras.local.types import numbers_of


def run_loop(body, trips, condition, states, count):
    """Runs a body (step, condition, *states) → (condition, *states, *rows) while it lasts.

    Gives the last states and each of the `count` kinds of rows stacked.
    """
    limit = None if trips is None else numbers_of(trips)[0]
    going = condition is None or bool(numbers_of(condition)[0])
    states, step = list(states), 0
    rows: list[list] = [[] for _ in range(count)]
    while going and (limit is None or step < limit):
        results = body(ops.convert_to_tensor(step, dtype="int64"), ops.convert_to_tensor(True), *states)
        again, *results = results if isinstance(results, tuple) else (results,)
        going = bool(numbers_of(again)[0])
        for listed, row in zip(rows, results[len(states) :], strict=True):
            listed.append(row)
        states, step = results[: len(states)], step + 1
    return (*states, *(ops.stack(listed) if listed else ops.zeros((0,)) for listed in rows))


def run_scan(body, states, inputs, input_axes, input_backwards, output_axes, output_backwards):
    """Runs a body (*states, *slices) → (*states, *rows) over slices of the inputs.

    Gives the last states and each kind of rows stacked.
    """
    steps = inputs[0].shape[input_axes[0]]
    states = list(states)
    rows: list[list] = [[] for _ in output_axes]
    for step in range(steps):
        slices = [
            ops.take(x, steps - 1 - step if backwards else step, axis=axis)
            for x, axis, backwards in zip(inputs, input_axes, input_backwards, strict=True)
        ]
        results = body(*states, *slices)
        results = list(results) if isinstance(results, tuple) else [results]
        for listed, row in zip(rows, results[len(states) :], strict=True):
            listed.append(row)
        states = results[: len(states)]
    stacked = [
        ops.stack(listed[::-1] if backwards else listed, axis=axis)
        for listed, axis, backwards in zip(rows, output_axes, output_backwards, strict=True)
    ]
    return (*states, *stacked)


def insert_at(sequence, item, place=None):
    """A sequence with one more item, at a place or at its end."""
    place = len(sequence) if place is None else place + len(sequence) if place < 0 else place
    return [*sequence[:place], item, *sequence[place:]]


def erase_at(sequence, place=-1):
    """A sequence without the item at a place."""
    place = place + len(sequence) if place < 0 else place
    return [*sequence[:place], *sequence[place + 1 :]]


def split_to_sequence(x, lengths=None, axis=0, keepdims=True):
    """Parts of x as a sequence: of one length each, of the lengths given, or single slices."""
    size = x.shape[axis]
    if lengths is None:
        parts = ops.split(x, size, axis=axis)
        return list(parts) if keepdims else [ops.squeeze(part, axis) for part in parts]
    listed = numbers_of(lengths)
    if not len(lengths.shape):
        listed = [min(listed[0], size - start) for start in range(0, size, listed[0])]
    ends = [sum(listed[: place + 1]) for place in range(len(listed) - 1)]
    return list(ops.split(x, ends, axis=axis))
