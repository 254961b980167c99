"""Invertible maps between the graph's weights and a framework's native parameters.

A native parameter is one source array, or one part of it, after a chain of invertible steps; or several such, one below
the other. The maps are data: they are
saved with every written package, so that weights trained in any framework come back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.model import ORIGIN, Model


@dataclass(frozen=True)
class Step:
    """One invertible step on an array: `transpose` (axes), `reshape` (from shape, to shape), `blocks` (axis, order), `flip` (axes)."""

    kind: str
    arguments: tuple[Any, ...]

    def forward(self, array: np.ndarray) -> np.ndarray:
        """From the graph's form towards the framework's."""
        match self.kind:
            case "transpose":
                return array.transpose(self.arguments)
            case "reshape":
                return array.reshape(self.arguments[1])
            case "blocks":
                return _reorder(array, *self.arguments)
            case "flip":
                return np.flip(array, self.arguments)
        raise ValueError(f"unknown step {self.kind}")

    def backward(self, array: np.ndarray) -> np.ndarray:
        """From the framework's form towards the graph's."""
        match self.kind:
            case "transpose":
                return array.transpose(np.argsort(self.arguments))
            case "reshape":
                return array.reshape(self.arguments[0])
            case "blocks":
                axis, order = self.arguments
                return _reorder(array, axis, tuple(np.argsort(order)))
            case "flip":
                return np.flip(array, self.arguments)
        raise ValueError(f"unknown step {self.kind}")


def _reorder(array: np.ndarray, axis: int, order: Iterable[int]) -> np.ndarray:
    blocks = np.split(array, len(tuple(order)), axis)
    return np.concatenate([blocks[index] for index in order], axis)


def transpose(*axes: int) -> Step:
    """Native axis i is the graph's axis `axes[i]`."""
    return Step("transpose", axes)


def reshape(old: Iterable[int], new: Iterable[int]) -> Step:
    """Row-major reshape."""
    return Step("reshape", (tuple(old), tuple(new)))


def blocks(axis: int, order: Iterable[int]) -> Step:
    """Equal blocks along an axis in a new order: gates of recurrent layers."""
    return Step("blocks", (axis, tuple(order)))


def flip(*axes: int) -> Step:
    """Axes reversed: kernels of transposed convolutions that do not flip."""
    return Step("flip", axes)


@dataclass(frozen=True)
class WeightMap:
    """Where one native parameter comes from."""

    native: str  # the framework's path, the key in weights.safetensors
    source: str  # the initializer's name in the graph
    role: str  # "parameter", "statistic" or "constant"
    index: tuple[
        tuple[int, int] | None, ...
    ] = ()  # the part of the source: (start, stop) for each leading axis, None for all
    steps: tuple[Step, ...] = ()
    rows: tuple[int, int] | None = None  # the part of the native array's first axis that it is; None: the whole array

    @property
    def is_plain(self) -> bool:
        """Whether the native array is the graph's as it is, but for a shape with the same order of elements."""
        return not self.steps and self.rows is None and all(part is None for part in self.index)

    def part_of(self, native: np.ndarray) -> np.ndarray:
        """This map's part of the native array."""
        return native if self.rows is None else native[slice(*self.rows)]

    def to_native(self, source: np.ndarray) -> np.ndarray:
        """The native array (its own rows of it) from the graph's."""
        array = source[self._slices()]
        for step in self.steps:
            array = step.forward(array)
        return np.ascontiguousarray(array).reshape(array.shape)  # which would give a number an axis

    def to_source(self, native: np.ndarray, into: np.ndarray) -> None:
        """Writes its part of the native array back into its part of the graph's."""
        array = self.part_of(native)
        for step in reversed(self.steps):
            array = step.backward(array)
        into[self._slices()] = array.reshape(into[self._slices()].shape)

    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(None) if part is None else slice(*part) for part in self.index)

    def to_json(self) -> dict[str, Any]:
        return {
            "native": self.native,
            "source": self.source,
            "role": self.role,
            "index": [None if part is None else list(part) for part in self.index],
            "steps": [[step.kind, *_lists(step.arguments)] for step in self.steps],
            **({"rows": list(self.rows)} if self.rows is not None else {}),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> WeightMap:
        index = tuple(None if part is None else (part[0], part[1]) for part in found["index"])
        steps = tuple(Step(kind, _tuples(arguments)) for kind, *arguments in found["steps"])
        rows = found.get("rows")
        return cls(found["native"], found["source"], found["role"], index, steps, tuple(rows) if rows else None)


def _lists(values: Iterable[Any]) -> list[Any]:
    return [_lists(item) if isinstance(item, tuple) else item for item in values]


def _tuples(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(_tuples(item) if isinstance(item, list) else item for item in values)


def origins(model: Model) -> tuple[WeightMap, ...]:
    """How the parameters and statistics of what was brought become the graph's: `native` is their name in the source.

    A weight that says nothing of its origin is the source's of the same name, as it is.
    """
    found: list[WeightMap] = []
    for name, value in model.graph.initializers.items():
        role = model.role(value)
        if role == "constant":
            continue
        recorded = json.loads(value.metadata_props.get(ORIGIN, "[]"))
        found += [WeightMap.from_json(item) for item in recorded] or [WeightMap(name, name, role)]
    return tuple(found)


def to_native(maps: Iterable[WeightMap], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Native path → array, from arrays by initializer name."""
    parts: dict[str, list[WeightMap]] = {}
    for item in maps:
        parts.setdefault(item.native, []).append(item)
    return {native: _together(items, arrays) for native, items in parts.items()}


def _together(items: list[WeightMap], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """One native array from all that it is made of."""
    if len(items) == 1:
        return items[0].to_native(arrays[items[0].source])
    ordered = sorted(items, key=lambda item: item.rows or (0, 0))
    return np.concatenate([item.to_native(arrays[item.source]) for item in ordered])


def to_source(
    maps: Iterable[WeightMap], native: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Initializer name → array, put together from the native parts that are present; a source with a missing part is left out."""
    present = whole_sources(maps, native, shapes)
    return {source: one_source(parts, native, shapes[source]) for source, parts in present.items()}


def whole_sources(
    maps: Iterable[WeightMap], native: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, list[WeightMap]]:
    """Initializer name → its parts, of those whose parts are all present; only shapes are looked at."""
    by_source: dict[str, list[WeightMap]] = {}
    for item in maps:
        by_source.setdefault(item.source, []).append(item)
    return {
        source: parts
        for source, parts in by_source.items()
        if all(part.native in native for part in parts)
        and sum(part.part_of(native[part.native]).size for part in parts) == math.prod(shapes[source])
    }


def one_source(parts: list[WeightMap], native: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The graph's array from its native parts, each of which is looked up once."""
    array: np.ndarray | None = None
    for part in parts:
        found = native[part.native]
        if array is None:
            array = np.empty(shape, found.dtype)
        part.to_source(found, array)
    assert array is not None
    return array
