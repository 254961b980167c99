"""Keras models brought by following their calls: the same function, the same names, what is lost said."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("jax")
pytest.importorskip("keras")

import keras
import keras_models as models
from keras import layers as L
from keras import ops

import assay
from assay.errors import ModelError, UnsupportedError
from assay.frameworks.keras.bring import set_weights
from assay.model import Model
from assay.nn.losses import CrossEntropy, Huber
from assay.nn.optimizers import SGD, AdamW, Cosine
from assay.prove.oracle import evaluate

FILE = Path(models.__file__)
# Keras 3.15 says so of its own variables whenever they become NumPy arrays.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def _disturb(model: Any, seed: int = 0) -> None:
    """Weights at which no two parts look alike."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "variance" in variable.path:
            variable.assign(generator.uniform(0.5, 2, variable.shape))
        elif variable.trainable or "mean" in variable.path:
            variable.assign(generator.normal(0, 0.3, variable.shape))


def _inputs(model: Model, batch: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    found = {}
    for value in model.graph.inputs:
        shape = [size if isinstance(size, int) else batch for size in value.shape]
        floating = value.dtype is not None and value.dtype.is_floating_point()
        numbers = generator.normal(size=shape).astype(np.float32)
        found[value.name or ""] = numbers if floating else generator.integers(0, 5, shape).astype(np.int32)
    return found


def _expected(source: Any, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    arrays = list(given.values())
    result = source(arrays if len(arrays) > 1 else arrays[0], training=False)
    return [keras.ops.convert_to_numpy(item) for item in keras.tree.flatten(result)]


def _assert_same(source: Any, tolerance: float = 3e-5) -> Model:
    """The brought model computes what its source does, for another size of the batch."""
    _disturb(source)
    model = assay.load(source)
    given = _inputs(model)
    wanted = _expected(source, given)
    for found, expected in zip(evaluate(model, given), wanted, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))
    return model


@pytest.mark.parametrize("family", models.FAMILIES, ids=lambda family: family.__name__)
def test_layers(family: Callable[[], Any]) -> None:
    count = 0
    for source in family():
        try:
            _assert_same(source)
        except Exception as error:
            raise AssertionError(f"{source.layers[-1].name}, number {count} of {family.__name__}") from error
        count += 1
    assert count > 5


class _Function(L.Layer):  # type: ignore[misc]  # keras has no types
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize("name", models.OPERATIONS)
def test_operations(name: str) -> None:
    x = keras.Input((4, 3), name="x")
    _assert_same(keras.Model(x, _Function(models.OPERATIONS[name])(x)))


# Structure and weights ------------------------------------------------------------------------------------------------


def _built(model: Any, shape: tuple[int, ...], dtype: str = "float32") -> Any:
    model(np.zeros(shape, dtype))
    return model


def test_subclassed_models_keep_their_structure() -> None:
    source = _built(models.GPT(), (2, 6), "int32")
    model = _assert_same(source)
    assert model.modules[""].class_name == "GPT"
    assert model.modules[""].arguments == ("tokens",)
    assert model.modules["blocks.2"].class_name == "Block"
    assert model.modules["blocks.2.attention.query"].class_name == "Dense"
    assert "blocks.1.gamma" in model.weights() and "embed.places.embeddings" in model.weights()
    code = model.write("jax").files["model.py"]
    assert code.count("class Block") == code.count("class MultiHeadAttention") == 1
    heads = _assert_same(_built(models.Heads(), (2, 8, 8, 3)))
    assert [value.name for value in heads.graph.outputs] == ["kind", "place"]
    assert [str(value.shape) for value in heads.graph.inputs] == ["[batch,8,8,3]"]
    assert {"stem.0.kernel", "heads.place.bias"} <= set(heads.weights())


def test_a_model_stays_as_it_was() -> None:
    source = _built(models.GPT(), (2, 6), "int32")
    before = {id(layer): len(layer._inbound_nodes) for layer in source._flatten_layers()}
    gamma = source.blocks[0].gamma
    assay.load(source)
    assert source.blocks[0].gamma is gamma
    assert {id(layer): len(layer._inbound_nodes) for layer in source._flatten_layers()} == before
    assert keras.Operation.__call__.__module__.startswith("keras")


@pytest.mark.parametrize("name", ["gpt", "convolutional", "recurrent"])
def test_weights_go_there_and_back(name: str) -> None:
    def made() -> Any:
        if name == "gpt":
            return _built(models.GPT(), (2, 6), "int32")
        if name == "convolutional":
            return models.convolutional()
        return models.one((6, 3), lambda x: L.GRU(3)(L.Bidirectional(L.LSTM(4, return_sequences=True))(x)))

    source, other = made(), made()
    _disturb(source, 1)
    _disturb(other, 2)
    model, changed = assay.load(source), assay.load(other)
    set_weights(source, model.with_weights(changed.weights()))
    for variable, expected in zip(source.weights, other.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    with pytest.raises(ModelError, match=r"has no such variable|has shape"):
        set_weights(models.one((5,), L.Dense(3)), model)


@pytest.mark.parametrize("target", ["pytorch", "jax"])
def test_weights_of_written_code_come_back(target: str) -> None:
    source = models.convolutional()
    _disturb(source)
    package = assay.load(source).write(target)
    native = {path: array + 1 for path, array in package.native_weights.items()}
    before = {variable.path: variable.numpy() for variable in source.weights}
    set_weights(source, package.model_with(native))
    for variable in source.weights:
        np.testing.assert_allclose(variable.numpy(), before[variable.path] + 1, rtol=1e-6)


def test_shared_layers_share() -> None:
    model = _assert_same(models.shared())
    assert list(model.weights()) == ["encoder.kernel", "encoder.bias"]
    for target in ("pytorch", "jax", "keras", "tensorflow"):
        assert len(model.write(target).native_weights) == 2


# Layout ---------------------------------------------------------------------------------------------------------------


def test_no_layout_transposes_in_channels_last_code() -> None:
    model = assay.load(models.convolutional())
    for target in ("jax", "keras", "tensorflow"):
        assert "transpose" not in model.write(target).files["model.py"], target
    code = model.write("pytorch").files["model.py"]
    assert code.count("permute(0, 3, 1, 2)") == code.count("permute(0, 2, 3, 1)") == code.count("permute") - 1 == 1
    resnet = keras.applications.ResNet50(input_shape=(64, 64, 3), weights=None, classes=10)
    brought = assay.load(resnet)
    assert [node.op_type for node in brought.graph].count("Transpose") == 1
    for target in ("jax", "keras", "tensorflow"):
        assert "transpose" not in brought.write(target).files["model.py"], target


def test_batch_normalisation_without_scale_has_none() -> None:
    model = assay.load(models.one((6, 6, 4), L.BatchNormalization(scale=False, momentum=0.95, epsilon=0.01)))
    assert set(model.weights()) == {
        f"batch_normalization.{name}" for name in ("beta", "moving_mean", "moving_variance")
    }
    assert "scale=False" in model.write("keras").files["model.py"]
    assert "use_scale=False" in model.write("jax").files["model.py"]
    node = next(node for node in model.graph if node.op_type == "BatchNormalization")
    assert node.attributes["momentum"].as_float() == pytest.approx(0.95)
    assert node.attributes["epsilon"].as_float() == pytest.approx(0.01)


# Inputs and batches ---------------------------------------------------------------------------------------------------


def test_open_sizes_stay_open() -> None:
    model = assay.load(models.one((None, 3), lambda x: L.Dense(2)(L.LSTM(4, return_sequences=True)(x))))
    assert str(model.graph.inputs[0].shape) == "[batch,x_1,3]"
    image = assay.load(models.one((None, None, 3), lambda x: L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))))
    given = {"x": np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype(np.float32)}
    assert evaluate(image, given)[0].shape == (2, 4)


