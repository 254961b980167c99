"""JAX's lowering table: Flax NNX layers, jax.numpy functions, channels-last."""

from __future__ import annotations

import math

from assay.graph.calls import Call
from assay.graph.layout import FLATTENED, order_of
from assay.model import shape_of, sizes_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, Raw, Table, keyword, positional
from assay.write.weights import Step, blocks, flip, reshape, transpose

TABLE = Table("jax")

for kind, template, module in (
    ("Relu", "nnx.relu({0})", "nnx.relu"),
    ("Swish", "nnx.silu({0})", "nnx.silu"),
    ("Sigmoid", "nnx.sigmoid({0})", "nnx.sigmoid"),
    ("Tanh", "jnp.tanh({0})", "jnp.tanh"),
    ("Selu", "nnx.selu({0})", "nnx.selu"),
    ("HardSwish", "nnx.hard_swish({0})", "nnx.hard_swish"),
    ("Mish", "jax.nn.mish({0})", "jax.nn.mish"),
    ("Softplus", "nnx.softplus({0})", "nnx.softplus"),
    ("Exp", "jnp.exp({0})", "jnp.exp"),
    ("Log", "jnp.log({0})", "jnp.log"),
    ("Sqrt", "jnp.sqrt({0})", "jnp.sqrt"),
    ("Abs", "jnp.abs({0})", "jnp.abs"),
    ("Erf", "jax.scipy.special.erf({0})", "jax.scipy.special.erf"),
    ("Max", "jnp.maximum({0}, {1})", None),
    ("Min", "jnp.minimum({0}, {1})", None),
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


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """A change of layout where the two sides are stored in different orders, nothing otherwise."""
    before, after = order_of(call.x), order_of(call.y)
    x = w.use(call.x)
    if before == after:
        w.emit(call.y, x, light=True, module="nnx.identity")
    else:
        w.emit(call.y, f"{x}.transpose({', '.join(str(before.index(axis)) for axis in after)})", light=True)


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
    if bias is not None:
        weights.append(NativeWeight("bias", bias))
    arguments = [
        positional(rows, "in_features"),
        positional(columns, "out_features"),
        keyword("use_bias", bias is not None, True),
    ]
    _call_layer(call, w, "nnx.Linear", arguments, weights)


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    weight, bias = call.weights["weight"], call.weights.get("bias")
    outputs, inputs, *kernel = (int(size) for size in shape_of(weight))
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    pads = call.attribute("pads", [0] * 2 * rank)
    padding = list(zip(pads[:rank], pads[rank:], strict=True))
    arguments = [
        positional(inputs * groups, "in_channels"),
        positional(outputs, "out_channels"),
        positional(tuple(kernel), "kernel_size"),
        keyword("strides", strides, (1,) * rank),
        keyword("padding", padding if any(pads) else "VALID"),
        keyword("kernel_dilation", dilations, (1,) * rank),
        keyword("feature_group_count", groups, 1),
        keyword("use_bias", bias is not None, True),
    ]
    weights = [NativeWeight("kernel", weight, (transpose(*range(2, 2 + rank), 1, 0),))]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    _call_layer(call, w, "nnx.Conv", arguments, weights)


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
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
    padding = [(reach[i] - pads[i], reach[i] - pads[rank + i] + extra[i]) for i in range(rank)]
    arguments = [
        positional(inputs, "in_channels"),
        positional(outputs * groups, "out_channels"),
        positional(tuple(kernel), "kernel_size"),
        keyword("strides", strides, (1,) * rank),
        keyword("padding", padding),
        keyword("kernel_dilation", dilations, (1,) * rank),
        keyword("use_bias", bias is not None, True),
    ]
    spatial = range(2, 2 + rank)
    if groups == 1:
        arguments.append(keyword("transpose_kernel", True))
        callee = "nnx.ConvTranspose"
        steps: tuple[Step, ...] = (transpose(*spatial, 1, 0),)
    else:
        arguments = [Argument(item.value, item.name, hint=item.hint) for item in arguments]
        arguments.append(keyword("groups", groups))
        callee = "GroupConvTranspose"
        split = (groups, inputs // groups, outputs, *kernel)
        joined = (*kernel, inputs // groups, groups * outputs)
        apart = (*kernel, inputs // groups, groups, outputs)
        steps = (
            reshape((inputs, outputs, *kernel), split),
            transpose(*range(3, 3 + rank), 1, 0, 2),
            reshape(apart, joined),
            flip(*range(rank)),
        )
    weights = [NativeWeight("kernel", weight, steps)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    _call_layer(call, w, callee, arguments, weights)


@TABLE.rule("MaxPool", "AveragePool")
def pool(call: Call, w: Builder) -> None:
    rank = call.spatial_rank
    kernel = tuple(call.attribute("kernel_shape"))
    strides, pads = tuple(call.attribute("strides", [1] * rank)), call.attribute("pads", [0] * 2 * rank)
    text = [w.use(call.x), str(kernel), f"strides={strides}"]
    if any(pads):
        text.append(f"padding={list(zip(pads[:rank], pads[rank:], strict=True))}")
    if call.kind == "AveragePool" and not call.attribute("count_include_pad", 0) and any(pads):
        text.append("count_include_pad=False")
    call.attribute("count_include_pad")
    name = "max_pool" if call.kind == "MaxPool" else "avg_pool"
    w.emit(call.y, f"nnx.{name}({', '.join(text)})", light=True)


def _norm(call: Call, w: Builder, callee: str, arguments: list[Argument], leaves: dict[str, str]) -> None:
    epsilon = keyword("epsilon", call.attribute("epsilon", 1e-5))
    # The fast variance, E[x²] − E[x]², loses its digits where the mean is large.
    slow = keyword("use_fast_variance", False)
    weights = [NativeWeight(leaf, call.weights[role]) for role, leaf in leaves.items() if role in call.weights]
    _call_layer(call, w, callee, [*arguments, epsilon, slow], weights)


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("momentum", call.attribute("momentum", 0.9)),
    ]
    w.in_training()
    _norm(
        call,
        w,
        "nnx.BatchNorm",
        arguments,
        {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"},
    )


@TABLE.rule("LayerNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "features"),
        keyword("epsilon", call.attribute("epsilon", 1e-5)),
    ]
    leaves = {"weight": "scale", "bias": "bias"}
    weights = [NativeWeight(leaf, call.weights[role]) for role, leaf in leaves.items() if role in call.weights]
    _call_layer(call, w, "LayerNorm", arguments, weights)


@TABLE.rule("RMSNormalization")
def rms_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "features"),
        keyword("epsilon", call.attribute("epsilon", 1e-5)),
    ]
    _call_layer(call, w, "nnx.RMSNorm", arguments, [NativeWeight("scale", call.weights["weight"])])


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("num_groups", call.attribute("num_groups")),
    ]
    _norm(call, w, "nnx.GroupNorm", arguments, {"weight": "scale", "bias": "bias"})


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    sizes = sizes_of(weight)
    count = math.prod(sizes)
    steps = () if len(sizes) == 1 else (reshape(sizes, (count,)),)
    _call_layer(call, w, "PReLU", [positional(count, "channels")], [NativeWeight("slope", weight, steps)])


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio = call.constant(1)
    rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
    call.attribute("seed")
    w.in_training()
    _call_layer(call, w, "nnx.Dropout", [positional(rate, "rate")], [])


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    entries, features = shape_of(call.weights["weight"])
    arguments = [positional(entries, "entries"), positional(features, "features")]
    _call_layer(call, w, "nnx.Embed", arguments, [NativeWeight("embedding", call.weights["weight"])])


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    lstm = call.kind == "RecurrentLSTM"
    hidden = call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    call.attribute("single_bias")
    call.attribute("linear_before_reset")
    size, callee = int(call.shape()[-1]), "LSTM" if lstm else "GRU"
    weights = _recurrent_weights(call, hidden, ["forward.", "backward."] if direction == "bidirectional" else [""])
    if direction == "bidirectional":
        arguments = [
            positional(Raw(f"{callee}({size}, {hidden}, rngs=rngs)"), "forward"),
            positional(Raw(f"{callee}({size}, {hidden}, reverse=True, rngs=rngs)"), "backward"),
        ]
        layer = w.layer("Bidirectional", arguments, weights)
    else:
        arguments = [positional(size, "in_features"), positional(hidden, "hidden_features")]
        layer = w.layer(callee, [*arguments, keyword("reverse", direction == "reverse", False)], weights)
    w.emit(call.outputs, f"{layer}({w.use(call.x)})")


def _recurrent_weights(call: Call, hidden: int, prefixes: list[str]) -> list[NativeWeight]:
    order = (0, 2, 3, 1) if call.kind == "RecurrentLSTM" else (1, 0, 2)  # i, o, f, c → i, f, g, o; z, r, h → r, z, n
    rows = len(order) * hidden
    weights = []
    for direction, prefix in enumerate(prefixes):
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "kernel"), ("hidden_weight", "recurrent_kernel")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
            weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,)))
        for half, leaf in enumerate(("bias", "recurrent_bias")):
            if half * rows < int(shape_of(call.weights["bias"])[1]):
                steps = (reshape((1, rows), (rows,)), blocks(0, order))
                index = (part, (half * rows, (half + 1) * rows))
                weights.append(NativeWeight(f"{prefix}{leaf}", call.weights["bias"], steps, index))
    return weights


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    heads = w.literal(call.attribute("q_num_heads"), "heads")
    call.attribute("kv_num_heads")
    causal = ", causal=True" if call.attribute("is_causal", 0) else ""
    query, key, value = (w.use(item) for item in call.inputs[:3])
    w.emit(call.y, f"attention({query}, {key}, {value}, {heads}{causal})", light=True)


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    exact = call.attribute("approximate", "none") == "none"
    w.emit(call.y, f"nnx.gelu({w.use(call.x)}, approximate={not exact})", light=True)


