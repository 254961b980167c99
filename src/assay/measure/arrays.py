"""Arrays that travel between processes as files: data sets in, states and outputs out. Runs in the worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import DataError
from assay.measure.plan import TRAIN

Arrays = dict[str, np.ndarray]


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz file at once or not at all: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            members: dict[str, Any] = dict(arrays)  # the checker takes a name for savez's own option
            np.savez(file, **members)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_data(path: Path) -> Arrays:
    """Every array of a .safetensors or .npz file."""
    if not path.exists():
        raise DataError(f"no data at {path}: a package of a workload has data.safetensors beside model.py")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    from safetensors.numpy import load_file

    arrays: Arrays = load_file(path)
    return arrays


def numbered(arrays: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """`prefix0`, `prefix1` … as long as they go on."""
    found: list[np.ndarray] = []
    while f"{prefix}{len(found)}" in arrays:
        found.append(arrays[f"{prefix}{len(found)}"])
    return found


def split_of(arrays: Arrays, split: str) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Inputs and targets of `train` or `test`."""
    inputs = numbered(arrays, f"{split}_inputs_")
    if not inputs:
        raise DataError(f"the data has no {split}_inputs_0; it has {', '.join(sorted(arrays)) or 'nothing'}")
    return inputs, arrays.get(f"{split}_targets")


def batches_of(arrays: Arrays, kind: str, size: int, count: int) -> list[tuple[list[np.ndarray], np.ndarray | None]]:
    """`count` batches, each starting elsewhere, so that they are distinct even where they overlap.

    Training takes the training examples with their targets; inference takes test examples, or training ones if
    there are no others.
    """
    train = kind == TRAIN
    inputs, targets = split_of(arrays, "train" if train or "test_inputs_0" not in arrays else "test")
    if train and targets is None:
        raise DataError("the data has no train_targets: training cannot be timed")
    examples = len(inputs[0])
    if size > examples:
        raise DataError(f"a batch of {size} examples for {kind}, but the data has {examples}")
    stride = max(size, examples // count) if size * count <= examples else max(1, (examples - size) // count)
    rows = [(index * stride + np.arange(size)) % examples for index in range(count)]
    return [
        (
            [np.ascontiguousarray(array[row]) for array in inputs],
            targets[row] if train and targets is not None else None,
        )
        for row in rows
    ]
