"""Layout is decided for the whole graph: transposes stand only where the meaning needs them."""

from __future__ import annotations

import pytest

from assay import nn
from assay.graph.layout import decide, order_of
from assay.model import Model
from assay.nn import Tensor
from assay.workloads import WORKLOADS


def reorderings(model: Model) -> int:
    """How many transposes the decision leaves."""
    return sum(node.metadata_props.get("assay.reorder") == "yes" for node in decide(model).graph)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_need_no_transpose(name: str) -> None:
    assert reorderings(WORKLOADS[name].model()) == 0


def test_a_channels_first_input_is_transposed_once() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.GlobalAveragePool(), nn.Linear(8, 2))
    assert reorderings(nn.build(net, [nn.Input("x", (3, 9, 9))])) == 1


def test_the_cut_goes_where_the_data_is_small() -> None:
    """Between a convolution and a layer norm over the last ONNX axis one transpose is needed: on the pooled side."""

    class Net(nn.Module):
        def __init__(self) -> None:
            self.conv = nn.Conv1d(4, 8, 3, padding=1)
            self.pool = nn.MaxPool1d(4)
            self.norm = nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(nn.relu(self.pool(nn.relu(self.conv(nn.transpose(x, (0, 2, 1)))))))

    decided = decide(nn.build(Net(), [nn.Input("x", (16, 4))]))
    moved = [node for node in decided.graph if node.metadata_props.get("assay.reorder") == "yes"]
    assert len(moved) == 1
    assert moved[0].inputs[0] is not None
    pooled = next(node for node in decided.graph if node.op_type == "MaxPool").outputs[0]
    relu = [node for node in decided.graph if node.op_type == "Relu"][-1].outputs[0]
    assert moved[0].inputs[0] in (pooled, relu)


def test_spatial_values_are_channels_last() -> None:
    decided = decide(WORKLOADS["mnist-cnn"].model())
    for node in decided.graph:
        if node.op_type in ("Conv", "BatchNormalization", "Relu", "Add") and len(node.outputs[0].shape or ()) == 4:
            assert order_of(node.outputs[0]) == (0, 2, 3, 1)
