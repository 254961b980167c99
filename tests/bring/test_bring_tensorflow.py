"""TensorFlow's modules, functions and SavedModel folders brought: the same function, the same names, nothing run from data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

import tensorflow_modules as modules  # noqa: E402  needs tensorflow

import assay  # noqa: E402
from assay.errors import ModelError, UnsupportedError  # noqa: E402
from assay.graph.layout import decide  # noqa: E402
from assay.prove.oracle import evaluate  # noqa: E402

FILE = Path(modules.__file__)


def _inputs(example: tuple[Any, ...], size: int) -> list[np.ndarray]:
    """Other numbers than the example's, and another size of the batch."""
    generator = np.random.default_rng(1)
    return [
        generator.normal(size=(size, *item.shape[1:])).astype(np.float32)
        if item.dtype.kind == "f"
        else generator.integers(0, 9, (size, *item.shape[1:])).astype(item.dtype)
        for item in example
    ]


def _same(model: assay.Model, inputs: list[np.ndarray], expected: Any) -> None:
    given = {value.name: item for value, item in zip(model.graph.inputs, inputs, strict=True)}
    for found, wanted in zip(evaluate(model, given), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", modules.MODULES)
def test_same_function(name: str) -> None:
    module, example = modules.MODULES[name]()
    model = assay.load(module, inputs=example)
    inputs = _inputs(example, 3)
    _same(model, inputs, module(*inputs, training=False) if name == "mlp" else module(*inputs))
    assert str(model.graph.inputs[0].shape).startswith("[batch,")
    for framework in ("tensorflow", "jax", "pytorch", "keras"):
        assert "class " in model.write(framework).files["model.py"]


def test_names_are_the_paths_of_attributes() -> None:
    module, example = modules.MODULES["mlp"]()
    model = assay.load(module, inputs=example)
    held = {
        ".".join(map(str, path)): item
        for path, item in module._flatten(predicate=lambda x: isinstance(x, tf.Variable), with_path=True)
    }
    assert set(model.weights()) == {name for name, item in held.items() if item.trainable}
    assert all(np.array_equal(array, held[name].numpy()) for name, array in model.weights().items())
    assert model.modules["layers.1"].class_name == "Dense" and model.modules[""].class_name == "MLP"
    assert "for layer in self.layers[:-1]:" in FILE.read_text()


def test_no_transposes_in_channels_last_code() -> None:
    module, example = modules.MODULES["convnet"]()
    model = assay.load(module, inputs=example)
    assert [value.name for value in model.graph.outputs] == ["features", "logits"]
    assert not [node for node in decide(model).graph if node.metadata_props.get("assay.reorder") == "yes"]
    for framework in ("tensorflow", "jax", "keras"):
        text = model.write(framework).files["model.py"]
        assert ".transpose(" not in text and "ops.transpose" not in text


def test_functions() -> None:
    module, example = modules.MODULES["nested"]()
    function = tf.function(lambda x: module(x) * 2)
    inputs = _inputs(example, 2)
    expected = module(inputs[0]) * 2
    concrete = function.get_concrete_function(tf.TensorSpec([None, 4]))
    for model in (assay.load(function, inputs="2x4"), assay.load(concrete)):
        _same(model, inputs, expected)
    assert any("training" in note for note in assay.load(concrete).notes)


def _saved(folder: Path, name: str) -> tuple[tf.Module, list[np.ndarray]]:
    module, example = modules.MODULES[name]()
    (array,) = example
    spec = tf.TensorSpec([None, *array.shape[1:]], array.dtype, name="given")
    call = tf.function(lambda given: module(given, training=False) if name == "mlp" else module(given))
    module.serve = call
    tf.saved_model.save(module, str(folder), signatures=call.get_concrete_function(spec))
    return module, _inputs(example, 3)


@pytest.mark.parametrize("name", ["mlp", "convnet", "attention"])
def test_saved_model(tmp_path: Path, name: str) -> None:
    module, inputs = _saved(tmp_path / "net", name)
    model = assay.load(tmp_path / "net")
    _same(model, inputs, module(*inputs, training=False) if name == "mlp" else module(*inputs))
    live = assay.load(module, inputs=tuple(inputs))
    assert set(model.weights()) == set(live.weights())
    assert any("no classes" in note for note in model.notes)


def test_hostile_saved_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads or writes files, or runs Python, is refused by the graph's text; nothing is loaded."""
    marker = tmp_path / "written"

    class Hostile(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            tf.io.write_file(str(marker), "x")
            return x + tf.py_function(lambda given: given, [x], tf.float32)

    module = Hostile()
    tf.saved_model.save(module, str(tmp_path / "net"), signatures=module.__call__.get_concrete_function())
    monkeypatch.setattr(tf.saved_model, "load", None)
    with pytest.raises(ModelError, match=r"EagerPyFunc .*WriteFile|WriteFile"):
        assay.load(tmp_path / "net")
    assert not marker.exists()
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"cannot be read|no graph|no signature"):
        assay.load(tmp_path / "net")


def test_messages() -> None:
    lines = FILE.read_text().splitlines()
    place = next(number for number, line in enumerate(lines, 1) if "the line that the message names" in line)
    with pytest.raises(ModelError, match=rf"tensorflow_modules\.py:{place}: .*tf\.where"):
        assay.load(modules.DataDependent(), inputs="2x4")
    with pytest.raises(UnsupportedError) as caught:
        assay.load(modules.Unknown(), inputs="2x4")
    assert {item.split()[0] for item in caught.value.missing} == {"Lgamma", "Digamma", "RandomStandardNormal"}


@pytest.mark.parametrize(
    "reference, inputs, message",
    [
        (f"{FILE}:mlp", None, "give an example"),
        (f"{FILE}:mlp", "2x5", r"tensorflow_modules\.py:\d+: "),
        (f"{FILE}:mlp", "2x4:float7", "no type that TensorFlow knows"),
    ],
)
def test_bad_input(reference: str, inputs: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        assay.load(reference, inputs=inputs)


def test_command_line() -> None:
    command = [sys.executable, "-m", "assay.cli", "prove", f"{FILE}:convnet", "-f", "jax,tensorflow", "-m", "default"]
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=FILE.parent)
    assert done.returncode == 0, done.stdout + done.stderr
