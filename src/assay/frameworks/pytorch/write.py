"""PyTorch's lowering table."""

from __future__ import annotations

import math

from assay.frameworks.pytorch.patterns import is_free, packed_heads
from assay.graph.calls import Call
from assay.graph.layout import FLATTENED
from assay.model import shape_of, sizes_of
from assay.write.body import Builder
from assay.write.parts import Value
from assay.write.table import (
    NO_DEFAULT,
    Argument,
    NativeWeight,
    Table,
    keyword,
    positional,
)
from assay.write.weights import Step, blocks, reshape, transpose

TABLE = Table("pytorch")

for kind, template, module in (
    ("Swish", "F.silu({0})", "nn.SiLU()"),
    ("Sigmoid", "torch.sigmoid({0})", "nn.Sigmoid()"),
    ("Tanh", "torch.tanh({0})", "nn.Tanh()"),
    ("Selu", "F.selu({0})", "nn.SELU()"),
    ("HardSwish", "F.hardswish({0})", "nn.Hardswish()"),
    ("Mish", "F.mish({0})", "nn.Mish()"),
    ("Identity", "{0}", "nn.Identity()"),
    ("Exp", "torch.exp({0})", None),
    ("Log", "torch.log({0})", None),
    ("Sqrt", "torch.sqrt({0})", None),
    ("Abs", "torch.abs({0})", None),
    ("Erf", "torch.erf({0})", None),
    ("Max", "torch.maximum({0}, {1})", None),
    ("Min", "torch.minimum({0}, {1})", None),
):
    TABLE.row(kind, template, module)
TABLE.row("Add", "{0} + {1}", precedence=10)
TABLE.row("Sub", "{0} - {1}", precedence=10)
TABLE.row("Mul", "{0} * {1}", precedence=20)
TABLE.row("Div", "{0} / {1}", precedence=20)
TABLE.row("MatMul", "{0} @ {1}", precedence=20)
TABLE.row("Pow", "{0} ** {1}", precedence=40)
TABLE.row("Neg", "-{0}", precedence=30)


def _call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    transposed = bool(call.attribute("transB", 0))
    rows, columns = shape_of(weight)[::-1] if transposed else shape_of(weight)
    steps: tuple[Step, ...] = () if transposed else (transpose(1, 0),)
    weights = [NativeWeight("weight", weight, steps)]
    if bias is not None:
        weights.append(NativeWeight("bias", bias))
    arguments = [
        positional(rows, "in_features"),
        positional(columns, "out_features"),
        keyword("bias", bias is not None, True),
    ]
    _call_layer(call, w, "nn.Linear", arguments, weights)