@TABLE.rule("LeakyRelu", "Elu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    alpha = w.literal(call.attribute("alpha", 0.01 if leaky else 1.0), "slope" if leaky else "alpha")
    w.emit(call.y, f"nnx.{'leaky_relu' if leaky else 'elu'}({w.use(call.x)}, {alpha})", light=True)


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6) and beta == 0.5:
        w.emit(call.y, f"nnx.hard_sigmoid({w.use(call.x)})", light=True, module="nnx.hard_sigmoid")
    else:
        w.emit(call.y, f"jnp.clip({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name = "softmax" if call.kind == "Softmax" else "log_softmax"
    axis = call.stored_axis(call.attribute("axis", -1))
    where = "" if axis == len(call.shape()) - 1 else f", axis={axis}"
    w.emit(call.y, f"nnx.{name}({w.use(call.x)}{where})", light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    call.attribute("axis")
    x = w.use(call.x)
    w.emit(call.y, f"{x}.reshape({x}.shape[0], -1)", light=False)


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    wanted = call.constant(1)
    assert wanted is not None
    sizes = [call.shape()[place] if size == 0 else int(size) for place, size in enumerate(wanted)]
    x = w.use(call.x)
    listed = ", ".join(
        f"{x}.shape[{place}]" if isinstance(size, str) else str(size) for place, size in enumerate(sizes)
    )
    w.emit(call.y, f"{x}.reshape({listed})", light=not any(isinstance(size, str) for size in sizes))


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    perm = call.attribute("perm", list(reversed(range(len(call.shape())))))
    before, after = order_of(call.x), order_of(call.y)
    moved = [before.index(perm[axis]) for axis in after]
    text = w.use(call.x)
    if moved != sorted(moved):
        text = f"{text}.transpose({', '.join(map(str, moved))})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    rank = len(shape_of(call.y))
    axes = [int(axis) % rank for axis in call.known(1).reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = sorted(order_of(call.y).index(axis) for axis in axes)
    order = [order_of(call.x).index(kept.index(axis)) for axis in order_of(call.y) if axis in kept]
    text = _moved(w.use(call.x), order)
    if places == [rank - 1]:
        w.emit(call.y, f"{text}[..., None]", light=True)
    else:
        w.emit(call.y, f"jnp.expand_dims({text}, {places[0] if len(places) == 1 else tuple(places)})", light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    rank = len(call.shape())
    axes = [int(axis) % rank for axis in call.known(1).reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = tuple(sorted(call.stored_axis(axis) for axis in axes))
    remaining = [axis for axis in order_of(call.x) if axis in kept]
    order = [remaining.index(kept[axis]) for axis in order_of(call.y)]
    w.emit(call.y, _moved(f"{w.use(call.x)}.squeeze({places[0] if len(places) == 1 else places})", order), light=True)


def _moved(text: str, order: list[int]) -> str:
    return text if order == sorted(order) else f"{text}.transpose({', '.join(map(str, order))})"


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    listed = ", ".join(w.use(value) for value in call.inputs)
    axis = call.stored_axis(call.attribute("axis"))
    w.emit(call.y, f"jnp.concatenate([{listed}], axis={_from_end(axis, len(call.shape()))})", light=True)


def _from_end(axis: int, rank: int) -> int:
    return -1 if axis == rank - 1 else axis


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    call.attribute("num_outputs")
    call.constant(1)
    sizes = [int(shape_of(value)[axis]) for value in call.outputs if value is not None]
    place = _from_end(call.stored_axis(axis), len(call.shape()))
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes) - 1)]
    parts = len(sizes) if len(set(sizes)) == 1 else ends
    w.emit(call.outputs, f"jnp.split({w.use(call.x)}, {parts}, axis={place})")


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
    w.emit(call.y, f"jnp.pad({w.use(call.x)}, {pairs}{more})", light=True)


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
    text = f"{w.use(call.x, 100)}.{name}(axis={where}{', keepdims=True' if keep else ''})"
    left = [axis for axis in order_of(call.x) if keep or axis not in axes]
    names = [axis for axis in range(rank) if keep or axis not in axes]
    order = [left.index(names[axis]) for axis in order_of(call.y)]
    w.emit(call.y, _moved(text, order), light=True)
