"""Flax NNX modules brought by jax's tracing: the same function, the same names, what is lost said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")

import flax_modules as modules  # noqa: E402  needs flax
import jax.numpy as jnp  # noqa: E402

import assay  # noqa: E402
from assay.errors import ModelError, UnsupportedError  # noqa: E402
from assay.graph.layout import decide  # noqa: E402
from assay.prove.oracle import evaluate  # noqa: E402
from assay.write.weights import origins, to_native, to_source  # noqa: E402

FILE = Path(modules.__file__)


def _made(name: str) -> tuple[Any, tuple[Any, ...]]:
    """A module whose statistics are not those of a new one."""
    module, example = modules.MODULES[name]()
    generator = np.random.default_rng(0)
    for _, part in nnx.iter_graph(module):
        if isinstance(part, nnx.BatchNorm):
            part.mean[...] = jnp.asarray(generator.normal(size=part.mean[...].shape), jnp.float32)
            part.var[...] = jnp.asarray(generator.uniform(0.5, 2, part.var[...].shape), jnp.float32)
    return module, example


def _inputs(example: tuple[Any, ...], size: int) -> list[np.ndarray]:
    """Other numbers than the example's, in float64, and another size of the batch."""
    generator = np.random.default_rng(1)
    return [
        generator.normal(size=(size, *item.shape[1:]))
        if item.dtype.kind == "f"
        else generator.integers(0, 7, (size, *item.shape[1:])).astype(item.dtype)
        for item in example
    ]


def _state(module: Any) -> dict[str, np.ndarray]:
    """The arrays of a module by path."""
    state = nnx.state(module, nnx.Not(nnx.RngState))
    return {".".join(map(str, path)): np.asarray(item[...]) for path, item in nnx.to_flat_state(state)}


def _double(module: Any) -> Any:
    """A copy in float64, in evaluation form."""
    graph, state = nnx.split(module)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, state)
    copy = nnx.merge(graph, wide)
    copy.eval()
    for _, part in nnx.iter_graph(copy):
        if isinstance(part, nnx.Module):
            vars(part).update({key: jnp.float64 for key, item in vars(part).items() if item is jnp.float32})
    return copy


@pytest.mark.parametrize("name", modules.MODULES)
def test_same_function_and_weights(name: str) -> None:
    module, example = _made(name)
    model = assay.load(module, inputs=example)
    inputs = _inputs(example, 3)
    with jax.enable_x64(True):
        expected = jax.tree.leaves(_double(module)(*inputs))
    given = {value.name: item for value, item in zip(model.graph.inputs, inputs, strict=True)}
    # jax computes the softmax of its attention in float32, whatever the type of its inputs.
    limit = 1e-6 if name == "words" else 1e-10
    for found, wanted in zip(evaluate(model, given), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit)
    state = _state(module)
    native = to_native(origins(model), model.weights())
    assert {name for name, array in native.items() if np.array_equal(array, state[name])} == set(native)
    kept = {name for name in state if not name.endswith("offset")}
    assert set(native) == kept


