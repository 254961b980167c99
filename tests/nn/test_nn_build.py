"""The neutral API builds valid ONNX and refuses what does not fit, naming the layer."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from assay import nn
from assay.errors import ModelError, ShapeError
from assay.model import Model, shape_of
from assay.nn import Tensor
from assay.workloads import WORKLOADS


def build(net: nn.Module, *shape: int, dtype: str = "float32") -> Model:
    return nn.build(net, [nn.Input("x", shape, dtype)])


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_are_valid_onnx(name: str) -> None:
    onnx.checker.check_model(ir.to_proto(WORKLOADS[name].model().ir), full_check=True)


@pytest.mark.parametrize(
    ("net", "shape", "dtype", "message"),
    [
        (
            nn.Sequential(nn.Linear(4, 2), nn.Linear(3, 2)),
            (4,),
            "float32",
            r"1 \(Linear\) expects a last axis of 3, its input has 2",
        ),
        (nn.Sequential(nn.Conv2d(3, 8, 3)), (1, 8, 8), "float32", r"0 \(Conv2d\) expects channels: 3, its input has 1"),
        (nn.Sequential(nn.Conv2d(1, 8, 9)), (1, 8, 8), "float32", "kernel reaching over 9 does not fit an axis of 8"),
        (nn.Sequential(nn.Conv2d(1, 8, 3)), (8, 8), "float32", "expects an input with axes"),
        (nn.Sequential(nn.BatchNorm(4)), (3, 5), "float32", r"0 \(BatchNorm\) expects channels: 4"),
        (nn.Sequential(nn.LSTM(4, 8)), (9, 5), "float32", r"0 \(LSTM\) expects features: 4, its input has 5"),
        (nn.Sequential(nn.MaxPool2d(9)), (1, 8, 8), "float32", "window of 9 does not fit an axis of 8"),
        (nn.Sequential(nn.Embedding(9, 4)), (3,), "float32", "expects integers"),
    ],
)
def test_shape_errors_name_the_layer(net: nn.Module, shape: tuple[int, ...], dtype: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        build(net, *shape, dtype=dtype)


def test_constructor_errors() -> None:
    with pytest.raises(ModelError, match="3 groups do not divide 4 input"):
        nn.Conv2d(4, 6, 3, groups=3)
    with pytest.raises(ModelError, match="rate must be at least 0 and below 1"):
        nn.Dropout(1.5)
    with pytest.raises(ModelError, match="5 heads do not divide 12"):
        nn.MultiHeadAttention(12, 5)


def test_a_module_that_nobody_owns() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.Linear(4, 2)(x)

    with pytest.raises(ModelError, match="no module owns"):
        build(Net(), 4)


def test_a_parameter_of_a_module_that_nobody_owns() -> None:
    foreign = nn.Linear(4, 4)

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ foreign.weight

    with pytest.raises(ModelError, match=r"\(Net\) uses a parameter of shape \(4, 4\) whose module is not part"):
        build(Net(), 4)


def test_modules_can_be_called_with_keywords_and_built_again() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.attention = nn.MultiHeadAttention(4, 2, cross=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, memory=x)

    net = Net()
    first, second = build(net, 3, 4), build(net, 3, 4)
    assert first.write("pytorch").files == second.write("pytorch").files


def test_layers_outside_a_build() -> None:
    with pytest.raises(ModelError, match=r"nn\.build"):
        nn.relu(None)  # type: ignore[arg-type]


def test_weights_depend_on_seed_and_path_only() -> None:
    one = build(nn.Sequential(nn.Linear(4, 2)), 4).weights()
    two = build(nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)), 4).weights()
    assert np.array_equal(one["0.weight"], two["0.weight"])
    other = nn.build(nn.Sequential(nn.Linear(4, 2)), [nn.Input("x", (4,))], seed=1).weights()
    assert not np.array_equal(one["0.weight"], other["0.weight"])


def test_shapes_are_inferred() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
    )
    assert shape_of(build(net, 3, 12, 12).graph.outputs[0]) == ("batch", 4, 12, 12)
    assert shape_of(build(nn.Sequential(nn.AdaptiveAveragePool2d(3)), 2, 7, 8).graph.outputs[0]) == ("batch", 2, 3, 3)


def test_onnx_keeps_modules_and_roles(tmp_path: object) -> None:
    from pathlib import Path

    from assay.bring import load

    model = WORKLOADS["mnist-cnn"].model()
    path = Path(str(tmp_path)) / "m.onnx"
    model.to_onnx(path)
    back = load(str(path))
    assert back.modules == model.modules
    assert {v.name: back.role(v) for v in back.graph.initializers.values()} == {
        v.name: model.role(v) for v in model.graph.initializers.values()
    }
    assert back.training == model.training and back.dataset == model.dataset
    assert back.write("jax").files == model.write("jax").files


def test_schedules() -> None:
    cosine = nn.Cosine(10, warmup=4)
    assert [cosine.factor(step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert cosine.factor(4) == 1.0
    assert cosine.factor(7) == pytest.approx(0.5)
    assert cosine.factor(10) == cosine.factor(99) == pytest.approx(0.0)
    assert [nn.Step(2, 0.1).factor(step) for step in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert [nn.Warmup(3).factor(step) for step in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
