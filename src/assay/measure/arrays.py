"""Arrays that travel between processes as files: data sets in, states and outputs out. Runs in the worker."""

from __future__ import annotations

import glob
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import DataError
from assay.measure.plan import TRAIN

Arrays = dict[str, np.ndarray]


class ArrayFile:
    """An .npz file that arrays are added to one after the other, as `numpy.savez` writes it."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add(self, name: str, array: np.ndarray) -> None:
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    def update(self, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        for name, array in arrays:
            self.add(name, array)


@contextmanager
def array_file(path: Path) -> Iterator[ArrayFile]:
    """An .npz file that is there whole, once the block is left, or not at all: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            yield ArrayFile(archive)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Removes what processes that were killed have left of this file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz file at once or not at all: a reader never sees half of one."""
    with array_file(path) as file:
        file.update(arrays.items())


_IN_MEMORY = 64 << 20  # bytes; a shelf that holds more lies on disk


class Shelf(MutableMapping[str, np.ndarray]):
    """Arrays put aside in a nameless file, so that of a large model's memory holds those that are being worked on.

    Each reading is a new array. Small shelves stay in memory. The file is in `folder`, and goes with the shelf or with the
    process.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: tempfile.SpooledTemporaryFile[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (see `close`)
            _IN_MEMORY, dir=str(folder)
        )
        self._places: dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]] = {}
        self._end = 0

    def __setitem__(self, name: str, array: np.ndarray) -> None:
        """Puts an array there; in the place of one of the same name, shape and type, if there is one."""
        start, *kind = self._places.get(name, (self._end, array.shape, array.dtype))
        if kind != [array.shape, array.dtype]:
            raise ValueError(f"{name} is of another shape or type than what it replaces")
        if self._end + array.nbytes > _IN_MEMORY:
            self._file.rollover()  # before, not after it was written to memory
        self._file.seek(start)
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self._places[name] = (start, array.shape, array.dtype)
        self._end = max(self._end, start + array.nbytes)

    def __getitem__(self, name: str) -> np.ndarray:
        start, shape, dtype = self._places[name]
        array = np.empty(shape, dtype)
        self._file.seek(start)
        self._file.readinto(array.reshape(-1).view(np.uint8).data)
        return array

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        self._places.clear()
        self._file.close()


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
