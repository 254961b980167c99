"""onnx.reference computes Erf, and with it Gelu, in float32 where its input is float64.

onnx 1.23.2. Measured in November 2026.
https://github.com/onnx/onnx/blob/main/onnx/reference/ops/op_erf.py
"""

import sys
from math import erf, sqrt

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(operator, *arrays, **attributes):
    names = [f"input_{k}" for k in range(len(arrays))]
    inputs = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, a.shape) for n, a in zip(names, arrays, strict=True)]
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "graph", inputs, [output])
    return ReferenceEvaluator(helper.make_model(graph)).run(None, dict(zip(names, arrays, strict=True)))[0]


half = np.array([0.5])
observed = [run("Erf", half).item(), run("Gelu", half).item()]
expected = [erf(0.5), 0.25 * (1 + erf(0.5 / sqrt(2)))]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(max(abs(a - b) for a, b in zip(observed, expected, strict=True)) > 1e-12)))
