"""Weights into a live Keras model or a `.keras` file, and out of a model."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import ModelError
from assay.frameworks.carrying import check


def native_state(model: Any, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The weights of a written model by their paths."""
    import keras

    wanted = set(names)
    return {item.path: keras.ops.convert_to_numpy(item) for item in model.weights if item.path in wanted}


def load_into(model: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Assigns weights by the paths of the model's variables; returns the paths left as they were.

    Raises `ModelError`, before anything is changed, unless each path is the model's, with the same shape.
    """
    from assay.frameworks.keras.bring_model import variables_by_path

    variables = variables_by_path(model)
    check(arrays, {name: tuple(item.shape) for name, item in variables.items()}, model.name, "variable")
    for name, array in arrays.items():
        variables[name].assign(array)
    return tuple(name for name in variables if name not in arrays)


def state(model: Any) -> dict[str, np.ndarray]:
    """The variables of a model by path, but for the states of random generators."""
    import keras

    from assay.frameworks.keras.bring_model import variables_by_path

    found = {name: keras.ops.convert_to_numpy(item) for name, item in variables_by_path(model).items()}
    return {name: array for name, array in found.items() if array.dtype.kind == "f"}


def save(model: Any, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """A `.keras` file of the model, which holds the arrays already."""
    model.save(path)


def rewrite_file(path: Path, arrays: Mapping[str, np.ndarray], out: Path) -> tuple[str, ...]:
    """A `.keras` file with other weights, written by a process of its own; returns the paths left as they were.

    Raises `ModelError` for an archive that is refused, or whose variables these are not.
    """
    import assay
    from assay.frameworks.keras.bring_file import backend, check

    check(path)
    root = str(Path(assay.__file__).parents[1])
    environment = {**os.environ, "KERAS_BACKEND": backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory(prefix="assay-keras-") as folder:
        given, reply = Path(folder) / "weights.npz", Path(folder) / "reply.txt"
        named: dict[str, Any] = {f"{place:06d}": array for place, array in enumerate(arrays.values())}
        np.savez(given, **named)
        (Path(folder) / "names.txt").write_text("\n".join(arrays), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(path.absolute()), folder, str(out.absolute())]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        said = reply.read_text(encoding="utf-8") if reply.is_file() else ""
        if done.returncode or not reply.is_file():
            last = done.stderr.strip().splitlines()[-1:] or [f"it ended with status {done.returncode}"]
            raise ModelError(said or f"{path} could not be written by Keras: {last[0]}")
    return tuple(filter(None, said.split("\n")))


def _main(path: str, folder: str, out: str) -> None:
    import keras

    place = Path(folder)
    names = (place / "names.txt").read_text(encoding="utf-8").split("\n")
    with np.load(place / "weights.npz", allow_pickle=False) as file:
        arrays = dict(zip(names, (file[key] for key in sorted(file.files)), strict=True))
    try:
        model = keras.saving.load_model(path, safe_mode=True)
        left = load_into(model, arrays)
    except ModelError as error:
        (place / "reply.txt").write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from error
    model.save(out)
    (place / "reply.txt").write_text("\n".join(left), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:4])
