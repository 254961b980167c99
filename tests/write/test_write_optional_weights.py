"""A layer without one of its weights says so: its constructor would make one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay.bring import load
from assay.write import write


@pytest.mark.parametrize(
    ("target", "said"), [("pytorch", "bias=False"), ("keras", "center=False"), ("jax", "use_bias=False")]
)
def test_layer_norm_without_bias(target: str, said: str, tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.arange(1, 6, dtype=np.float32), "norm.weight")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 5]) for name in ("x", "y")]
    node = helper.make_node("LayerNormalization", ["x", "norm.weight"], ["y"])
    graph = helper.make_graph([node], "norms", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), tmp_path / "norms.onnx")
    package = write(load(tmp_path / "norms.onnx"), target)
    assert said in package.files["model.py"]
    assert len(package.native_weights) == 1
