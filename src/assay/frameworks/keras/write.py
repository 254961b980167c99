"""Keras' lowering table: Keras 3 layers and keras.ops, channels-last, the same for every backend."""

from __future__ import annotations

import math
from collections.abc import Iterable

from assay.graph.calls import Call
from assay.graph.layout import FLATTENED, order_of
from assay.model import constant_of, shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, Raw, Table, keyword, positional
from assay.write.weights import Step, blocks, flip, reshape, transpose

TABLE = Table("keras")

for kind, template, module in (
    ("Relu", "ops.relu({0})", "layers.ReLU()"),
    ("Swish", "ops.silu({0})", 'layers.Activation("silu")'),
    ("Sigmoid", "ops.sigmoid({0})", 'layers.Activation("sigmoid")'),
    ("Tanh", "ops.tanh({0})", 'layers.Activation("tanh")'),
    ("Selu", "ops.selu({0})", 'layers.Activation("selu")'),
    ("HardSwish", "ops.hard_silu({0})", 'layers.Activation("hard_silu")'),
    ("Mish", "keras.activations.mish({0})", 'layers.Activation("mish")'),
    ("Softplus", "ops.softplus({0})", 'layers.Activation("softplus")'),
    ("Exp", "ops.exp({0})", None),
    ("Log", "ops.log({0})", None),
    ("Sqrt", "ops.sqrt({0})", None),
    ("Abs", "ops.abs({0})", None),
    ("Erf", "ops.erf({0})", None),
    ("Max", "ops.maximum({0}, {1})", None),
    ("Min", "ops.minimum({0}, {1})", None),
):
    TABLE.row(kind, template, module)
TABLE.row("Add", "{0} + {1}", precedence=10)
TABLE.row("Sub", "{0} - {1}", precedence=10)
TABLE.row("Mul", "{0} * {1}", precedence=20)
TABLE.row("Div", "{0} / {1}", precedence=20)
TABLE.row("Pow", "{0} ** {1}", precedence=40)
TABLE.row("Neg", "-{0}", precedence=30)
TABLE.row("MatMul", "ops.matmul({0}, {1})")


def _call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


