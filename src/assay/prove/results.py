"""What one contestant computed, read from its file and mapped back to the graph's names one array at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from assay.model import Model
from assay.write.weights import WeightMap, one_source, whole_sources

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Results:
    """What one contestant computed, under the graph's names. Of a large model, gradients and updates are read from their
    file whenever they are asked for: keep one no longer than it is needed."""

    outputs: tuple[np.ndarray, ...]
    loss: float | None
    gradients: Arrays
    input_gradients: Arrays
    losses: np.ndarray
    updates: Arrays  # what the steps added to each parameter and statistic
    dropout: tuple[tuple[float, np.ndarray, np.ndarray], ...]  # rate, ones after training mode, ones after evaluation

    @cached_property
    def gradient_sizes(self) -> dict[str, float]:
        """The largest element of each gradient."""
        return {name: size_of(array) for name, array in self.gradients.items()}

    @cached_property
    def update_sizes(self) -> dict[str, float]:
        """The largest element of each update."""
        return {name: size_of(array) for name, array in self.updates.items()}


def size_of(array: np.ndarray) -> float:
    """The largest absolute element; 0 of an array without any."""
    flat = array.reshape(-1)
    found = (float(np.abs(flat[start : start + BLOCK]).max()) for start in range(0, flat.size, BLOCK))
    return float(np.max(np.fromiter(found, np.float64), initial=0.0))


BLOCK = 1 << 20  # elements that are worked on at a time, so that what is compared is not in memory several times


class Joined(Mapping[str, np.ndarray]):
    """Arrays of several mappings, or those of them that are named, without reading any."""

    def __init__(self, *parts: Arrays, only: Iterable[str] | None = None) -> None:
        self._parts = {name: part for part in parts for name in part}
        if only is not None:
            self._parts = {name: self._parts[name] for name in only}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._parts[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


class _Stored(Mapping[str, np.ndarray]):
    """The arrays of a file whose names begin with a prefix."""

    def __init__(self, file: NpzFile, prefix: str) -> None:
        self._file = file
        self._prefix = prefix
        self._names = [name.removeprefix(prefix) for name in file.files if name.startswith(prefix)]

    def __getitem__(self, name: str) -> np.ndarray:
        array: np.ndarray = self._file[self._prefix + name]
        return array

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._file.files

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def blank(self, name: str) -> np.ndarray:
        """An array of the same shape and type that takes no memory."""
        assert self._file.zip is not None  # it is open
        with self._file.zip.open(f"{self._prefix}{name}.npy") as member:
            read = npy.read_array_header_1_0 if npy.read_magic(member) == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
        return np.broadcast_to(np.zeros((), dtype), shape)


class _MappedBack(Mapping[str, np.ndarray]):
    """Native arrays under the graph's names, each put together from its parts when it is read."""

    def __init__(self, native: _Stored, maps: Iterable[WeightMap], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._native = native
        self._shapes = shapes
        self._maps = whole_sources(maps, {name: native.blank(name) for name in native}, shapes)

    def __getitem__(self, source: str) -> np.ndarray:
        parts = self._maps[source]
        if len(parts) == 1 and parts[0].is_plain:  # without a second copy
            return self._native[parts[0].native].reshape(self._shapes[source])
        return one_source(parts, self._native, self._shapes[source])

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)


def read_results(
    path: Path, model: Model, weights: Iterable[WeightMap], dropout: tuple[tuple[str, float], ...] = ()
) -> Results:
    """The arrays that a session saved under native paths, mapped back to the graph's names by these maps."""
    file = np.load(path, allow_pickle=False)  # stays open: it is read from as long as the results are used
    shapes = {name: array.shape for name, array in model.weights().items()}
    maps = [item for item in weights if item.source in shapes]
    count = sum(name.startswith("output/") for name in file.files)
    rates = [rate for _, rate in dropout]
    return Results(
        tuple(file[f"output/{index}"] for index in range(count)),
        float(file["loss"]) if "loss" in file.files else None,
        _MappedBack(_Stored(file, "gradient/"), maps, shapes),
        {name: file[name] for name in file.files if name.startswith("input_gradient/")},
        file["losses"] if "losses" in file.files else np.zeros(0),
        _MappedBack(_Stored(file, "update/"), maps, shapes),
        tuple((rate, file[f"dropout/{i}/trained"], file[f"dropout/{i}/evaluated"]) for i, rate in enumerate(rates)),
    )


def deviation(actual: np.ndarray, expected: np.ndarray, scale: float = 0.0) -> float:
    """The largest difference relative to the largest expected element (at least `scale`); infinite where shapes differ or
    a number is not finite on one side only."""
    if actual.shape != expected.shape:
        return math.inf
    difference = largest = 0.0
    found, wanted = actual.reshape(-1), expected.reshape(-1)
    for start in range(0, found.size, BLOCK):
        one, other = found[start : start + BLOCK], wanted[start : start + BLOCK]
        if not np.isfinite(one).all() or not np.isfinite(other).all():
            return 0.0 if np.array_equal(actual, expected, equal_nan=True) else math.inf
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        difference, largest = max(difference, float(apart.max())), max(largest, float(np.abs(other).max()))
    return difference / max(largest, scale, np.finfo(np.float64).tiny) if difference else 0.0
