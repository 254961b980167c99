"""Activations: as layers, as operations, and as the `activation` argument of other layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import Call, Order, Value, first, known, layer, operation, plain
from assay.nn.tensor import Tensor

Options = Mapping[str, Any]


def _alike(c: Call, op_type: str, x: Value, inputs: list[Tensor | None] | None = None, **attributes: Any) -> Value:
    """A node on x alone, whose result is like x, in the order that x has."""
    form = x.forms[x.order]
    y = c.node(op_type, inputs or [form], form.shape, x.dtype, **attributes)
    return Value(x.shape, x.dtype, {x.order: y})


def _chain(c: Call, x: Value, *steps: tuple[str, float | None]) -> Value:
    """Operators after one another, some with a number as their second operand."""
    for op_type, number in steps:
        form = x.forms[x.order]
        x = _alike(c, op_type, x, [form] if number is None else [form, c.number(number, x.dtype)])
    return x


def _pair(c: Call, op_type: str, left: Value, right: Value) -> Value:
    order = left.order
    return _alike(c, op_type, left, [left.forms[order], c.in_order(right, order)])


def _clip(c: Call, x: Value, low: float | None, high: float | None) -> Value:
    bounds = [None if bound is None else c.number(bound, x.dtype) for bound in (low, high)]
    while bounds[-1] is None:
        bounds.pop()
    return _alike(c, "Clip", x, [x.forms[x.order], *bounds])


def _relu(c: Call, x: Value, o: Options) -> Value:
    slope, ceiling, threshold = o.get("negative_slope", 0.0), o.get("max_value"), o.get("threshold", 0.0)
    slope, threshold = float(slope or 0.0), float(threshold or 0.0)
    if threshold:
        return _thresholded(c, x, slope, None if ceiling is None else float(ceiling), threshold)
    if ceiling is None:
        return _alike(c, "LeakyRelu", x, alpha=slope) if slope else _alike(c, "Relu", x)
    if not slope:
        return _clip(c, x, 0.0, float(ceiling))
    return _clip(c, _alike(c, "LeakyRelu", x, alpha=slope), None, float(ceiling))


def _thresholded(c: Call, x: Value, slope: float, ceiling: float | None, threshold: float) -> Value:
    """x above the threshold, slope · (x − threshold) below."""
    above = Value(x.shape, "bool", {x.order: _compare(c, "Greater", x, threshold)})
    below: Tensor = c.number(0.0, x.dtype)
    if slope:
        below = _chain(c, x, ("Sub", threshold), ("Mul", slope)).forms[x.order]
    y = _alike(c, "Where", x, [above.forms[x.order], x.forms[x.order], below])
    return y if ceiling is None else _clip(c, y, None, ceiling)


def _compare(c: Call, op_type: str, x: Value, number: float) -> Tensor:
    form = x.forms[x.order]
    return c.node(op_type, [form, c.number(number, x.dtype)], form.shape, "bool")


def _softmax(c: Call, x: Value, o: Options, op_type: str = "Softmax") -> Value:
    axis = o.get("axis", -1)
    if isinstance(axis, (list, tuple)):
        if len(axis) != 1:
            raise Untranslatable("a softmax over several axes")
        axis = axis[0]
    if axis is None:
        raise Untranslatable("a softmax over all axes")
    place = x.order.index(axis % x.rank)
    return _alike(c, op_type, x, axis=-1 if place == x.rank - 1 else place)


def _glu(c: Call, x: Value, o: Options) -> Value:
    place = x.order.index(o.get("axis", -1) % x.rank)
    form = x.forms[x.order]
    size = known(form.shape[place], "a gated linear unit") // 2
    shape = (*form.shape[:place], size, *form.shape[place + 1 :])
    left, right = c.graph.node_with_outputs("Split", [form], [shape] * 2, axis=place, num_outputs=2)
    gate = c.node("Sigmoid", [right], shape)
    return c.wrap(c.node("Mul", [left, gate], shape), x.order)


def _log_sigmoid(c: Call, x: Value, o: Options) -> Value:
    return _chain(c, x, ("Neg", None), ("Softplus", None), ("Neg", None))


def _shrink(c: Call, x: Value, o: Options, soft: bool) -> Value:
    bound = float(o.get("threshold", 0.5))
    return _alike(c, "Shrink", x, lambd=bound, bias=bound if soft else 0.0)


def _squareplus(c: Call, x: Value, o: Options) -> Value:
    root = _chain(c, _pair(c, "Mul", x, x), ("Add", float(o.get("b", 4))), ("Sqrt", None))
    return _chain(c, _pair(c, "Add", x, root), ("Mul", 0.5))


def _sparse_plus(c: Call, x: Value, o: Options) -> Value:
    """0 below −1, ¼·(x + 1)² up to 1, x above."""
    inner = _chain(c, x, ("Add", 1.0))
    inner = _chain(c, _pair(c, "Mul", inner, inner), ("Mul", 0.25))
    low, high = _compare(c, "LessOrEqual", x, -1.0), _compare(c, "GreaterOrEqual", x, 1.0)
    rest = _alike(c, "Where", x, [low, c.number(0.0, x.dtype), inner.forms[x.order]])
    return _alike(c, "Where", x, [high, x.forms[x.order], rest.forms[x.order]])


def _threshold(c: Call, x: Value, o: Options) -> Value:
    above = _compare(c, "Greater", x, float(o["threshold"]))
    return _alike(c, "Where", x, [above, x.forms[x.order], c.number(float(o["default_value"]), x.dtype)])


def _simple(op_type: str, **attributes: Any) -> Callable[[Call, Value, Options], Value]:
    return lambda c, x, o: _alike(c, op_type, x, **attributes)


_FUNCTIONS: dict[str, Callable[[Call, Value, Options], Value]] = {
    "linear": lambda c, x, o: x,
    "relu": _relu,
    "relu6": lambda c, x, o: _clip(c, x, 0.0, 6.0),
    "leaky_relu": lambda c, x, o: _alike(c, "LeakyRelu", x, alpha=float(o.get("negative_slope", 0.2))),
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "silu": _simple("Swish"),
    "gelu": lambda c, x, o: _alike(c, "Gelu", x, approximate="tanh" if o.get("approximate", False) else "none"),
    "elu": lambda c, x, o: _alike(c, "Elu", x, alpha=float(o.get("alpha", 1.0))),
    "celu": lambda c, x, o: _alike(c, "Celu", x, alpha=float(o.get("alpha", 1.0))),
    "selu": _simple("Selu"),
    "softplus": _simple("Softplus"),
    "softsign": _simple("Softsign"),
    "mish": _simple("Mish"),
    "exponential": _simple("Exp"),
    "hard_sigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": _simple("HardSwish"),
    "hard_tanh": lambda c, x, o: _clip(c, x, -1.0, 1.0),
    "hard_shrink": lambda c, x, o: _shrink(c, x, o, False),
    "soft_shrink": lambda c, x, o: _shrink(c, x, o, True),
    "tanh_shrink": lambda c, x, o: _pair(c, "Sub", x, _alike(c, "Tanh", x)),
    "sparse_sigmoid": lambda c, x, o: _chain(c, _clip(c, x, -1.0, 1.0), ("Add", 1.0), ("Mul", 0.5)),
    "sparse_plus": _sparse_plus,
    "squareplus": _squareplus,
    "threshold": _threshold,
    "log_sigmoid": _log_sigmoid,
    "softmax": _softmax,
    "log_softmax": lambda c, x, o: _softmax(c, x, o, "LogSoftmax"),
    "glu": _glu,
}


def name_of(activation: Any) -> str:
    """What Keras calls an activation function; `linear` for none."""
    if activation is None:
        return "linear"
    name = getattr(activation, "__name__", None)
    own = getattr(activation, "__module__", "").startswith("keras.src.")
    if name in _FUNCTIONS and own:
        return str(name)
    if type(activation).__module__.startswith("keras.src.layers."):
        return f"layer {type(activation).__name__}"
    raise Untranslatable(f"the activation {name or activation!r}, a function of your own")


def apply(c: Call, x: Value, activation: Any, options: Options | None = None) -> Value:
    """The `activation` argument of a layer, as a call beside it."""
    name = name_of(activation)
    if name == "linear":
        return x
    with c.graph.within(_beside(c, name)):
        if name.startswith("layer "):
            kind = f"layers.{type(activation).__name__}"
            if kind not in _LAYERS:
                raise Untranslatable(f"the activation {type(activation).__name__}")
            return _FUNCTIONS[_LAYERS[kind]](c, x, _options(activation))
        return _FUNCTIONS[name](c, x, options or {})


def _beside(c: Call, name: str) -> Any:
    """The scope of a layer's activation: that around the layer; in a Sequential it is an element of its own."""
    around = tuple(c.scope[:-1])
    parent = around[-1][0] if around else ""
    if c.graph.modules.get(parent, {}).get("class") != "Sequential" or not c.scope[-1][0]:
        return around
    stem, _, leaf = c.scope[-1][0].rpartition(".")
    last = str(int(leaf) + 1) if leaf.isdigit() else f"{leaf}_{name.replace('layer ', '').lower()}"
    path = f"{stem}.{last}".lstrip(".")
    c.graph.modules.setdefault(path, {"class": name, "arguments": []})
    return (*around, (path, c.scope[-1][1]))


