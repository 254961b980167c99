"""Recurrent layers as sources have them: two trained biases, time first, first states of zeros."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import assay
from assay.model import Model
from assay.verbs.prove import prove

MODULES = {"pytorch": "torch", "jax": "flax"}


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "keras", "jax"])
def test_two_trained_biases(framework: str, need: Callable[..., None]) -> None:
    """Each moves as the original's does: under SGD their sum moves by both gradients."""
    need("torch", MODULES.get(framework, framework))
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.LSTM(5, 4, batch_first=True)
            self.both = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
            self.last, self.out = nn.GRU(6, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.out(self.last(self.both(self.first(x)[0])[0])[0][:, -1])

    torch.manual_seed(0)
    model = assay.load(Net(), inputs=torch.randn(2, 6, 5), loss="mse", optimizer="sgd:momentum=0.9", batch_size=4)
    found = prove(model, [framework])
    assert found and all(proof.status == "equal" for proof in found), [(p.contestant, p.reason) for p in found]
    native = {
        item.native for item in model.write(framework).weights if "first" in item.native and "bias" in item.native
    }
    assert len(native) == 2, "two parameters, as the original has"


def time_first(folder: Path) -> Model:
    """Layers as exporters write them, (time, batch, features), begun by zeros that are made when the model runs."""
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def layer(name: str, x: str, inputs: int, hidden: int, directions: int) -> onnx.NodeProto:
        for leaf, columns in (("W", inputs), ("R", hidden)):
            shape = (directions, 4 * hidden, columns)
            arrays[f"{name}.{leaf}"] = (0.4 * generator.standard_normal(shape)).astype(np.float32)
        arrays[f"{name}.B"] = (0.4 * generator.standard_normal((directions, 8 * hidden))).astype(np.float32)
        direction = "bidirectional" if directions == 2 else "forward"
        given = [x, f"{name}.W", f"{name}.R", f"{name}.B", "", f"zeros_{directions}", f"zeros_{directions}"]
        outputs = [f"{name}.y", f"{name}.h"]
        return helper.make_node("LSTM", given, outputs, name, hidden_size=hidden, direction=direction)

    def integers(name: str, *numbers: int) -> str:
        arrays[name] = np.array(numbers, np.int64)
        return name

    nodes = [
        helper.make_node("Shape", ["x"], ["batch"], start=1, end=2),
        helper.make_node("Concat", [integers("one", 1), "batch", integers("three", 3)], ["sizes_1"], axis=0),
        helper.make_node("Concat", [integers("two", 2), "batch", "three"], ["sizes_2"], axis=0),
        helper.make_node("ConstantOfShape", ["sizes_1"], ["zeros_1"]),
        helper.make_node("ConstantOfShape", ["sizes_2"], ["zeros_2"]),
        layer("first", "x", 5, 3, 1),
        helper.make_node("Squeeze", ["first.y", "one"], ["middle"]),
        layer("second", "middle", 3, 3, 2),
        helper.make_node("Transpose", ["second.y"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["turned", integers("joined", 0, 0, -1)], ["y"]),
        helper.make_node("Identity", ["second.h"], ["h"]),
    ]
    graph = helper.make_graph(
        nodes,
        "time_first",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6, "batch", 5])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [6, "batch", 6]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, [2, "batch", 3]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    path = folder / "time_first.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return assay.load(path, loss="mse", batch_size=4)


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "keras", "jax"])
def test_time_first_becomes_the_frameworks_layer(framework: str, tmp_path: Path) -> None:
    text = time_first(tmp_path).write(framework).files["model.py"]
    assert "recurrent_lstm(" not in text and "run_recurrent" not in text and "run_lstm" not in text
    assert "lstm_over" not in text
    assert {
        "pytorch": "nn.LSTM(5, 3, batch_first=True)",
        "tensorflow": "TwoBiasLSTM(5, 3)",
        "keras": "layers.RNN(TwoBiasLSTMCell(3",
        "jax": "TwoBiasLSTM(5, 3, rngs=rngs)",
    }[framework] in text
    assert "squeeze" not in text.partition("class TimeFirst")[2], "nothing stands between the layers"


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "keras", "jax"])
def test_time_first_is_equal(framework: str, need: Callable[..., None], tmp_path: Path) -> None:
    need(MODULES.get(framework, framework))
    found = prove(time_first(tmp_path), [framework])
    assert found and all(proof.status == "equal" for proof in found), [(p.contestant, p.reason) for p in found]
