"""`carry`: weights that were trained in any framework's written code, back into the model that was brought."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from assay.errors import DataError, ModelError, NotFoundError, OutputError
from assay.frameworks import bringing, find
from assay.frameworks import target as find_target
from assay.model import Model
from assay.write import Package
from assay.write.weights import WeightMap, origins, to_native, to_source

_MANIFEST, _WEIGHTS = "assay.json", "weights.safetensors"


@dataclass(frozen=True)
class Carried:
    """Trained weights as the original has them."""

    name: str  # of the model
    weights: Mapping[str, np.ndarray] = field(repr=False)  # by the original's own names, in its own layouts
    graph: Mapping[str, np.ndarray] = field(repr=False)  # by the names of the brought model's weights

    def into(self, original: Any) -> tuple[str, ...]:
        """Loads the weights into a live module of PyTorch (`load_state_dict(strict=True)`), Flax NNX (`nnx.update`) or
        TensorFlow, or a Keras model; returns the names of its weights that were left as they are, because the written
        model does not use them.

        Raises `ModelError`, before anything is changed, if one has another name or shape there.
        """
        left: tuple[str, ...] = _module_for(original).load_into(original, self.weights)
        return left

    def model(self, brought: Model) -> Model:
        """The brought model with these weights."""
        return brought.with_weights(dict(self.graph))

    def save(self, path: str | Path, into: Any = None) -> tuple[Path, tuple[str, ...]]:
        """Writes the weights to a file; returns it, and the names of the original's that were left as they are.

        `.safetensors`: by the original's names; `.pt`: for PyTorch; `.keras`: with the Keras model or `.keras` file given
        as `into`; `.onnx`: with the brought `Model` given. A live original is loaded with the weights, and its whole state
        is written. Raises `OutputError` if the file cannot be written, `DataError` for another ending.
        """
        place = Path(path)
        if place.suffix not in _ENDINGS:
            raise DataError(f"cannot save weights as {place}: expected a name that ends in {', '.join(_ENDINGS)}")
        try:
            if isinstance(into, Path):
                return place, self._save_file(place, into)
            if into is None or isinstance(into, Model):
                self._save_alone(place, into)
                return place, ()
            return place, self._save_live(place, into)
        except OSError as error:
            raise OutputError(f"cannot write {place}: {error.strerror or error}") from error

    def _save_file(self, place: Path, original: Path) -> tuple[str, ...]:
        if place.suffix != ".keras":
            raise DataError(
                f"cannot save {original} with other weights as {place}: expected a name that ends in .keras"
            )
        left: tuple[str, ...] = _module_of("keras").rewrite_file(original, self.weights, place)
        return left

    def _save_alone(self, place: Path, brought: Model | None) -> None:
        if place.suffix == ".onnx" and brought is not None:
            self.model(brought).to_onnx(place)
        elif place.suffix == ".pt":
            _module_of("pytorch").save(None, self.weights, place)
        elif place.suffix == ".safetensors":
            _save_arrays(self.weights, place)
        else:
            raise DataError(f"cannot save {place} from weights alone: give the original too, as --into MODEL")

    def _save_live(self, place: Path, original: Any) -> tuple[str, ...]:
        module = _module_for(original)
        own = {"pytorch": ".pt", "keras": ".keras"}.get(module.__name__.split(".")[-2])
        if place.suffix not in (".safetensors", own):
            other = f" or {own}" if own else ""
            raise DataError(
                f"cannot save a {type(original).__name__} as {place}: expected a name that ends in .safetensors{other}"
            )
        left = self.into(original)
        if place.suffix == ".safetensors":
            _save_arrays(module.state(original), place)
        else:
            module.save(original, self.weights, place)
        return left


_ENDINGS = (".safetensors", ".pt", ".keras", ".onnx")


def carry(trained: Any, into: Any = None, *, package: Package | str | Path | None = None) -> Carried:
    """Weights trained in a written package, as the original has them; loaded into the original if that is given.

    `trained`: the folder of a package (its weights.safetensors); a safetensors file with the package's names, beside its
    assay.json or with `package`; a live model that the package's `load()` gave, or its arrays by native path, with
    `package`; an `.onnx` file of assay's; a `Model`. `into`: the live original. `package`: a `Package`, or its folder.

    Raises `NotFoundError` for files that are not there, `ModelError` for weights that are not the package's, or not the
    original's.
    """
    carried = _carried(trained, package)
    if into is not None:
        carried.into(into)
    return carried


def _carried(trained: Any, package: Package | str | Path | None) -> Carried:
    if isinstance(trained, Model):
        return _of_model(trained)
    if isinstance(trained, (str, Path)):
        path = Path(trained)
        if path.suffix == ".onnx":
            from assay.bring import load

            return _of_model(load(path))
        if path.is_dir():
            path = path / _WEIGHTS
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}: expected the folder of a written package, or its weights")
        manifest = _manifest(path.parent if package is None else package)
        return _of_arrays(manifest, _read_arrays(path), str(path))
    if package is None:
        raise ModelError(
            f"weights of a {type(trained).__name__} alone say nothing of where they belong: give package= too, what "
            "model.write gave or the folder that it was saved in"
        )
    manifest = _manifest(package)
    if isinstance(trained, Mapping):
        arrays = {str(name): np.asarray(array) for name, array in trained.items()}
    else:
        framework = _field(manifest, "target", str).partition("/")[0]
        names = list(dict.fromkeys(item.native for item in _maps(manifest)))
        module = _module_of(find(framework).name)
        arrays = module.native_state(trained, names)
    return _of_arrays(manifest, arrays, f"the {type(trained).__name__}")


def _of_model(model: Model) -> Carried:
    graph = model.weights()
    return Carried(model.name, to_native(origins(model), graph), graph)


def _module_of(framework: str) -> ModuleType:
    return importlib.import_module(f"assay.frameworks.{framework}.carry")


def _module_for(original: Any) -> ModuleType:
    framework = bringing(original)
    if framework is None:
        raise ModelError(
            f"cannot load weights into a {type(original).__name__}: expected a module of PyTorch, Flax NNX or TensorFlow, "
            "or a Keras model (a brought Model is frozen: .model(brought) gives one with the weights)"
        )
    return _module_of(framework.name)


# The package's files --------------------------------------------------------------------------------------------------


def _manifest(package: Package | str | Path) -> Mapping[str, Any]:
    if isinstance(package, Package):
        return package.manifest()
    folder = Path(package)
    path = folder / _MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"there is no {path}: expected the folder of a written package, or give package="
        ) from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: expected what was written with the package") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{path} is not what was written with the package")
    if "sources" not in found:
        raise ModelError(
            f"{path} does not say how the source's weights are made: write the package anew with this assay"
        )
    return found


def _field(manifest: Mapping[str, Any], name: str, kind: type) -> Any:
    found = manifest.get(name)
    if not isinstance(found, kind):
        raise ModelError(f"{_MANIFEST} is damaged: {name} is {type(found).__name__}")
    return found


def _maps(manifest: Mapping[str, Any]) -> list[WeightMap]:
    try:
        return [WeightMap.from_json(item) for item in _field(manifest, "weights", list)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(f"{_MANIFEST} is damaged: its map of weights cannot be read") from error


def _of_arrays(manifest: Mapping[str, Any], native: Mapping[str, np.ndarray], where: str) -> Carried:
    """From the package's own names to the graph's, and on to the source's."""
    sources = _field(manifest, "sources", dict)
    find_target(_field(manifest, "target", str))
    try:
        shapes = {name: tuple(int(size) for size in item["shape"]) for name, item in sources.items()}
        maps = [item for item in _maps(manifest) if item.source in shapes]
        absent = [item.native for item in maps if item.native not in native]
        if absent:
            raise ModelError(f"{where} has no {', '.join(absent[:5])}: are these the weights of this package?")
        graph = to_source(maps, native, shapes)
        if partial := sorted({item.source for item in maps} - graph.keys()):
            raise ModelError(
                f"{where} does not hold all of {', '.join(partial[:5])}: are these the weights of this package?"
            )
        back = [WeightMap.from_json(entry) for item in sources.values() for entry in item.get("origin", ())]
        made = {item.source for item in back}
        back += [WeightMap(name, name, sources[name]["role"]) for name in graph if name not in made]
        weights = to_native([item for item in back if item.source in graph], graph)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(f"{where} does not fit {_MANIFEST}: {type(error).__name__}: {error}") from error
    return Carried(_field(manifest, "model", str), weights, graph)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; a shared one under the names too that its writer left out."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            said = file.metadata() or {}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a safetensors file that can be read: {error}") from error
    return arrays | {name: arrays[kept] for name, kept in said.items() if kept in arrays and name not in arrays}


def _save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}, path)
    except SafetensorError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