# Layers and operations ------------------------------------------------------------------------------------------------

_LAYERS = {
    "layers.ReLU": "relu",
    "layers.LeakyReLU": "leaky_relu",
    "layers.ELU": "elu",
    "layers.Softmax": "softmax",
}
_OPTIONS = ("negative_slope", "max_value", "threshold", "alpha", "axis", "approximate", "b", "default_value")


def _options(source: Any) -> dict[str, Any]:
    """What a layer or operation says of its function."""
    return {name: getattr(source, name) for name in _OPTIONS if hasattr(source, name)}


def _translate_as(function: str) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        if c.given("mask"):
            if function != "softmax":
                raise Untranslatable("a mask")
            return _masked_softmax(c)
        return _FUNCTIONS[function](c, c.x, _options(c.source))

    return translate


for _name, _function in _LAYERS.items():
    layer(_name.removeprefix("layers."))(_translate_as(_function))

for _name, _function in {
    **{"Relu": "relu", "ReLU": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Silu": "silu", "Gelu": "gelu"},
    **{"LeakyRelu": "leaky_relu", "Elu": "elu", "Celu": "celu", "Selu": "selu", "Softplus": "softplus"},
    **{"Softsign": "softsign", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "HardTanh": "hard_tanh"},
    **{"Mish": "mish", "Softmax": "softmax", "LogSoftmax": "log_softmax", "LogSigmoid": "log_sigmoid", "Glu": "glu"},
    **{"TanhShrink": "tanh_shrink", "HardShrink": "hard_shrink", "SoftShrink": "soft_shrink", "Tanh": "tanh"},
    **{"SparseSigmoid": "sparse_sigmoid", "SparsePlus": "sparse_plus", "Squareplus": "squareplus"},
    **{"Threshold": "threshold", "Exp": "exponential"},
}.items():
    operation(_name)(_translate_as(_function))


def _masked_softmax(c: Call) -> Value:
    x = c.x
    mask = c.value(c["mask"])
    order = plain(x.rank)
    given = c.plain(mask)
    lowest = float(np.finfo(x.dtype).min)
    filled = c.node("Where", [given, c.plain(x), c.number(lowest, x.dtype)], x.stored(order))
    return _softmax(c, Value(x.shape, x.dtype, {order: filled}), _options(c.source))


@layer("Activation")
def activation_layer(c: Call) -> Value:
    chosen = c.option("activation")
    name = name_of(chosen)
    if name.startswith("layer "):
        return _FUNCTIONS[_LAYERS[f"layers.{name[6:]}"]](c, c.x, _options(chosen))
    return _FUNCTIONS[name](c, c.x, {})


@layer("PReLU")
def prelu(c: Call) -> Value:
    """One slope for each place; with shared axes (all but the channels) one for each channel."""
    x = c.x
    alpha = c.option("alpha")
    shape = tuple(alpha.shape)
    order: Order = plain(x.rank)
    if x.rank > 2 and math.prod(shape[:-1]) == 1:
        order = first(x.rank)
        slope = c.form(alpha, (shape[-1], *shape[:-1]), _moved_last(x.rank - 1))
    else:
        slope = c.form(alpha, shape)
    form = c.in_order(x, order)
    return Value(x.shape, x.dtype, {order: c.node("PRelu", [form, slope], form.shape)})


def _moved_last(rank: int) -> Any:
    from assay.write.weights import transpose

    return transpose(*range(1, rank), 0)
