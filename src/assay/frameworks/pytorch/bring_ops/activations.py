"""Activation functions."""

from __future__ import annotations

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Translate, Untranslatable, aten, axis_of
from assay.nn.tensor import Tensor

_PLAIN = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "special_expit": "Sigmoid",
    "tanh": "Tanh",
    "selu": "Selu",
    "hardswish": "HardSwish",
    "mish": "Mish",
    "softsign": "Softsign",
    "silu": "Swish",
}


def _plain(op_type: str) -> Translate:
    return lambda c: c.result(op_type, [c.tensor("self")])


for _name, _op_type in _PLAIN.items():
    aten(_name)(_plain(_op_type))


@aten("gelu")
def gelu(c: Call) -> Result:
    return c.result("Gelu", [c.tensor("self")], approximate=c["approximate"])


@aten("leaky_relu")
def leaky_relu(c: Call) -> Result:
    return c.result("LeakyRelu", [c.tensor("self")], alpha=float(c["negative_slope"]))


@aten("elu")
def elu(c: Call) -> Result:
    if c["scale"] != 1 or c["input_scale"] != 1:
        raise Untranslatable("scales other than 1")
    return c.result("Elu", [c.tensor("self")], alpha=float(c["alpha"]))


@aten("celu")
def celu(c: Call) -> Result:
    return c.result("Celu", [c.tensor("self")], alpha=float(c["alpha"]))


@aten("hardsigmoid")
def hard_sigmoid(c: Call) -> Result:
    return c.result("HardSigmoid", [c.tensor("self")], alpha=1 / 6, beta=0.5)


@aten("hardtanh", "relu6")
def hard_tanh(c: Call) -> Result:
    low, high = c.get("min_val", 0 if "relu6" in c.target else -1), c.get("max_val", 6 if "relu6" in c.target else 1)
    return c.result("Clip", [c.tensor("self"), c.scalar(low, c.dtype), c.scalar(high, c.dtype)])


@aten("softplus")
def softplus(c: Call) -> Result:
    x, beta = c.tensor("self"), c["beta"]
    if beta * c["threshold"] < 20 and c["threshold"] < 20:
        raise Untranslatable(f"a threshold of {c['threshold']}, below which the function is not yet linear")
    if beta == 1:
        return c.result("Softplus", [x])
    scaled = c.node("Softplus", [c.node("Mul", [x, c.scalar(beta, c.dtype)], c.shape)], c.shape)
    return c.result("Div", [scaled, c.scalar(beta, c.dtype)])


@aten("log_sigmoid")
def log_sigmoid(c: Call) -> Result:
    negated = c.node("Neg", [c.tensor("self")], c.shape)
    return c.result("Neg", [c.node("Softplus", [negated], c.shape)])


@aten("softmax", "special_softmax", "_softmax")
def softmax(c: Call) -> Result:
    return _along_axis(c, "Softmax", c.operand("self"))


@aten("log_softmax", "special_log_softmax", "_log_softmax")
def log_softmax(c: Call) -> Result:
    return _along_axis(c, "LogSoftmax", c.operand("self"))


@aten("softmin")
def softmin(c: Call) -> Result:
    return _along_axis(c, "Softmax", c.node("Neg", [c.tensor("self")], c.shape))


def _along_axis(c: Call, op_type: str, x: Tensor) -> Tensor:
    axis = axis_of(c["dim"], x.rank)
    return c.result(op_type, [x], axis=-1 if axis == x.rank - 1 else axis)


@aten("prelu")
def prelu(c: Call) -> Result:
    x, slope = c.tensor("self"), c.tensor("weight")
    if x.rank > 2 and slope.shape != (1,):
        slope = c.node("Reshape", [slope, c.integers([-1, *[1] * (x.rank - 2)])], (*slope.shape, *[1] * (x.rank - 2)))
    return c.result("PRelu", [x, slope])


@aten("glu")
def glu(c: Call) -> Result:
    x = c.tensor("self")
    axis = axis_of(c["dim"], x.rank)
    left, right = c.tracer.node_with_outputs("Split", [x], [c.shape] * 2, axis=axis, num_outputs=2)
    return c.result("Mul", [left, c.node("Sigmoid", [right], c.shape)])


@aten("tanhshrink")
def tanh_shrink(c: Call) -> Result:
    x = c.tensor("self")
    return c.result("Sub", [x, c.node("Tanh", [x], c.shape)])


@aten("hardshrink", "softshrink")
def shrink(c: Call) -> Result:
    bound = float(c["lambd"])
    return c.result("Shrink", [c.tensor("self")], lambd=bound, bias=bound if "soft" in c.target else 0.0)


@aten("threshold")
def threshold(c: Call) -> Result:
    x = c.tensor("self")
    above = c.node("Greater", [x, c.scalar(c["threshold"], c.dtype)], c.shape, "bool")
    return c.result("Where", [above, x, c.scalar(c["value"], c.dtype)])


@aten("logit")
def logit(c: Call) -> Result:
    x = c.tensor("self")
    if (eps := c["eps"]) is not None:
        x = c.node("Clip", [x, c.scalar(eps, c.dtype), c.scalar(1 - eps, c.dtype)], c.shape)
    rest = c.node("Sub", [c.scalar(1, c.dtype), x], c.shape)
    return c.result("Log", [c.node("Div", [x, rest], c.shape)])