def _one_or_all(values: list[int]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


@TABLE.rule("Conv", "ConvTranspose")
def convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    shape = [int(size) for size in shape_of(weight)]
    group = call.attribute("group", 1)
    call.attribute("kernel_shape")
    pads = list(call.attribute("pads", [0] * 2 * rank))
    before, after = pads[:rank], pads[rank:]
    x = w.use(call.x)
    turned = call.kind == "ConvTranspose"
    if before != after and not turned:
        amounts = tuple(amount for axis in reversed(range(rank)) for amount in (before[axis], after[axis]))
        padded = w.temporary("x")
        w.emit(padded, f"F.pad({x}, {amounts})", light=True)
        x, before = w.use(padded), [0] * rank
    arguments = [
        positional(shape[0] if turned else shape[1] * group, "in_channels"),
        positional(shape[1] * group if turned else shape[0], "out_channels"),
        positional(_one_or_all(shape[2:]), "kernel_size"),
        keyword("stride", _one_or_all(call.attribute("strides", [1] * rank)), 1),
        keyword("padding", _one_or_all(before), 0),
    ]
    if turned:
        extra = [a + e - b for a, b, e in zip(before, after, call.attribute("output_padding", [0] * rank), strict=True)]
        arguments.append(keyword("output_padding", _one_or_all(extra), 0))
    arguments += [
        keyword("dilation", _one_or_all(call.attribute("dilations", [1] * rank)), 1),
        keyword("groups", group, 1),
        keyword("bias", bias is not None, True),
    ]
    weights = [NativeWeight("weight", weight)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    layer = w.layer(f"nn.Conv{'Transpose' if turned else ''}{rank}d", arguments, weights)
    w.emit(call.y, f"{layer}({x})", light=True)


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    kernel = call.attribute("kernel_shape")
    strides, pads = call.attribute("strides", [1] * rank), call.attribute("pads", [0] * 2 * rank)
    arguments = [
        positional(_one_or_all(kernel), "kernel_size"),
        keyword("stride", _one_or_all(strides), _one_or_all(kernel)),
        keyword("padding", _one_or_all(pads[:rank]), 0),
    ]
    if call.kind == "AveragePool" and (any(pads) or call.attribute("count_include_pad", 0)):
        arguments.append(keyword("count_include_pad", bool(call.attribute("count_include_pad", 0)), True))
    call.attribute("count_include_pad")
    _call_layer(call, w, f"nn.{'Max' if call.kind == 'MaxPool' else 'Avg'}Pool{rank}d", arguments, [])


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    names = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    weights = [NativeWeight(leaf, call.weights[role]) for role, leaf in names.items()]
    momentum = round(1 - call.attribute("momentum", 0.9), 12)
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("eps", call.attribute("epsilon", 1e-5), 1e-5),
        keyword("momentum", momentum, 0.1),
    ]
    w.in_training()
    rank = max(call.spatial_rank, 1)
    _call_layer(call, w, f"BatchNorm{rank}d", arguments, weights)


@TABLE.rule("LayerNormalization", "RMSNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    shape = shape_of(call.weights["weight"])
    call.attribute("axis")
    arguments = [
        positional(shape[0] if len(shape) == 1 else shape, "features"),
        keyword("eps", call.attribute("epsilon", 1e-5), 1e-5 if call.kind == "LayerNormalization" else NO_DEFAULT),
    ]
    weights = [NativeWeight("weight", call.weights["weight"])]
    if call.kind == "LayerNormalization":
        arguments.append(keyword("bias", "bias" in call.weights, True))
        weights += [NativeWeight("bias", call.weights["bias"])] if "bias" in call.weights else []
    _call_layer(call, w, f"nn.{'LayerNorm' if call.kind == 'LayerNormalization' else 'RMSNorm'}", arguments, weights)


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    arguments = [
        positional(call.attribute("num_groups"), "groups"),
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("eps", call.attribute("epsilon", 1e-5), 1e-5),
    ]
    _call_layer(call, w, "nn.GroupNorm", arguments, [NativeWeight(role, value) for role, value in call.weights.items()])


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    sizes = sizes_of(weight)
    count = math.prod(sizes)
    steps = () if len(sizes) == 1 else (reshape(sizes, (count,)),)
    _call_layer(call, w, "nn.PReLU", [positional(count, "channels")], [NativeWeight("weight", weight, steps)])


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio = call.constant(1)
    rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
    call.attribute("seed")
    w.in_training()
    _call_layer(call, w, "nn.Dropout", [positional(rate, "rate")], [])


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    entries, features = shape_of(weight)
    arguments = [positional(entries, "entries"), positional(features, "features")]
    _call_layer(call, w, "nn.Embedding", arguments, [NativeWeight("weight", weight)])


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    lstm = call.kind == "RecurrentLSTM"
    hidden = call.attribute("hidden_size")
    two = call.attribute("direction", "forward") == "bidirectional"
    single_bias = call.attribute("single_bias")
    call.attribute("linear_before_reset")
    order = (0, 2, 3, 1) if lstm else (1, 0, 2)  # ONNX's gates i, o, f, c and z, r, h → torch's i, f, g, o and r, z, n
    weights = _recurrent_weights(call, 2 if two else 1, hidden, order)
    arguments = [
        positional(call.shape()[-1], "input_size"),
        positional(hidden, "hidden_size"),
        keyword("batch_first", True),
        keyword("bidirectional", two, False),
    ]
    layer = w.layer("LSTM" if single_bias else f"nn.{'LSTM' if lstm else 'GRU'}", arguments, weights)
    sequence, final = call.outputs
    state = w.temporary("state")
    result = f"{layer}({w.use(call.x)})"
    w.emit((sequence, state if final is not None else None), result)
    if final is not None:
        hidden_state = f"{w.use(state)}[0]" if lstm else w.use(state)
        w.emit(final, f"{hidden_state}.transpose(0, 1).flatten(1)", light=True)


def _recurrent_weights(call: Call, directions: int, hidden: int, order: tuple[int, ...]) -> list[NativeWeight]:
    weights = []
    rows = len(order) * hidden
    for direction in range(directions):
        suffix = "_reverse" if direction else ""
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "weight_ih_l0"), ("hidden_weight", "weight_hh_l0")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order))
            weights.append(NativeWeight(f"{leaf}{suffix}", call.weights[role], steps, (part,)))
        # One trained bias comes with a second one that is a constant zero; otherwise both lie in one array.
        second = call.weights.get("second_bias", call.weights["bias"])
        offset = 0 if "second_bias" in call.weights else rows
        for leaf, bias, start in (("bias_ih_l0", call.weights["bias"], 0), ("bias_hh_l0", second, offset)):
            steps = (reshape((1, rows), (rows,)), blocks(0, order))
            weights.append(NativeWeight(f"{leaf}{suffix}", bias, steps, (part, (start, start + rows))))
    return weights


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    heads = call.attribute("q_num_heads")
    call.attribute("kv_num_heads")
    causal = bool(call.attribute("is_causal", 0))
    split: list[Value | None] = []
    packed = call.x.producer()
    for given in call.inputs[:3]:
        if packed is not None and packed_heads(packed):
            split.append(given)
            continue
        part = w.temporary("x" if given is None else given.meta.get("assay.hint", "x"))
        w.emit(part, f"{w.use(given)}.unflatten(-1, ({w.literal(heads, 'heads')}, -1)).transpose(1, 2)")
        split.append(part)
    query, key, value = (w.use(part) for part in split)
    mixed = w.temporary("mixed")
    w.emit(mixed, f"F.scaled_dot_product_attention({query}, {key}, {value}{', is_causal=True' if causal else ''})")
    w.emit(call.y, f"{w.use(mixed)}.transpose(1, 2).flatten(2)", light=True)


