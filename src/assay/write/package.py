"""`Package`: what writing hands over, a model in one framework's own code with everything needed to run it alone."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import OutputError
from assay.frameworks import find, require, target
from assay.model import Model, shape_of, sizes_of
from assay.structure import Structure
from assay.write.weights import WeightMap, origins, to_native, to_source


@dataclass(frozen=True)
class Package:
    """A written model: source files, and the maps between its parameters and the graph's."""

    model: Model = field(repr=False)
    target: str  # "jax", "keras/jax"
    files: Mapping[str, str] = field(repr=False)  # file name → text
    weights: tuple[WeightMap, ...] = field(repr=False)
    lines: Mapping[int, tuple[str, ...]] = field(repr=False)  # line of model.py → nodes of the graph
    constants: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # that the model itself does not have
    structure: Structure | None = field(default=None, repr=False)  # of what it gives; None: one array, or a tuple

    @property
    def framework(self) -> str:
        return self.target.partition("/")[0]

    @property
    def gives(self) -> Structure:
        """How the arrays that the written model gives lie in one another."""
        return self.structure or self.model.structure

    @cached_property
    def native_weights(self) -> dict[str, np.ndarray]:
        """Native path → array, as saved in weights.safetensors."""
        return self._native()

    def _native(self) -> dict[str, np.ndarray]:
        """The native weights, not kept: of a large model each framework's would be one more copy in memory."""
        return to_native(self.weights, {**_all_arrays(self.model), **self.constants})

    def model_with(self, native: Mapping[str, np.ndarray]) -> Model:
        """The model with weights that were trained in this framework, given by native path."""
        current = self.model.weights()
        shapes = {name: array.shape for name, array in current.items()}
        maps = [item for item in self.weights if item.source in current]
        return self.model.with_weights(to_source(maps, native, shapes))

    def save(self, folder: str | Path, data: Path | None = None, readme: str | None = None) -> Path:
        """Writes the package into a new folder (an existing one must be empty) and returns it.

        Everything is written beside the folder first and moved into place whole, so that a full disk leaves nothing half
        done. Raises `OutputError` if the folder exists with content or cannot be written.
        """
        place = Path(folder)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise OutputError(f"{place} exists already and is not empty: choose another folder, or remove it first")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".assay-") as temporary:
                staged = Path(temporary) / "package"
                self._write_into(staged, data, readme)
                if place.exists():
                    place.rmdir()
                os.replace(staged, place)
        except OSError as error:
            raise OutputError(f"cannot write {place}: {error.strerror or error}") from error
        return place

    def _write_into(self, folder: Path, data: Path | None, readme: str | None) -> None:
        from safetensors.numpy import save_file

        folder.mkdir()
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        try:
            save_file(self._native(), folder / "weights.safetensors")
        except Exception as error:  # safetensors raises its own error type for a failed write
            raise OSError(f"weights.safetensors: {error}") from error
        if data is not None:
            shutil.copyfile(data, folder / "data.safetensors")
        if readme is not None:
            (folder / "README.md").write_text(readme, encoding="utf-8")
        (folder / "assay.json").write_text(json.dumps(self.manifest(), indent=1) + "\n", encoding="utf-8")

    def manifest(self) -> dict[str, Any]:
        """What assay.json holds: inputs, outputs, the weight map, and which line comes from which node."""
        from assay import __version__

        def described(values: Any) -> list[dict[str, Any]]:
            return [{"name": v.name, "shape": _sizes(v), "dtype": str(v.dtype).lower(), **_kind(v)} for v in values]

        return {
            "assay": __version__,
            "model": self.model.name,
            "target": self.target,
            "inputs": described(self.model.graph.inputs),
            "outputs": described(self.model.graph.outputs),
            "structure": self.gives.to_data(),
            "weights": [item.to_json() for item in self.weights],
            "sources": _sources(self.model),
            "lines": {str(line): list(nodes) for line, nodes in self.lines.items()},
        }

    def load(self) -> Any:
        """The native model in this process, in evaluation mode, with its weights.

        An `nn.Module`, `tf.Module`, `keras.Model` or `nnx.Module`, called with the graph's inputs in order; it gives
        what the source gives: one array, or a nest of them. Raises `FrameworkMissing` if the framework is not installed.
        """
        chosen = target(self.target)
        require(chosen)
        for name, value in find(self.framework).environment.items():
            os.environ.setdefault(name, value)
        if chosen.backend and "keras" not in sys.modules:
            os.environ["KERAS_BACKEND"] = chosen.backend
        with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
            folder = Path(temporary) / "package"
            self._write_into(folder, None, None)
            return import_file(folder / "model.py").load()


class _SourceKeeper(importlib.machinery.SourceFileLoader):
    """Remembers the source for AutoGraph, tracebacks and `inspect`, which may ask for it when the file is gone."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, path)
        self._text = Path(path).read_text(encoding="utf-8")

    def get_source(self, fullname: str) -> str:
        return self._text


def import_file(path: Path) -> Any:
    """A Python file as a module of its own, under a name that no other import has."""
    name = f"assay_written_{path.stem}_{uuid.uuid4().hex[:8]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceKeeper(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _sources(model: Model) -> dict[str, dict[str, Any]]:
    """The graph's weights: their shapes, and how they are made of the source's own, unless they are those themselves."""
    found: dict[str, dict[str, Any]] = {
        name: {"role": model.role(value), "shape": list(sizes_of(value))}
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and model.role(value) != "constant"
    }
    for item in origins(model):
        if item != WeightMap(item.source, item.source, item.role):
            found[item.source].setdefault("origin", []).append(item.to_json())
    return found


def _sizes(value: ir.Value) -> list[int | str] | None:
    return None if value.shape is None else list(shape_of(value))


def _kind(value: ir.Value) -> dict[str, str]:
    """What a value is if it is no tensor: `sequence` (a list of tensors) or `optional` (a tensor or nothing)."""
    kinds = {"SequenceType": "sequence", "OptionalType": "optional"}
    found = kinds.get(type(value.type).__name__)
    return {} if found is None else {"kind": found}


def _all_arrays(model: Model) -> dict[str, np.ndarray]:
    return {
        name: value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
