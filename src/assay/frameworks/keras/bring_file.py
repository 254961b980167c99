"""`.keras` archives: looked at first, then read in Keras' safe mode, in a process of its own.

Nothing in the archive is run: a class or function that is not Keras' own, or that could reach files or code, is refused by
name before Keras sees the archive. The process leaves no framework behind in the one that asks.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx_ir as ir

from assay.errors import AssayError, ModelError, UnsupportedError
from assay.model import Model
from assay.nn.records import from_data, to_data

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_TEXT = 64 << 20  # bytes of a configuration: the largest models have a few million
_LARGEST = 1 << 38  # bytes of weights: more than any machine holds
_BACKENDS = ("tensorflow", "jax", "torch")

# Where classes of Keras that only compute come from. Layers are refused further down unless assay can bring them.
_MODULES = re.compile(
    r"keras(\.(layers|initializers|regularizers|constraints|losses|metrics|activations|models|dtype_policies"
    r"|optimizers(\.schedules)?|src\.models\.(functional|sequential|model)|src\.applications\.convnext"
    r"|src\.ops\.(numpy|nn|math|core|image|linalg)|src\.(activations|losses|metrics|optimizers)(\.\w+)*))?"
)
_REFUSED = {  # layers that run code, or read files, when they are made or called
    *("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "StringLookup", "IntegerLookup"),
    *("TextVectorization", "FeatureSpace", "Pipeline"),
}
_PLAIN = {  # values that Keras writes as if they were classes
    *("__tuple__", "__tensor__", "__numpy__", "__keras_tensor__", "__slice__", "__ellipsis__", "__bytes__"),
}


def read(path: Path, name: str) -> Model:
    """The model in an archive; `ModelError` for one that is malformed, too large, or holds code."""
    check(path)
    with tempfile.TemporaryDirectory(prefix="assay-keras-") as folder:
        reply = _ask(path, name, Path(folder))
        if "error" in reply:
            kind = UnsupportedError if reply["kind"] == "UnsupportedError" else ModelError
            raise kind(reply["error"]) if kind is ModelError else UnsupportedError(reply["error"], reply["listed"])
        found = ir.load(Path(folder) / "model.onnx")
        ir.external_data.load_to_model(found)
    training = reply["training"]
    return Model(name, found, None if training is None else from_data(training))


# Looking --------------------------------------------------------------------------------------------------------------


def check(path: Path) -> None:
    """Raises `ModelError` unless the archive holds a configuration of Keras' own classes, and weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path)
            config = _json(archive, _CONFIG, path)
            _json(archive, _METADATA, path)
            _check_config(config, path)
            with archive.open(_WEIGHTS) as weights:
                _check_weights(weights, path)
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path} is not a .keras archive that can be read: {_first_line(error)}") from error


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    if len(names) != len(set(names)):
        raise ModelError(f"{path} holds two members of one name: nothing of it is read")
    for item in archive.infolist():
        limit = _LARGEST if item.filename == _WEIGHTS else _LARGEST_TEXT
        shrunk = item.file_size > 1000 * max(item.compress_size, 1) and item.file_size > 1 << 20
        if item.file_size > limit or shrunk:
            raise ModelError(
                f"{path} holds {item.filename!r} of {item.file_size:,} bytes ({item.compress_size:,} packed), "
                "which no model needs: nothing of it is read"
            )
        if item.filename not in (_CONFIG, _METADATA, _WEIGHTS) and not item.is_dir():
            raise ModelError(f"{path} holds {item.filename!r}, which is no part of a model that can be brought")


def _json(archive: zipfile.ZipFile, member: str, path: Path) -> Any:
    try:
        return json.loads(archive.read(member))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a .keras archive that can be read: its {member} is no JSON") from error


