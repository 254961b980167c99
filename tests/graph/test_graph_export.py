"""ONNX files: taken by the checker, run by ONNX Runtime, grouped by modules, and the same model when they come back."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import assay
from assay import nn
from assay.cli import main
from assay.errors import ModelError, OutputError
from assay.graph import export
from assay.model import TRAINING, Model
from assay.nn.records import from_data, to_data
from assay.prove.evidence import gather
from assay.prove.oracle import evaluate
from assay.workloads import WORKLOADS
from assay.write import write

FRAMEWORKS = ("pytorch", "tensorflow", "keras", "jax")


def _is_the_same(first: Model, second: Model) -> None:
    assert (second.name, second.training, second.dataset, second.target, second.modules, second.notes) == (
        first.name,
        first.training,
        first.dataset,
        first.target,
        first.modules,
        first.notes,
    )
    for name in FRAMEWORKS:
        one, other = write(first, name), write(second, name)
        assert one.files == other.files
        assert one.weights == other.weights
    for name, array in first.weights().items():
        np.testing.assert_array_equal(second.weights()[name], array)


def _as_runtime_computes(model: Model, path: Path) -> None:
    import onnxruntime

    evidence = gather(model, 0, 2, steps=0)
    inputs = {value.name or "": array for value, array in zip(model.graph.inputs, evidence.inputs, strict=True)}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
    given = {item.name: inputs[item.name].astype(kinds[item.type]) for item in session.get_inputs()}
    for found, expected in zip(session.run(None, given), evaluate(model, inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads(name: str, tmp_path: Path) -> None:
    model = assay.load(name)
    path = tmp_path / "m.onnx"
    assert model.to_onnx(path) == (path,)
    onnx.checker.check_model(path, full_check=True)
    _as_runtime_computes(model, path)
    _is_the_same(model, assay.load(path))


def test_modules_of_pytorch_with_their_training(need: Callable[..., None], tmp_path: Path) -> None:
    need("torch")
    import torch

    class Block(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(width, momentum=0.2)
            self.linear = torch.nn.Linear(width, width)
            self.drop = torch.nn.Dropout(0.25)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.drop(torch.nn.functional.gelu(self.linear(self.norm(x)), approximate="tanh"))

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.Sequential(Block(6), Block(6))
            self.rnn = torch.nn.GRU(6, 5, batch_first=True, bidirectional=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rnn(self.blocks(x)[:, None])[0].mean(1)

    schedule = nn.Cosine(100, warmup=10, final=0.1)
    optimizer = nn.AdamW(3e-4, weight_decay=0.05, clip=1.0, schedule=schedule)
    model = assay.load(Net().eval(), inputs="2x6", loss=nn.Huber(0.3), optimizer=optimizer, batch_size=16)
    path = tmp_path / "m.onnx"
    model.to_onnx(path)
    _as_runtime_computes(model, path)
    back = assay.load(path)
    assert back.training is not None and back.training.optimizer == optimizer
    _is_the_same(model, back)


def test_nodes_are_named_by_their_modules(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    assay.load("mnist-cnn").to_onnx(path)
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    assert len(nodes) == len(onnx.load(path).graph.node)
    said = {item.key: item.value for item in nodes["/blocks/0/conv2/Conv"].metadata_props}
    assert said["namespace"] == (
        ": MnistCNN/blocks: Sequential/blocks.0: ResidualBlock/blocks.0.conv2: Conv2d/Conv: Conv"
    )
    scopes = ast.literal_eval(said["pkg.torch.onnx.name_scopes"])
    assert scopes == ["", "blocks", "blocks.0", "blocks.0.conv2", "/blocks/0/conv2/Conv"]
    classes = ast.literal_eval(said["pkg.torch.onnx.class_hierarchy"])
    assert classes == ["MnistCNN", "Sequential", "ResidualBlock", "Conv2d", "Conv"]


def test_large_weights_lie_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LARGEST_INSIDE", 100_000)
    model = assay.load("digits-cnn")
    path = tmp_path / "m.onnx"
    assert model.to_onnx(path) == (path, tmp_path / "m.onnx.data")
    assert path.stat().st_size < 100_000
    assert sorted(item.name for item in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    _as_runtime_computes(model, path)
    back = assay.load(path)
    _is_the_same(model, back)
    back.to_onnx(path)  # over the file that its own weights are read from
    _is_the_same(model, assay.load(path))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        assay.load("digits-cnn").to_onnx(tmp_path / "nothing" / "m.onnx")


@pytest.mark.parametrize("name", WORKLOADS)
def test_training_as_data(name: str) -> None:
    training = assay.load(name).training
    assert training is not None
    assert from_data(json.loads(json.dumps(to_data(training)))) == training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": {"kind": "Popen"}}, "'Popen' is no loss"),
        ({"loss": {"kind": "Huber", "delta": "1"}}, "delta of the loss is '1'"),
        ({"loss": {"kind": "Huber", "delta": float("nan")}}, "delta of the loss is nan"),
        ({"loss": "CrossEntropy"}, "expected its kind"),
        ({"batch_size": True}, "batch_size of the training is True"),
        ({"metric": "__import__"}, "is no metric"),
        ({"more": 1}, "the training has 'more'"),
        ({"optimizer": {"kind": "Adam"}}, "None: expected its kind"),
    ],
)
def test_damaged_training_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    training = assay.load("digits-cnn").training
    assert training is not None
    with pytest.raises(ValueError, match=message):
        from_data({**to_data(training), **change})
    path = tmp_path / "m.onnx"
    assay.load("digits-cnn").to_onnx(path)
    proto = onnx.load(path)
    entry = next(item for item in proto.graph.metadata_props if item.key == TRAINING)
    entry.value = json.dumps({**to_data(training), **change})
    onnx.save(proto, path)
    with pytest.raises(ModelError, match="training noted in its metadata is damaged"):
        assay.load(path)


def test_command_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    result = CliRunner().invoke(main, ["write", "digits-cnn", "--to", "onnx", "--out", str(path)])
    assert result.exit_code == 0, result.output
    assert "taken by ONNX's checker" in result.output
    wrong = CliRunner().invoke(main, ["write", "digits-cnn", "--to", "onnx", "--out", str(tmp_path / "m")])
    assert wrong.exit_code == 2
    assert "ends in .onnx" in wrong.output