@TABLE.rule("Relu")
def relu(call: Call, w: Builder) -> None:
    option = "inplace=True" if is_free(call.x, w) else ""
    w.emit(call.y, f"F.relu({w.use(call.x)}{', ' + option if option else ''})", light=True, module=f"nn.ReLU({option})")


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    tanh = call.attribute("approximate", "none") == "tanh"
    option = 'approximate="tanh"' if tanh else ""
    w.emit(call.y, f"F.gelu({w.use(call.x)}{', ' + option if tanh else ''})", light=True, module=f"nn.GELU({option})")


@TABLE.rule("LeakyRelu", "Elu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    alpha = call.attribute("alpha", 0.01 if leaky else 1.0)
    name, module = ("leaky_relu", "LeakyReLU") if leaky else ("elu", "ELU")
    slope = w.literal(alpha, "slope" if leaky else "alpha")
    w.emit(call.y, f"F.{name}({w.use(call.x)}, {slope})", light=True, module=f"nn.{module}({slope})")


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        w.emit(call.y, f"F.hardsigmoid({w.use(call.x)})", light=True, module="nn.Hardsigmoid()")
    else:
        w.emit(call.y, f"torch.clamp({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)


@TABLE.rule("Softplus")
def softplus(call: Call, w: Builder) -> None:
    # torch's own is linear above a threshold; logaddexp is exact everywhere.
    x = w.use(call.x)
    w.emit(call.y, f"torch.logaddexp({x}, torch.zeros_like({x}))", light=False)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name, module = ("softmax", "Softmax") if call.kind == "Softmax" else ("log_softmax", "LogSoftmax")
    axis = call.attribute("axis", -1)
    w.emit(call.y, f"F.{name}({w.use(call.x)}, dim={axis})", light=True, module=f"nn.{module}(dim={axis})")


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    call.attribute("axis")
    assert FLATTENED not in call.y.meta
    w.emit(call.y, f"{w.use(call.x)}.flatten(1)", light=True, module="nn.Flatten()")


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    wanted = call.constant(1)
    assert wanted is not None
    sizes = [call.shape()[place] if size == 0 else int(size) for place, size in enumerate(wanted)]
    x = w.use(call.x)
    listed = ", ".join(
        f"{x}.shape[{place}]" if isinstance(size, str) else str(size) for place, size in enumerate(sizes)
    )
    w.emit(call.y, f"{x}.reshape({listed})", light=sum(isinstance(size, str) for size in sizes) == 0)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    order = call.attribute("perm", list(reversed(range(len(call.shape())))))
    w.emit(call.y, f"{w.use(call.x)}.permute({', '.join(map(str, order))})", light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    text = w.use(call.x)
    for axis in sorted(int(axis) % len(shape_of(call.y)) for axis in call.known(1).reshape(-1)):
        text = f"{text}.unsqueeze({axis})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    axes = tuple(int(axis) for axis in call.known(1).reshape(-1))
    w.emit(call.y, f"{w.use(call.x)}.squeeze({axes[0] if len(axes) == 1 else axes})", light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    listed = ", ".join(w.use(value) for value in call.inputs)
    w.emit(call.y, f"torch.cat([{listed}], dim={call.attribute('axis')})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    call.attribute("num_outputs")
    call.constant(1)
    sizes = [int(shape_of(value)[axis]) for value in call.outputs if value is not None]
    if heads := packed_heads(call.nodes[0]):
        shape = f"({len(sizes)}, {w.literal(heads, 'heads')}, -1)"
        w.emit(call.outputs, f"{w.use(call.x)}.unflatten(-1, {shape}).permute(2, 0, 3, 1, 4).unbind(0)")
        return
    if len(set(sizes)) == 1:
        w.emit(
            call.outputs,
            f"{w.use(call.x)}.chunk({len(sizes)}, dim={axis - len(call.shape()) if axis == len(call.shape()) - 1 else axis})",
        )
    else:
        w.emit(call.outputs, f"{w.use(call.x)}.split({sizes}, dim={axis})")


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    starts, ends = call.known(1), call.known(2)
    axes, steps = call.constant(3), call.constant(4)
    rank = len(call.shape())
    parts = [":"] * rank
    for place in range(len(starts)):
        axis = int(axes[place]) % rank if axes is not None else place
        step = int(steps[place]) if steps is not None else 1
        parts[axis] = _part(int(starts[place]), int(ends[place]), step)
    while parts and parts[-1] == ":":
        parts.pop()
    w.emit(call.y, f"{w.use(call.x, 100)}[{', '.join(parts) or ':'}]", light=True)


def _part(start: int, stop: int, step: int) -> str:
    if step < 0:
        raise ValueError("negative steps need a flip")
    last = "" if stop >= 2**31 - 1 else str(stop)
    return f"{start or ''}:{last}" + (f":{step}" if step != 1 else "")


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    amounts, fill = call.known(1), call.constant(2)
    call.attribute("mode")
    rank = len(call.shape())
    pairs = [(int(amounts[axis]), int(amounts[axis + rank])) for axis in range(rank)]
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)
    listed = ", ".join(str(amount) for pair in reversed(pairs) for amount in pair)
    value = 0.0 if fill is None else float(fill.reshape(()))
    w.emit(call.y, f"F.pad({w.use(call.x)}, ({listed}){f', value={value}' if value else ''})", light=True)


@TABLE.rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def reduce(call: Call, w: Builder) -> None:
    axes = call.constant(1)
    keep = bool(call.attribute("keepdims", 1))
    call.attribute("noop_with_empty_axes")
    listed = tuple(range(len(call.shape()))) if axes is None else tuple(int(axis) for axis in axes)
    # amax and amin share the gradient between equal elements, as the other frameworks do; max and min do not.
    name = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin"}[call.kind]
    where = listed[0] if len(listed) == 1 else listed
    w.emit(call.y, f"{w.use(call.x, 100)}.{name}(dim={where}{', keepdim=True' if keep else ''})", light=True)