def _one_or_all(values: list[int] | tuple[int, ...]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


def _tuple(values: Iterable[object]) -> str:
    """A tuple without Python's own spacing surprises."""
    return str(tuple(values))


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """A change of layout where the two sides are stored in different orders, nothing otherwise."""
    before, after = order_of(call.x), order_of(call.y)
    w.emit(call.y, _moved(w.use(call.x), [before.index(axis) for axis in after]), light=True)


def _moved(text: str, order: list[int]) -> str:
    return text if order == sorted(order) else f"ops.transpose({text}, {_tuple(order)})"


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    transposed = bool(call.attribute("transB", 0))
    rows, columns = (int(size) for size in (shape_of(weight)[::-1] if transposed else shape_of(weight)))
    steps: tuple[Step, ...] = (transpose(1, 0),) if transposed else ()
    if flattened := call.x.meta.get(FLATTENED):
        # The data was flattened channels-last: the rows of the kernel follow it.
        last = (*flattened[1:], flattened[0])
        axes = (*range(1, len(flattened)), 0, len(flattened))
        steps += (
            reshape((rows, columns), (*flattened, columns)),
            transpose(*axes),
            reshape((*last, columns), (rows, columns)),
        )
    weights = [NativeWeight("kernel", weight, steps)]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    arguments = [positional(columns, "units"), keyword("use_bias", bias is not None, True)]
    _call_layer(call, w, "layers.Dense", arguments, weights)


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    outputs, inputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    taken = ""
    if max(strides) > 1 and max(dilations) > 1:  # Keras refuses both at once: all places are computed, some are taken
        taken = f"[:, {', '.join(f'::{stride}' if stride > 1 else ':' for stride in strides)}]"
        strides = (1,) * rank
    x, padding = _padded(call, w, kernel, strides, dilations)
    depthwise = groups > 1 and inputs == 1 and len(set(strides)) == 1
    size = keyword("depth_multiplier", outputs // groups, 1) if depthwise else positional(outputs, "channels")
    arguments = [
        *([] if depthwise else [size]),
        positional(_one_or_all(kernel), "kernel_size"),
        *([size] if depthwise else []),
        keyword("strides", _one_or_all(strides), 1),
        keyword("padding", padding, "valid"),
        keyword("dilation_rate", _one_or_all(dilations), 1),
        *([] if depthwise else [keyword("groups", groups, 1)]),
        keyword("use_bias", bias is not None, True),
    ]
    steps: tuple[Step, ...] = (transpose(*range(2, 2 + rank), 1, 0),)
    if depthwise:
        steps += (reshape((*kernel, 1, outputs), (*kernel, groups, outputs // groups)),)
    weights = [NativeWeight("kernel", weight, steps)]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    layer = w.layer(f"layers.{'Depthwise' if depthwise else ''}Conv{rank}D", arguments, weights)
    w.emit(call.y, f"{layer}({x}){taken}", light=True)


def _padded(
    call: Call, w: Builder, kernel: list[int], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[str, str]:
    """The input of a convolution and its padding option; Keras' own "same" where that is what the pads say."""
    rank = len(kernel)
    pads = call.attribute("pads", [0] * 2 * rank)
    x = w.use(call.x)
    if not any(pads):
        return x, "valid"
    half = [dilation * (size - 1) / 2 for dilation, size in zip(dilations, kernel, strict=True)]
    if set(strides) == {1} and list(pads) == half * 2:
        return x, "same"
    widths = [(pads[axis], pads[rank + axis]) for axis in range(rank)]
    amounts = (
        widths[0] if rank == 1 else _one_or_all([width[0] for width in widths]) if _even(widths) else tuple(widths)
    )
    hint = f"{w.attribute_name or 'conv'}_padding".replace(".", "_")
    layer = w.layer(f"layers.ZeroPadding{rank}D", [positional(amounts, "padding")], hint=hint)
    padded = w.temporary("x")
    w.emit(padded, f"{layer}({x})", light=True)
    return w.use(padded), "valid"


def _even(widths: list[tuple[int, int]]) -> bool:
    return all(before == after for before, after in widths) and len({before for before, _ in widths}) == 1


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    inputs, outputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    pads, extra = call.attribute("pads", [0] * 2 * rank), call.attribute("output_padding", [0] * rank)
    biases = [NativeWeight("bias", bias)] if bias is not None else []
    spatial = range(2, 2 + rank)
    if groups > 1 or set(dilations) != {1}:
        reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
        padding = tuple((reach[i] - pads[i], reach[i] - pads[rank + i] + extra[i]) for i in range(rank))
        arguments = [
            positional(outputs * groups, "channels"),
            positional(tuple(kernel), "kernel_size"),
            keyword("strides", strides),
            keyword("padding", padding),
            keyword("dilation_rate", dilations),
            keyword("groups", groups),
            keyword("use_bias", bias is not None, True),
        ]
        split, apart = (groups, inputs // groups, outputs, *kernel), (*kernel, inputs // groups, groups, outputs)
        steps = (
            reshape((inputs, outputs, *kernel), split),
            transpose(*range(3, 3 + rank), 1, 0, 2),
            reshape(apart, (*kernel, inputs // groups, groups * outputs)),
            flip(*range(rank)),
        )
        _call_layer(call, w, "ConvTranspose", arguments, [NativeWeight("kernel", weight, steps), *biases])
        return
    # Keras' "same" crops elsewhere: the whole result is taken, and the pads are cut off.
    longer = [max(0, extra[i] - pads[rank + i]) for i in range(rank)]
    cut = [(pads[i], max(0, pads[rank + i] - extra[i])) for i in range(rank)]
    arguments = [
        positional(outputs, "channels"),
        positional(_one_or_all(kernel), "kernel_size"),
        keyword("strides", _one_or_all(strides), 1),
        keyword("output_padding", _one_or_all(longer)),
        keyword("use_bias", bias is not None, True),
    ]
    weights = [NativeWeight("kernel", weight, (transpose(*spatial, 1, 0),)), *biases]
    layer = w.layer(f"layers.Conv{rank}DTranspose", arguments, weights)
    if not any(sum(pair) for pair in cut):
        w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)
        return
    whole = w.temporary("x")
    w.emit(whole, f"{layer}({w.use(call.x)})", light=True)
    amounts = cut[0] if rank == 1 else tuple(cut)
    hint = f"{w.attribute_name or 'conv'}_cropping".replace(".", "_")
    cropping = w.layer(f"layers.Cropping{rank}D", [positional(amounts, "cropping")], hint=hint)
    w.emit(call.y, f"{cropping}({w.use(whole)})", light=True)


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    kernel = tuple(call.attribute("kernel_shape"))
    strides, pads = tuple(call.attribute("strides", [1] * rank)), call.attribute("pads", [0] * 2 * rank)
    count = bool(call.attribute("count_include_pad", 0))
    average = call.kind == "AveragePool"
    if any(pads):
        widths = tuple((pads[i], pads[rank + i]) for i in range(rank))
        more = ", count_padding=True" if average and count else ""
        name = "average_pool" if average else "max_pool"
        w.emit(call.y, f"{name}({w.use(call.x)}, {kernel}, {strides}, {widths}{more})", light=True)
        return
    arguments = [
        positional(_one_or_all(kernel), "pool_size"),
        keyword("strides", _one_or_all(strides), _one_or_all(kernel)),
    ]
    _call_layer(call, w, f"layers.{'Average' if average else 'Max'}Pooling{rank}D", arguments, [])


_LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _weights(call: Call) -> list[NativeWeight]:
    return [NativeWeight(_LEAVES[role], value) for role, value in call.weights.items()]


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    arguments = [
        keyword("momentum", call.attribute("momentum", 0.9), 0.99),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-3),
    ]
    w.in_training()
    layer = w.layer("layers.BatchNormalization", arguments, _weights(call))
    w.emit(call.y, f"{layer}({w.use(call.x)}, training=training)", light=True)


@TABLE.rule("LayerNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    arguments = [
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-3),
        keyword("center", "bias" in call.weights, True),
    ]
    _call_layer(call, w, "layers.LayerNormalization", arguments, _weights(call))


@TABLE.rule("RMSNormalization")
def rms_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    arguments = [keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-6)]
    _call_layer(call, w, "layers.RMSNormalization", arguments, [NativeWeight("scale", call.weights["weight"])])


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    arguments = [
        positional(call.attribute("num_groups"), "groups"),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-3),
    ]
    _call_layer(call, w, "layers.GroupNormalization", arguments, _weights(call))


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    array = constant_of(call.weights["weight"])
    assert array is not None
    shared = list(range(1, len(call.shape()) - 1))
    native = (*[1] * len(shared), array.size)
    steps = () if array.shape == native else (reshape(array.shape, native),)
    arguments = [keyword("shared_axes", shared)] if shared else []
    _call_layer(call, w, "layers.PReLU", arguments, [NativeWeight("alpha", call.weights["weight"], steps)])


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio = call.constant(1)
    rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
    call.attribute("seed")
    w.in_training()
    layer = w.layer("layers.Dropout", [positional(rate, "rate")])
    w.emit(call.y, f"{layer}({w.use(call.x)}, training=training)", light=True)


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    entries, features = shape_of(call.weights["weight"])
    arguments = [positional(entries, "entries"), positional(features, "features")]
    _call_layer(call, w, "layers.Embedding", arguments, [NativeWeight("embeddings", call.weights["weight"])])


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    lstm = call.kind == "RecurrentLSTM"
    hidden, direction = call.attribute("hidden_size"), call.attribute("direction", "forward")
    call.attribute("single_bias")
    call.attribute("linear_before_reset")
    both = direction == "bidirectional"
    sequence, final = call.outputs
    callee, name = ("LSTM", "lstm") if lstm else ("GRU", "gru")
    options = [keyword("return_sequences", sequence is not None, False)]
    options.append(keyword("return_state", sequence is not None and final is not None, False))
    if both:
        shown = "".join(f", {item.name}=True" for item in options if item.value)
        inner = Raw(f'layers.{callee}({hidden}{shown}, name="{name}")')
        layer = w.layer(
            "layers.Bidirectional", [positional(inner, "layer")], _recurrent_weights(call, hidden, name, True)
        )
    else:
        arguments = [positional(hidden, "units"), *options, keyword("go_backwards", direction == "reverse", False)]
        layer = w.layer(f"layers.{callee}", arguments, _recurrent_weights(call, hidden, name, False))
    result = f"{layer}({w.use(call.x)})"
    if sequence is None or final is None:
        w.emit([final if sequence is None else sequence], result, light=True)
        return
    states = [w.temporary("final")] if not both else [w.temporary("forward"), w.temporary("backward")]
    targets = [item for state in states for item in ((state, None) if lstm else (state,))]
    w.emit([sequence, *targets], result)
    joined = f"ops.concatenate([{', '.join(w.use(state) for state in states)}], axis=-1)" if both else w.use(states[0])
    w.emit(final, joined, light=True)


def _recurrent_weights(call: Call, hidden: int, name: str, both: bool) -> list[NativeWeight]:
    order = (0, 2, 3, 1) if name == "lstm" else (0, 1, 2)  # i, o, f, c → i, f, c, o; z, r, h stays
    rows = len(order) * hidden
    prefixes = [f"forward_{name}/{name}_cell/", f"backward_{name}/{name}_cell/"] if both else [f"{name}_cell/"]
    weights = []
    for direction, prefix in enumerate(prefixes):
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "kernel"), ("hidden_weight", "recurrent_kernel")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
            weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,)))
        bias = call.weights["bias"]
        twofold = int(shape_of(bias)[1]) == 2 * rows
        shape = (2, rows) if twofold else (rows,)
        steps = (reshape((1, 2 * rows if twofold else rows), shape), blocks(len(shape) - 1, order))
        weights.append(NativeWeight(f"{prefix}bias", bias, steps, (part,)))
    return weights


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    heads = w.literal(call.attribute("q_num_heads"), "heads")
    call.attribute("kv_num_heads")
    causal = ", is_causal=True" if call.attribute("is_causal", 0) else ""
    split = []
    for value in call.inputs[:3]:
        assert value is not None
        _, steps, features = shape_of(value)
        part = w.temporary(value.meta.get("assay.hint", "x"))
        size = int(features) // int(call.attribute("q_num_heads"))
        w.emit(part, f"ops.reshape({w.use(value)}, (-1, {steps}, {heads}, {w.literal(size, 'size')}))")
        split.append(part)
    query, key, value_part = (w.use(part) for part in split)
    mixed = w.temporary("mixed")
    w.emit(mixed, f"attention({query}, {key}, {value_part}{causal})")
    _, steps, features = shape_of(call.y)
    w.emit(call.y, f"ops.reshape({w.use(mixed)}, (-1, {steps}, {w.literal(features, 'features')}))", light=True)


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    exact = call.attribute("approximate", "none") == "none"
    module = None if exact else 'layers.Activation("gelu")'
    text = f"gelu({w.use(call.x)})" if exact else f"ops.gelu({w.use(call.x)}, approximate=True)"
    w.emit(call.y, text, light=True, module=module)