def _check_config(config: Any, path: Path) -> None:
    """Every class and function that the archive names is one of Keras' own that only computes; all others are named."""
    from assay.frameworks.keras.bring_graph import layer_names

    known = layer_names() | {"InputLayer", "Functional", "Sequential", "Model", "Wrapper", "StackedRNNCells"}
    known |= {"LSTMCell", "GRUCell", "SimpleRNNCell", "TimeDistributed", "Bidirectional", "SpectralNormalization"}
    refused: list[str] = []
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise ModelError(f"{path} is not a .keras archive that can be read: its {_CONFIG} names no class")
    for item in _objects(config):
        kind, module = str(item.get("class_name")), item.get("module")
        registered = item.get("registered_name")
        if kind in _PLAIN:
            continue
        own = isinstance(module, str) and _MODULES.fullmatch(module) is not None
        custom = isinstance(registered, str) and ">" in registered and not registered.startswith("keras")
        if kind in _REFUSED or kind == "__lambda__":
            refused.append(f"{kind} (a layer or function that can run code, or reads files)")
        elif kind == "function" or not own or custom:
            given = item.get("config") if kind == "function" and isinstance(item.get("config"), str) else kind
            refused.append(f"{given} of {module or registered}")
        elif module == "keras.layers" and kind not in known:
            refused.append(f"{kind} (no layer that assay can bring)")
    if refused:
        raise ModelError(
            f"{path} holds {'; '.join(dict.fromkeys(refused))}: a data file brings no code of its own, and nothing of it is "
            "read; give file.py:callable, a function that loads it with custom_objects, instead"
        )


def _objects(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of a configuration that says what class it is of."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Mapping):
            if "class_name" in found:
                yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _check_weights(weights: Any, path: Path) -> None:
    """Arrays that lie in the file itself, of sizes that it can hold."""
    import h5py

    with h5py.File(weights, "r") as file:
        waiting, total = [file], 0
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ModelError(
                        f"{path}: the weights {name!r} are a link to somewhere else; nothing of it is read"
                    )
                item = group[name]
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                    continue
                if item.is_virtual or item.external:
                    raise ModelError(f"{path}: the weights {name!r} lie in another file; nothing of it is read")
                total += item.nbytes
                if total > _LARGEST:
                    raise ModelError(f"{path}: the weights take {total:,} bytes, more than any machine holds")


# Asking ---------------------------------------------------------------------------------------------------------------


def _ask(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """What a process of its own says of the archive."""
    import assay

    root = str(Path(assay.__file__).parents[1])
    environment = {**os.environ, "KERAS_BACKEND": backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", __name__, str(path.absolute()), name, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        reply: dict[str, Any] = json.loads((folder / "reply.json").read_text())
    except (OSError, ValueError):
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with status {done.returncode}"]
        raise ModelError(f"{path} could not be read by Keras: {last[0]}") from None
    return reply


def backend() -> str:
    """The backend that a file is read on: the one that is asked for, or the first that is installed."""
    wanted = os.environ.get("KERAS_BACKEND", "")
    installed = [name for name in _BACKENDS if find_spec(name) is not None]
    return wanted if wanted in installed else (installed or ["tensorflow"])[0]


def _main(path: str, name: str, folder: str) -> None:
    place = Path(folder)
    try:
        reply = _brought(Path(path), name, place)
    except UnsupportedError as error:
        reply = {"kind": "UnsupportedError", "error": str(error), "listed": list(getattr(error, "missing", []))}
    except AssayError as error:
        reply = {"kind": "ModelError", "error": str(error)}
    (place / "reply.json").write_text(json.dumps(reply))


def _brought(path: Path, name: str, folder: Path) -> dict[str, Any]:
    import keras

    from assay.frameworks.keras.bring_model import bring

    try:
        found = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # Keras' reader has errors of many kinds
        raise ModelError(f"{path} could not be read by Keras: {_first_line(error)}") from error
    model = bring(found, None, name)
    ir.save(model.ir, folder / "model.onnx", external_data="weights.bin")
    return {"training": None if model.training is None else to_data(model.training)}


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


if __name__ == "__main__":
    _main(*sys.argv[1:4])