def test_trained_weights_go_back_into_the_module() -> None:
    module, example = _made("lstm")
    model = assay.load(module, inputs=example)
    moved = model.with_weights({name: array + 1 for name, array in model.weights().items()})
    native = to_native(origins(moved), moved.weights())
    state = nnx.state(module)
    nnx.update(module, nnx.map_state(lambda path, item: jnp.asarray(native.get(".".join(map(str, path)), item)), state))
    inputs = _inputs(example, 2)
    with jax.enable_x64(True):
        expected = jax.tree.leaves(_double(module)(*inputs))
    for found, wanted in zip(evaluate(moved, {"x": inputs[0]}), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    shapes = {name: array.shape for name, array in model.weights().items()}
    back = to_source(origins(moved), native, shapes)
    assert all(np.array_equal(back[name], array) for name, array in moved.weights().items())


def test_written_flax_has_the_names_of_the_source() -> None:
    module, example = _made("resnet")
    package = assay.load(module, inputs=example).write("jax")
    state = _state(module)
    assert set(package.native_weights) == set(state)
    assert all(np.array_equal(package.native_weights[name], array) for name, array in state.items())
    text = package.files["model.py"]
    assert "class Block(nnx.Module):" in text and "for block in self.blocks:" in text
    written = package.load()
    image = _inputs(example, 3)[0].astype(np.float32)
    module.eval()
    np.testing.assert_allclose(written(image)["logits"], module(image)["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "images"])
def test_no_transposes_in_channels_last_code(name: str) -> None:
    module, example = _made(name)
    model = assay.load(module, inputs=example)
    moved = [node for node in decide(model).graph if node.metadata_props.get("assay.reorder") == "yes"]
    assert not moved
    for framework in ("jax", "keras", "tensorflow"):
        text = model.write(framework).files["model.py"]
        assert ".transpose(" not in text and "ops.transpose" not in text and "tf.transpose" not in text


def test_structure_is_kept() -> None:
    module, example = _made("resnet")
    model = assay.load(module, inputs=example)
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert [value.name for value in model.graph.outputs] == ["features", "logits"]
    assert model.modules["blocks.0"].class_name == "Block"
    assert model.modules[""].arguments == ("image",)
    node = next(node for node in model.graph if node.op_type == "BatchNormalization")
    assert node.attributes["momentum"].as_float() == pytest.approx(0.97)
    assert str(model.graph.inputs[0].shape) == "[batch,16,16,3]"
    assert module.blocks[0].norm.use_running_average is False


def test_layers_are_single_operators() -> None:
    kinds = [node.op_type for node in _loaded("words").graph]
    assert kinds.count("Attention") == 2 and kinds.count("Softmax") == 1 and kinds.count("RMSNormalization") == 1
    attention = [node for node in _loaded("words").graph if node.op_type == "Attention"]
    assert [node.attributes["is_causal"].as_int() for node in attention] == [1, 0]
    kinds = [node.op_type for node in _loaded("lstm").graph]
    assert kinds.count("LSTM") == 2 and "Loop" not in kinds
    activations = {node.op_type for node in _loaded("operations").graph}
    assert {"Gelu", "Elu", "Celu", "Selu", "LeakyRelu", "HardSwish", "Mish", "Softplus", "Swish"} <= activations


def _loaded(name: str) -> assay.Model:
    module, example = _made(name)
    return assay.load(module, inputs=example)


def test_nested_inputs_and_outputs() -> None:
    module = modules.Nested(nnx.Rngs(0))
    left, right = np.ones((2, 4), np.float32), np.full((2, 4), 2, np.float32)
    model = assay.load(module, inputs={"batch": {"left": left, "right": right}, "double": True})
    assert [value.name for value in model.graph.inputs] == ["batch_left", "batch_right"]
    assert [value.name for value in model.graph.outputs][1] == "out_x"
    assert "net.2.linear.kernel" in model.weights()
    assert {item.native for item in origins(model)} == set(_state(module))
    found = evaluate(model, {"batch_left": left, "batch_right": right})
    expected = module({"left": left, "right": right}, double=True)
    np.testing.assert_allclose(found[1], expected["out"]["x"], rtol=1e-4, atol=1e-5)


def test_fixed_batch_is_said() -> None:
    model = assay.load(modules.FixedBatch(), inputs="2x4")
    assert str(model.graph.inputs[0].shape) == "[2,4]"
    assert any("fixed at 2" in note for note in model.notes)


def test_messages_name_the_line() -> None:
    lines = FILE.read_text().splitlines()
    place = next(number for number, line in enumerate(lines, 1) if "the line that the message names" in line)
    with pytest.raises(ModelError, match=rf"flax_modules\.py:{place}: .*jnp\.where"):
        assay.load(modules.DataDependent(), inputs="2x4")
    with pytest.raises(UnsupportedError) as caught:
        assay.load(modules.Random(nnx.Rngs(0)), inputs="2x4")
    assert any("random" in item for item in caught.value.missing)
    assert any("lgamma" in item and "flax_modules.py:" in item for item in caught.value.missing)


@pytest.mark.parametrize(
    "reference, inputs, message",
    [
        (f"{FILE}:scaled", None, "give an example of x"),
        (f"{FILE}:scaled", "2x5", r"flax_modules\.py:\d+: .*dot_general"),
        (f"{FILE}:scaled", "2x6:float7", "no type that jax knows"),
        (f"{FILE}:Uncalled", "2x6", "has no __call__"),
        (f"{FILE}:Made", None, "expected a"),
    ],
)
def test_bad_input(reference: str, inputs: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        assay.load(reference, inputs=inputs)


def test_narrow_types_are_refused() -> None:
    module = nnx.Linear(3, 4, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    with pytest.raises(ModelError, match="bfloat16: bring the model in float32"):
        assay.load(module, inputs="2x3")
    with pytest.raises(UnsupportedError, match="bring the model in float32"):
        assay.load(nnx.Linear(3, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)), inputs="2x3")


def test_command_line() -> None:
    command = [sys.executable, "-m", "assay.cli", "prove", f"{FILE}:images", "-f", "jax,pytorch", "-m", "default"]
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=FILE.parent)
    assert done.returncode == 0, done.stdout + done.stderr
