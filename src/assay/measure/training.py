"""Training a written package on real data in a given order, and predicting with it. Runs in the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import DataError
from assay.frameworks.base import Session
from assay.measure.arrays import load_data, save_arrays, split_of

_PROGRESS_SECONDS = 0.2


def run(
    session: Session,
    progress: Callable[[Mapping[str, Any]], None],
    stop_asked: Callable[[], bool],
    data: str,
    order: str,
    constants: Mapping[str, Any],
    dropout: bool,
    save: str | None,
    checkpoint_seconds: float | None,
    rounding: int = 0,
) -> dict[str, Any]:
    """One optimizer step per row of `order`, an .npz file with `rows`: int (steps, batch) indices of training examples.

    Progress is told about five times a second. The state is saved at the end, every `checkpoint_seconds` on the way,
    and when asked to stop, so that what was learnt is kept; it is not saved at all without `save`.
    `rounding`, if not 0, seeds a disturbance of the starting weights and the inputs by one float32 rounding.
    """
    inputs, targets = split_of(load_data(Path(data)), "train")
    if targets is None:
        raise DataError("the data has no train_targets: there is nothing to train on")
    with np.load(order, allow_pickle=False) as file:
        rows = file["rows"]
    session.set_dropout(dropout)
    if rounding:
        session.set_state(_rounded_state(session.state(), rounding))
        inputs = list(_rounded(inputs, rounding))
    session.begin_training(constants)
    losses: list[float] = []
    started = told = saved = time.perf_counter()
    stopped = False
    for row in rows:
        *placed, target = session.place([*(array[row] for array in inputs), targets[row]])
        loss = session.train_step(tuple(placed), target)
        losses.append(float(session.numpy(loss)[0]))
        now = time.perf_counter()
        if now - told >= _PROGRESS_SECONDS:
            progress({"step": len(losses), "of": len(rows), "loss": losses[-1], "seconds": now - started})
            told = now
        if save is not None and checkpoint_seconds is not None and now - saved >= checkpoint_seconds:
            save_arrays(Path(save), session.state())
            saved = now
        if stop_asked():
            stopped = True
            break
    seconds = time.perf_counter() - started
    if save is not None:
        save_arrays(Path(save), session.state())
    return {"losses": losses, "seconds": seconds, "stopped": stopped}


def _rounded_state(state: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Every floating number moved by half a float32 unit in the last place, up or down at random."""
    names = sorted(name for name, array in state.items() if np.issubdtype(array.dtype, np.floating))
    return dict(zip(names, _rounded([state[name] for name in names], seed), strict=True))


def _rounded(arrays: Sequence[np.ndarray], seed: int) -> tuple[np.ndarray, ...]:
    """Floating arrays in float64, each number moved by half a float32 rounding of its own size or, if it is zero, of the
    array's: equal neighbours, between which a maximum is free to choose, are equal no longer."""
    generator = np.random.default_rng(seed)
    half = float(np.finfo(np.float32).eps) / 2
    moved = []
    for array in arrays:
        if not np.issubdtype(array.dtype, np.floating):
            moved.append(array)
            continue
        sizes = np.where(array == 0, np.abs(array).max(initial=0.0), np.abs(array))
        moved.append(array.astype(np.float64) + half * sizes * generator.choice([-1.0, 1.0], array.shape))
    return tuple(moved)


def predict(
    session: Session, data: Path, split: str, batch_size: int, save: Path, examples: int | None = None
) -> dict[str, Any]:
    """Evaluation outputs of the examples of a split, or of its first `examples`, put together along the batch axis."""
    inputs, _ = split_of(load_data(data), split)
    inputs = [array[:examples] for array in inputs]
    parts: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(inputs[0]), batch_size):
        placed = session.place([array[start : start + batch_size] for array in inputs])
        parts.append(session.numpy(session.predict(placed)))
    save_arrays(save, {f"output/{i}": np.concatenate(arrays) for i, arrays in enumerate(zip(*parts, strict=True))})
    return {"examples": len(inputs[0])}
