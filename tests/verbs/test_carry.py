"""Weights trained in any framework's written code come back into the original, and it then computes what they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import assay
from assay.cli import main
from assay.errors import DataError, ModelError, NotFoundError
from assay.frameworks import target as find_target
from assay.measure import Entry
from assay.measure.trainer import TrainingRun
from assay.measure.trainer import train as train_package
from assay.model import Model
from assay.nn.losses import MeanSquaredError
from assay.nn.optimizers import SGD
from assay.verbs.subject import random_data
from assay.workloads.data import save_arrays

TARGETS = ("pytorch", "tensorflow", "keras", "jax")
BATCH = 8
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def _trained(model: Model, target: str, folder: Path, dtype: str) -> tuple[Path, np.ndarray, np.ndarray]:
    """A package after three steps of training in its framework: its folder, test inputs and what it computes of them."""
    data = random_data(model, BATCH)
    save_arrays(data, folder / "data.safetensors")
    package = model.write(target)
    place = package.save(folder / "package", folder / "data.safetensors")
    chosen = find_target(target)
    entry = Entry(chosen.contestants[0], place, folder / "data.safetensors")
    rows = np.arange(3 * BATCH).reshape(3, BATCH)
    run = TrainingRun(rows, {"LEARNING_RATE": 0.5}, dropout=False, dtype=dtype, predict_batch=BATCH)
    result = train_package(entry, folder / "run", run, threads=1)
    with np.load(result.state) as file:
        native = {name: file[name] for name in file.files}
    before = package.native_weights
    assert any(not np.array_equal(native[name], array) for name, array in before.items())
    np.savez(place / "native.npz", **native)
    assert result.outputs is not None
    with np.load(result.outputs) as file:
        return place, data.test.inputs[0], file["output/0"]


def _native(place: Path) -> dict[str, np.ndarray]:
    with np.load(place / "native.npz") as file:
        return {name: file[name] for name in file.files}


def _brought(original: Any, example: Any) -> Model:
    return assay.load(
        original, inputs=example, loss=MeanSquaredError(), optimizer=SGD(0.5, momentum=0.9), batch_size=BATCH
    )


@pytest.mark.parametrize("target", TARGETS)
def test_into_pytorch(target: str, need: Callable[..., None], tmp_path: Path) -> None:
    need("torch", *find_target(target).modules)
    import torch
    from torch import nn

    class Net(nn.Module):
        """Convolutions, batch normalisation, a recurrent layer, and a parameter that is unused."""

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
            self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
            self.rnn = nn.GRU(4, 5, batch_first=True)
            self.first = nn.Linear(5, 5, bias=False)
            self.second = nn.Linear(5, 5)
            self.unused = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.up(self.stem(x)).mean(3).transpose(1, 2)
            return self.second(torch.tanh(self.first(self.rnn(y)[0][:, -1])))

    original = Net().eval()
    place, inputs, expected = _trained(_brought(original, (torch.randn(2, 3, 4, 4),)), target, tmp_path, "float64")
    original.double()
    carried = assay.carry(_native(place), into=original, package=place)
    assert not torch.equal(original.stem[1].running_mean, torch.zeros(6).double())
    with torch.no_grad():
        found = original(torch.from_numpy(inputs).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert set(carried.into(original)) == {"unused", "stem.1.num_batches_tracked"}


@pytest.mark.parametrize("target", TARGETS)
def test_tied_weights_into_pytorch(target: str, need: Callable[..., None], tmp_path: Path) -> None:
    need("torch", *find_target(target).modules)
    import torch
    from torch import nn

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 6)
            self.norm = nn.LayerNorm(6)
            self.output = nn.Linear(6, 11, bias=False)
            self.output.weight = self.embedding.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.norm(self.embedding(x)))

    original = Tied().eval()
    model = _brought(original, (torch.zeros(2, 4, dtype=torch.long),))
    place, inputs, expected = _trained(model, target, tmp_path, "float64")
    original.double()
    assert assay.carry(_native(place), package=place).into(original) == ()
    assert original.output.weight is original.embedding.weight
    with torch.no_grad():
        found = original(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("target", TARGETS)
def test_into_keras(target: str, need: Callable[..., None], tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    need("keras", "jax", *find_target(target).modules)
    import keras
    from keras import layers

    x = keras.Input((6, 6, 3), name="x")
    y = layers.SeparableConv2D(4, 3, activation="relu")(x)
    y = layers.BatchNormalization(momentum=0.5)(y)
    y = layers.Conv2DTranspose(5, 2, strides=2)(y)
    shared = layers.Dense(5, activation="tanh")
    original = keras.Model(x, layers.Dense(2)(shared(shared(layers.GlobalAveragePooling2D()(y)))))
    place, inputs, expected = _trained(_brought(original, None), target, tmp_path, "float32")
    original.save(tmp_path / "original.keras")
    assay.carry(_native(place), into=original, package=place)
    found = np.asarray(original(inputs, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    carried = assay.carry(_native(place), package=place)
    carried.save(tmp_path / "trained.keras", tmp_path / "original.keras")
    again = keras.saving.load_model(tmp_path / "trained.keras")
    np.testing.assert_allclose(np.asarray(again(inputs, training=False)), found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_into_flax(target: str, need: Callable[..., None], tmp_path: Path) -> None:
    need("jax", "flax", *find_target(target).modules)
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(6, momentum=0.5, rngs=rngs)
            self.layers = nnx.List([nnx.Linear(6, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs)])
            self.scale = nnx.Param(jnp.ones(6))
            self.unused = nnx.Param(jnp.ones(3))

        def __call__(self, x: jax.Array) -> jax.Array:
            y = nnx.relu(self.norm(self.conv(x))).mean((1, 2))
            for layer in self.layers:
                y = jnp.tanh(layer(y)) * self.scale
            return y

    original = Net(nnx.Rngs(0))
    place, inputs, expected = _trained(
        _brought(original, (np.zeros((2, 5, 5, 3), np.float32),)), target, tmp_path, "float32"
    )
    carried = assay.carry(_native(place), into=original, package=place)
    original.eval()
    np.testing.assert_allclose(np.asarray(original(jnp.asarray(inputs))), expected, rtol=1e-4, atol=1e-5)
    assert carried.into(original) == ("unused",)


def test_into_tensorflow(need: Callable[..., None], tmp_path: Path) -> None:
    need("tensorflow", "torch")
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = np.random.default_rng(0)
            self.kernels = [tf.Variable(generator.normal(size=(4, 4)).astype(np.float32)) for _ in range(2)]
            self.steps = tf.Variable(3.0, trainable=False)

        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            for kernel in self.kernels:
                x = tf.nn.tanh(x @ kernel)
            return x / self.steps

    original = Net()
    model = _brought(original, (np.zeros((2, 4), np.float32),))
    place, inputs, expected = _trained(model, "pytorch", tmp_path, "float32")
    assay.carry(_native(place), into=original, package=place)
    np.testing.assert_allclose(original(tf.constant(inputs)).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_train_py_saves_and_the_command_line_carries(target: str, need: Callable[..., None], tmp_path: Path) -> None:
    """As people do it: write, python train.py --save, assay carry."""
    need("torch", *find_target(target).modules)
    import torch

    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))\n"
    )
    reference, package = f"{tmp_path / 'nets.py'}:net", tmp_path / "package"
    options = ["--input", "1x6", "--loss", "mse", "--optimizer", "sgd:learning_rate=0.5"]
    written = CliRunner().invoke(
        main, ["write", reference, "--to", target, "--out", str(package), "--no-prove", *options]
    )
    assert written.exit_code == 0, written.output
    model = assay.load(reference, inputs="1x6", loss="mse", batch_size=32)
    data = random_data(model, 32)
    save_arrays(data, package / "data.safetensors")
    trained = package / "trained.safetensors"
    done = subprocess.run(
        [sys.executable, "train.py", "--save", str(trained)], cwd=package, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "trained.pt"
    result = CliRunner().invoke(main, ["carry", str(trained), "--into", reference, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "8 weights of net" in result.output
    state = torch.load(out, weights_only=True)
    fresh = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3)).eval()
    fresh.load_state_dict(state, strict=True)
    # The package itself, with the trained weights, in a process of its own.
    code = (
        "import sys, numpy as np; from model import load; "
        f"m = load({str(trained)!r}); x = np.load({str(tmp_path / 'x.npy')!r}); "
    )
    np.save(tmp_path / "x.npy", data.test.inputs[0][:5])
    call = {"pytorch": "__import__('torch').from_numpy(x)"}.get(target, "x")
    code += f"y = m({call}); y = y.detach() if hasattr(y, 'detach') else y; np.save({str(tmp_path / 'y.npy')!r}, np.asarray(y))"
    subprocess.run([sys.executable, "-c", code], cwd=package, check=True, capture_output=True)
    with torch.no_grad():
        found = fresh(torch.from_numpy(data.test.inputs[0][:5])).numpy()
    np.testing.assert_allclose(found, np.load(tmp_path / "y.npy"), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assay.load("digits-cnn").write("jax").save(tmp_path_factory.mktemp("carry") / "package")


def test_untrained_weights_are_the_source_s_own(package: Path) -> None:
    found = assay.carry(package)
    for name, array in assay.load("digits-cnn").weights().items():
        np.testing.assert_array_equal(found.weights[name], array)


def test_an_onnx_file_and_back(package: Path, tmp_path: Path) -> None:
    model = assay.load("digits-cnn")
    changed = model.with_weights({name: array + 1 for name, array in model.weights().items()})
    changed.to_onnx(tmp_path / "trained.onnx")
    found = assay.carry(tmp_path / "trained.onnx")
    for name, array in found.model(model).weights().items():
        np.testing.assert_array_equal(array, changed.weights()[name])
    result = CliRunner().invoke(
        main, ["carry", str(package), "--into", "digits-cnn", "--out", str(tmp_path / "back.onnx")]
    )
    assert result.exit_code == 0, result.output
    for name, array in assay.load(tmp_path / "back.onnx").weights().items():
        np.testing.assert_array_equal(array, model.weights()[name])


def test_what_does_not_fit_is_refused_before_anything_is_changed(
    package: Path, tmp_path: Path, need: Callable[..., None]
) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        assay.carry(tmp_path / "nothing")
    with pytest.raises(ModelError, match="say nothing of where they belong"):
        assay.carry({"a": np.zeros(3)})
    with pytest.raises(ModelError, match=r"has no conv1\.kernel"):
        assay.carry({"a": np.zeros(3)}, package=package)
    wrong = {item["native"]: np.zeros(2) for item in json.loads((package / "assay.json").read_text())["weights"]}
    with pytest.raises(ModelError, match="does not hold all of"):
        assay.carry(wrong, package=package).save(tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="ends in"):
        assay.carry(package).save(tmp_path / "x.npz")
    with pytest.raises(DataError, match="give the original too"):
        assay.carry(package).save(tmp_path / "x.onnx")
    need("torch")
    import torch

    other = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="Sequential has no parameter"):
        assay.carry(package, into=other)
    with pytest.raises(ModelError, match="cannot load weights into a list"):
        assay.carry(package, into=[1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: m.pop("sources"),
        lambda m: m.update(weights=3),
        lambda m: m["weights"][0].update(steps=[["transpose", 7, 9]]),
        lambda m: m["weights"][0].update(steps=[["system", "x"]]),
        lambda m: next(iter(m["sources"].values())).update(shape=[10**12]),
        lambda m: next(iter(m["sources"].values())).update(shape="x"),
        lambda m: next(iter(m["sources"].values())).pop("role"),
        lambda m: m.update(target=[1]),
    ],
)
def test_damaged_manifests_are_refused(package: Path, tmp_path: Path, damage: Callable[[Any], object]) -> None:
    manifest = json.loads((package / "assay.json").read_text())
    damage(manifest)
    (tmp_path / "assay.json").write_text(json.dumps(manifest))
    (tmp_path / "weights.safetensors").write_bytes((package / "weights.safetensors").read_bytes())
    with pytest.raises(ModelError):
        assay.carry(tmp_path)


def test_a_file_that_is_no_safetensors(package: Path) -> None:
    (package / "broken.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ModelError, match="not a safetensors file"):
        assay.carry(package / "broken.safetensors")
