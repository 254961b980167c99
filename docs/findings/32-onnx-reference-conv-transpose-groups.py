"""onnx.reference fails at ConvTranspose with groups of more than one channel.

onnx 1.23.2. Measured in November 2026.
https://github.com/onnx/onnx/blob/main/onnx/reference/ops/op_conv_transpose.py
"""

import sys

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(operator, *arrays, **attributes):
    names = [f"input_{k}" for k in range(len(arrays))]
    inputs = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, a.shape) for n, a in zip(names, arrays, strict=True)]
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "graph", inputs, [output])
    return ReferenceEvaluator(helper.make_model(graph)).run(None, dict(zip(names, arrays, strict=True)))[0]


try:
    observed = run("ConvTranspose", np.ones((1, 4, 3, 3)), np.ones((4, 2, 2, 2)), group=2)[0, 0].tolist()
except ValueError as error:
    observed = f"ValueError: {error}"
expected = (2 * np.outer([1.0, 2, 2, 1], [1, 2, 2, 1])).tolist()

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
