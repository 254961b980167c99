"""Multiply-accumulates: by hand, by torch's own counter, and as torchvision publishes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import assay
from assay.graph.costs import Costs, evaluated, open_sizes
from assay.model import Model

FLOAT = onnx.TensorProto.FLOAT


def _model(op_type: str, inputs: list[tuple[Any, ...] | None], **attributes: Any) -> Model:
    """One operator; the first input is the graph's, the others are weights, None is left out."""
    names = [f"x{place}" if shape is not None else "" for place, shape in enumerate(inputs)]
    weights = [
        helper.make_tensor(name, FLOAT, shape, np.zeros(shape, np.float32).tobytes(), raw=True)
        for name, shape in zip(names[1:], inputs[1:], strict=True)
        if shape is not None
    ]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x0", FLOAT, inputs[0])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    return Model("one", ir.from_proto(onnx.shape_inference.infer_shapes(proto)))


def _count(model: Model, **sizes: int) -> int | None:
    costs = Costs.of(model, {**dict.fromkeys(open_sizes(model), 1), **sizes})
    found = [costs.multiply_accumulates(node) for node in model.graph]
    return None if None in found else sum(item for item in found if item is not None)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "expected"),
    [
        ("Conv", [(2, 4, 9, 9), (6, 2, 3, 3)], {"group": 2}, 2 * 6 * 7 * 7 * 2 * 9),
        ("Conv", [("n", 4, 9), (6, 4, 3)], {"strides": [2]}, 6 * 4 * 4 * 3),
        ("ConvTranspose", [(2, 4, 5, 5), (4, 3, 2, 2)], {"strides": [2, 2]}, 2 * 4 * 25 * 3 * 4),
        ("MatMul", [("n", 7, 5), (5, 3)], {}, 7 * 5 * 3),
        ("MatMul", [(2, 4, 7, 5), (4, 5, 3)], {}, 2 * 4 * 7 * 5 * 3),
        ("Gemm", [(5, 7), (3, 5)], {"transA": 1, "transB": 1}, 7 * 5 * 3),
        ("Einsum", [(2, 3, 4), (4, 5)], {"equation": "bij,jk->bik"}, 2 * 3 * 4 * 5),
        ("Einsum", [(2, 6, 3, 4), (6, 4, 5)], {"equation": "...ij, ...jk -> ...ik"}, 2 * 6 * 3 * 4 * 5),
        ("Einsum", [(3, 4)], {"equation": "ij->ji"}, 0),
        ("Attention", [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)], {}, 2 * 3 * 5 * 7 * (8 + 4)),
        (
            "Attention",
            [(2, 5, 24), (2, 7, 8), (2, 7, 4)],
            {"q_num_heads": 3, "kv_num_heads": 1},
            2 * 3 * 5 * 7 * (8 + 4),
        ),
        ("LSTM", [(6, 2, 3), (2, 20, 3), (2, 20, 5)], {"hidden_size": 5, "direction": "bidirectional"}, 12 * 40 * 8),
        ("GRU", [(6, 2, 3), (1, 15, 3), (1, 15, 5)], {"hidden_size": 5}, 12 * 15 * 8),
        ("Relu", [(2, 3)], {}, 0),
    ],
)
def test_families_of_operators(op_type: str, inputs: list[Any], attributes: dict[str, Any], expected: int) -> None:
    assert _count(_model(op_type, inputs, **attributes)) == expected


def test_open_sizes_are_filled_in() -> None:
    model = _model("MatMul", [("n", "length", 5), (5, 3)])
    assert open_sizes(model) == ("n", "length")
    assert _count(model, n=2, length=10) == 2 * 10 * 5 * 3


def test_shapes_that_the_file_does_not_say_are_inferred() -> None:
    """A reshape to computed sizes: what comes behind it is known once the open size is."""
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["z"]),
        helper.make_node("MatMul", ["z", "w"], ["y"]),
    ]
    weights = [
        helper.make_tensor("rows", onnx.TensorProto.INT64, [2], [-1, 4]),
        helper.make_tensor("w", FLOAT, [4, 3], [0.0] * 12),
    ]
    given = [helper.make_tensor_value_info("x", FLOAT, ["n", 2, 4])]
    graph = helper.make_graph(nodes, "g", given, [helper.make_tensor_value_info("y", FLOAT, None)], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    assert _count(Model("g", ir.from_proto(proto)), n=5) == 10 * 4 * 3


def test_what_cannot_be_known_is_not_guessed() -> None:
    model = _model("MatMul", [("n", 5), (5, 3)])
    model.graph[0].inputs[0].shape = None  # type: ignore[union-attr]
    model.graph[0].outputs[0].shape = None
    assert _count(model) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch", 3),
        ("10*batch", 30),
        ("batch//2 + 1", 2),
        ("Max(1, batch)", 3),
        ("floor(batch/2)", 1),
        ("length", None),
        ("batch/0", None),
        ("__import__('os')", None),
        ("batch.real", None),
        ("-batch", None),
        ("(" * 400, None),
        ("9**9**9**9", None),
    ],
)
def test_expressions_of_sizes(text: str, expected: int | None) -> None:
    assert evaluated(text, {"batch": 3}) == expected


def test_as_torch_counts(need: Any) -> None:
    need("torch")
    import torch
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.up = nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1, groups=2)
            self.layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
            self.head = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.up(torch.relu(self.conv(x))).flatten(2).transpose(1, 2)
            return self.head(self.layer(y))

    module, example = Net().eval(), torch.randn(2, 3, 8, 8)
    torch.backends.mha.set_fastpath_enabled(False)
    try:  # its counter does not know the attention of the CPU, which is one operator
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert counter.get_total_flops() == 2 * (_count(assay.load(module, inputs=(example,)), batch=2) or 0)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2"])
def test_as_torchvision_publishes(name: str, need: Any) -> None:
    need("torch", "torchvision")
    import torch

    from assay.testing.zoo.torchvision import library

    models = library()
    module = models.get_model(name, weights=None)
    published = next(iter(models.get_model_weights(name))).meta["_ops"]  # in units of 10⁹, rounded to three places
    found = _count(assay.load(module, inputs=(torch.randn(1, 3, 224, 224),)))
    assert found is not None
    assert abs(found / 1e9 - published) < 0.001