class _WithBatch(keras.Model):  # type: ignore[misc]  # keras has no types
    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, x: Any) -> Any:
        batch, steps, _ = ops.shape(x)
        y = self.dense(ops.reshape(x, (batch * steps, 4)))
        return ops.reshape(y, (batch, steps, 3))


def test_a_model_that_computes_with_the_size_of_its_batch() -> None:
    source = _built(_WithBatch(), (2, 5, 4))
    model = assay.load(source)
    given = _inputs(model, batch=1)
    for found, expected in zip(evaluate(model, given), _expected(source, given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_dicts_of_inputs() -> None:
    given = {"left": keras.Input((3,), name="left"), "right": keras.Input((3,), name="right")}
    source = keras.Model(given, {"sum": L.Add()([given["left"], given["right"]])})
    model = assay.load(source)
    assert [value.name for value in model.graph.inputs] == ["left", "right"]
    assert [value.name for value in model.graph.outputs] == ["sum"]


def test_an_example_where_the_model_is_not_built() -> None:
    with pytest.raises(ModelError, match="not built: give an example of tokens"):
        assay.load(models.GPT())
    assert assay.load(models.GPT(), inputs="1x6:int32").modules["blocks.0"].class_name == "Block"


# Training -------------------------------------------------------------------------------------------------------------


def _compiled(loss: Any, optimizer: Any) -> Model:
    source = models.convolutional()
    source.compile(optimizer, loss)
    return assay.load(source)


def test_a_compiled_model_brings_its_training() -> None:
    optimizer = keras.optimizers.AdamW(2e-3, weight_decay=0.02, epsilon=1e-6, global_clipnorm=1.5)
    model = _compiled(keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer)
    assert model.training is not None
    assert model.training.loss == CrossEntropy()
    assert model.training.optimizer == AdamW(2e-3, epsilon=1e-6, weight_decay=0.02, clip=1.5)
    assert any("before the bias correction" in note for note in model.notes)
    schedule = keras.optimizers.schedules.CosineDecay(0.25, 100, alpha=0.5)
    model = _compiled(keras.losses.Huber(0.5), keras.optimizers.SGD(schedule, momentum=0.75, nesterov=True))
    assert model.training is not None
    assert model.training.loss == Huber(0.5)
    assert model.training.optimizer == SGD(0.25, 0.75, True, schedule=Cosine(100, final=0.5))
    assert _compiled("mse", "rmsprop").training is not None


@pytest.mark.parametrize(
    "loss, optimizer, said",
    [
        ("sparse_categorical_crossentropy", "adam", "reads probabilities"),
        ("kl_divergence", "adam", "kl_divergence has no counterpart"),
        ("mse", "nadam", "Nadam has no counterpart"),
        (keras.losses.MeanSquaredError(reduction="sum"), "sgd", "not the mean"),
    ],
)
def test_training_without_a_counterpart_is_said(loss: Any, optimizer: str, said: str) -> None:
    model = _compiled(loss, optimizer)
    assert model.training is None
    assert any(said in note for note in model.notes)


def test_what_is_lost_is_said() -> None:
    def call(x: Any) -> Any:
        y = L.LSTM(3, dropout=0.1)(L.Embedding(9, 4, mask_zero=True)(x))
        return L.Dense(2, kernel_regularizer="l2", trainable=False)(L.GaussianNoise(0.1)(y))

    said = " | ".join(assay.load(models.one((5,), call, "int32")).notes)
    for part in ("dropout of 0.1", "masked steps", "GaussianNoise does nothing", "regularizer", "trainable=False"):
        assert part in said


# What cannot be brought -----------------------------------------------------------------------------------------------


class _Foreign(keras.Model):  # type: ignore[misc]  # keras has no types
    def call(self, x: Any) -> Any:
        return np.tanh(x)  # the line that the message names


def test_messages_name_the_line() -> None:
    place = next(
        number
        for number, line in enumerate(Path(__file__).read_text().splitlines(), 1)
        if line.endswith("# the line that the message names")
    )
    with pytest.raises(ModelError, match=rf"test_bring_keras\.py:{place}: .*keras\.ops"):
        assay.load(_Foreign(), inputs="2x4")


def test_everything_missing_is_named_at_once() -> None:
    source = models.one((4, 4), lambda x: L.Lambda(lambda y: y + 1)(ops.slogdet(x)[1]))
    with pytest.raises(UnsupportedError) as caught:
        assay.load(source)
    assert "Slogdet" in str(caught.value)


def test_bad_models() -> None:
    with pytest.raises(ModelError, match="a layer of Keras, not a model"):
        assay.load(L.Dense(3))
    with pytest.raises(ModelError, match=r"test_bring_keras\.py:\d+: .*keras\.ops"):
        assay.load(models.one((4,), L.Lambda(lambda x: np.asarray(x) + 1, output_shape=(4,))))


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "small.keras"
    source = models.convolutional()
    _disturb(source)
    source.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    source.save(path)
    return path


def test_a_file_is_brought_in_another_process(saved: Path) -> None:
    model = assay.load(saved)
    live = assay.load(keras.saving.load_model(saved))
    assert model.training is not None and model.training.optimizer == SGD(0.01)
    for name, array in live.weights().items():
        np.testing.assert_array_equal(model.weights()[name], array)
    code = f"import assay, sys; assay.load({str(saved)!r}); assert 'keras' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_file_is_proven_from_the_command_line(saved: Path) -> None:
    pytest.importorskip("flax")
    command = [sys.executable, "-m", "assay.cli", "prove", str(saved), "-f", "jax", "-m", "default"]
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def _altered(saved: Path, path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _layer(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1].update(changes)
        members["config.json"] = json.dumps(config).encode()

    return change


def _link(members: dict[str, bytes]) -> None:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["weights"] = h5py.ExternalLink("/etc/passwd", "/")
    members["model.weights.h5"] = content.getvalue()


_BAD: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "Lambda": (_layer(class_name="Lambda"), "Lambda .*can run code"),
    "a marshalled function": (
        _layer(config={"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}}),
        "__lambda__",
    ),
    "a foreign module": (_layer(module="os", class_name="system"), "system of os"),
    "a module of the user": (_layer(module="my.layers", class_name="Block"), "Block of my.layers"),
    "a registered class": (_layer(registered_name="Custom>Block"), "Conv2D"),
    "a function": (
        _layer(config={"activation": {"class_name": "function", "module": "builtins", "config": "exec"}}),
        "exec of builtins",
    ),
    "a layer that reads files": (_layer(class_name="StringLookup"), "StringLookup"),
    "a pickle": (lambda members: members.update({"data.pkl": b"cos\nsystem\n"}), "data.pkl"),
    "no JSON": (lambda members: members.update({"config.json": b"{"}), "no JSON"),
    "no class": (lambda members: members.update({"config.json": b"[]"}), "names no class"),
    "no weights": (lambda members: members.pop("model.weights.h5") and None, "not a .keras archive"),
    "weights that are none": (lambda members: members.update({"model.weights.h5": b"x" * 99}), "not a .keras archive"),
    "weights that are a link": (_link, "link to somewhere else"),
    "an oversized member": (lambda members: members.update({"metadata.json": b" " * (65 << 20)}), "no model needs"),
    "a nest without end": (lambda members: members.update({"config.json": b"[" * 100_000}), "no JSON"),
}


@pytest.mark.parametrize("kind", _BAD)
def test_bad_files(kind: str, saved: Path, tmp_path: Path) -> None:
    change, message = _BAD[kind]
    with pytest.raises(ModelError, match=message):
        assay.load(_altered(saved, tmp_path / "bad.keras", change))


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "bad.keras"
    path.write_bytes(b"\x80\x04\x95no archive")
    with pytest.raises(ModelError, match=r"not a \.keras archive"):
        assay.load(path)


# Backends -------------------------------------------------------------------------------------------------------------

_ELSEWHERE = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np, keras, assay, keras_models
from assay.prove.oracle import evaluate
for source in (keras_models.convolutional(), keras_models.GPT(), keras_models.one((6, 3), keras.layers.LSTM(4))):
    if not source.built:
        source(np.zeros((2, 6), "int32"))
    model = assay.load(source)
    value = model.graph.inputs[0]
    shape = [size if isinstance(size, int) else 3 for size in value.shape]
    given = np.random.default_rng(0).uniform(0, 5, shape)
    given = given.astype("float32" if value.dtype.is_floating_point() else "int32")
    expected = keras.ops.convert_to_numpy(source(given, training=False))
    np.testing.assert_allclose(evaluate(model, {{value.name: given}})[0], expected, rtol=1e-3, atol=1e-4)
print(keras.backend.backend(), "brought")
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_other_backends(backend: str) -> None:
    pytest.importorskip("tensorflow" if backend == "tensorflow" else "torch")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    code = _ELSEWHERE.format(folder=str(FILE.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert re.search(f"{backend} brought", done.stdout), done.stderr