@TABLE.rule("LeakyRelu", "Elu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    alpha = w.literal(call.attribute("alpha", 0.01 if leaky else 1.0), "slope" if leaky else "alpha")
    text = (
        f"ops.leaky_relu({w.use(call.x)}, negative_slope={alpha})"
        if leaky
        else f"ops.elu({w.use(call.x)}, alpha={alpha})"
    )
    w.emit(call.y, text, light=True)


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6) and beta == 0.5:
        w.emit(call.y, f"ops.hard_sigmoid({w.use(call.x)})", light=True, module='layers.Activation("hard_sigmoid")')
    else:
        w.emit(call.y, f"ops.clip({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name = "softmax" if call.kind == "Softmax" else "log_softmax"
    axis = call.stored_axis(call.attribute("axis", -1))
    where = "" if axis == len(call.shape()) - 1 else f", axis={axis}"
    w.emit(call.y, f"ops.{name}({w.use(call.x)}{where})", light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    call.attribute("axis")
    w.emit(call.y, f"ops.reshape({w.use(call.x)}, (-1, {shape_of(call.y)[1]}))", light=True, module="layers.Flatten()")


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    assert call.constant(1) is not None
    sizes = [-1 if isinstance(size, str) else size for size in shape_of(call.y)]
    x = w.use(call.x)
    if sizes.count(-1) > 1:
        known = f"ops.shape({x})"
        listed = ", ".join(f"{known}[{place}]" if size == -1 else str(size) for place, size in enumerate(sizes))
        w.emit(call.y, f"ops.reshape({x}, ({listed}))")
    else:
        w.emit(call.y, f"ops.reshape({x}, {_tuple(sizes)})", light=True)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    perm = call.attribute("perm", list(reversed(range(len(call.shape())))))
    before, after = order_of(call.x), order_of(call.y)
    w.emit(call.y, _moved(w.use(call.x), [before.index(perm[axis]) for axis in after]), light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    rank = len(shape_of(call.y))
    axes = [int(axis) % rank for axis in call.known(1).reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = sorted(order_of(call.y).index(axis) for axis in axes)
    order = [order_of(call.x).index(kept.index(axis)) for axis in order_of(call.y) if axis in kept]
    where = (-1 if places[0] == rank - 1 else places[0]) if len(places) == 1 else tuple(places)
    w.emit(call.y, f"ops.expand_dims({_moved(w.use(call.x), order)}, {where})", light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    rank = len(call.shape())
    axes = [int(axis) % rank for axis in call.known(1).reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = sorted(call.stored_axis(axis) for axis in axes)
    remaining = [axis for axis in order_of(call.x) if axis in kept]
    order = [remaining.index(kept[axis]) for axis in order_of(call.y)]
    where = places[0] if len(places) == 1 else tuple(places)
    w.emit(call.y, _moved(f"ops.squeeze({w.use(call.x)}, {where})", order), light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    listed = ", ".join(w.use(value) for value in call.inputs)
    axis = _from_end(call.stored_axis(call.attribute("axis")), len(call.shape()))
    w.emit(call.y, f"ops.concatenate([{listed}], axis={axis})", light=True)


def _from_end(axis: int, rank: int) -> int:
    return -1 if axis == rank - 1 else axis


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    call.attribute("num_outputs")
    call.constant(1)
    sizes = [int(shape_of(value)[axis]) for value in call.outputs if value is not None]
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes) - 1)]
    parts = len(sizes) if len(set(sizes)) == 1 else ends
    place = _from_end(call.stored_axis(axis), len(call.shape()))
    w.emit(call.outputs, f"ops.split({w.use(call.x)}, {parts}, axis={place})")


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    starts, ends = call.known(1), call.known(2)
    axes, steps = call.constant(3), call.constant(4)
    rank = len(call.shape())
    parts = [":"] * rank
    for place in range(len(starts)):
        axis = int(axes[place]) % rank if axes is not None else place
        step = int(steps[place]) if steps is not None else 1
        start, stop = int(starts[place]), int(ends[place])
        text = f"{start or ''}:{'' if abs(stop) >= 2**31 - 1 else stop}" + (f":{step}" if step != 1 else "")
        parts[call.stored_axis(axis)] = text
    while parts and parts[-1] == ":":
        parts.pop()
    w.emit(call.y, f"{w.use(call.x, 100)}[{', '.join(parts) or ':'}]", light=True)


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    amounts, fill = call.known(1), call.constant(2)
    call.attribute("mode")
    rank = len(call.shape())
    pairs = tuple((int(amounts[axis]), int(amounts[axis + rank])) for axis in order_of(call.x))
    value = 0.0 if fill is None else float(fill.reshape(()))
    more = f", constant_values={value}" if value else ""
    w.emit(call.y, f"ops.pad({w.use(call.x)}, {pairs}{more})", light=True)


@TABLE.rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def reduce(call: Call, w: Builder) -> None:
    rank = len(call.shape())
    found = call.constant(1)
    keep = bool(call.attribute("keepdims", 1))
    call.attribute("noop_with_empty_axes")
    axes = list(range(rank)) if found is None else [int(axis) % rank for axis in found]
    places = tuple(sorted(call.stored_axis(axis) for axis in axes))
    name = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min"}[call.kind]
    where = places[0] if len(places) == 1 else places
    text = f"ops.{name}({w.use(call.x)}, axis={where}{', keepdims=True' if keep else ''})"
    left = [axis for axis in order_of(call.x) if keep or axis not in axes]
    names = [axis for axis in range(rank) if keep or axis not in axes]
    order = [left.index(names[axis]) for axis in order_of(call.y)]
    w.emit(call.y, _moved(text, order), light=True)
