"""Normalisations, and layers that scale."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, moved, rank_of, typed, vector
from assay.graph.calls import Call, drops_examples, has_unbiased_variance
from assay.graph.layout import order_of
from assay.model import constant_of, shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, keyword, positional
from assay.write.weights import reshape

_LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _weights(call: Call) -> list[NativeWeight]:
    return [NativeWeight(_LEAVES[role], value) for role, value in call.weights.items()]


def _call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, [*arguments, *typed(call)], weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


def _trains(call: Call) -> bool:
    """Whether a batch normalisation gives the statistics of this very batch, as training forms of files do."""
    return bool(call.attributes.get("training_mode", 0))


def _in_evaluation(call: Call) -> bool:
    return not _trains(call) and rank_of(call.x) is not None


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    momentum, epsilon = call.attribute("momentum", 0.9), call.attribute("epsilon", 1e-5)
    if not _in_evaluation(call):
        _batch_norm_function(call, w, [vector(call, w, call.weights[role]) for role in _LEAVES], momentum, epsilon)
        return
    call.attribute("training_mode")
    arguments = [
        keyword("momentum", momentum, 0.99),
        keyword("epsilon", epsilon, 1e-3),
        keyword("center", not call.is_fixed("bias", 0), True),
        keyword("scale", not call.is_fixed("weight", 1), True),
        *typed(call),
    ]
    w.in_training()
    callee = "UnbiasedBatchNormalization" if has_unbiased_variance(call) else "layers.BatchNormalization"
    absent = [
        leaf for role, number, leaf in (("weight", 1, "gamma"), ("bias", 0, "beta")) if call.is_fixed(role, number)
    ]
    layer = w.layer(callee, arguments, [weight for weight in _weights(call) if weight.leaf not in absent])
    w.emit(call.y, f"{layer}({w.use(call.x)}, training=training)", light=True)


@TABLE.rule("FunctionalBatchNormalization")
def functional_batch_norm(call: Call, w: Builder) -> None:
    momentum, epsilon = call.attribute("momentum", 0.9), call.attribute("epsilon", 1e-5)
    _batch_norm_function(call, w, [vector(call, w, value) for value in call.inputs[1:5]], momentum, epsilon)


def _batch_norm_function(call: Call, w: Builder, operands: list[str], momentum: float, epsilon: float) -> None:
    trains = call.attribute("training_mode", 0)
    axis = call.stored_axis(1) if rank_of(call.x) is not None else 1
    rank = rank_of(call.x)
    where = "" if rank is not None and axis == rank - 1 else f", axis={axis}"
    listed = ", ".join([w.use(call.x), *operands])
    if trains:
        outputs = [*call.outputs, None, None][:3]
        w.emit(outputs, f"batch_norm_in_training({listed}, {momentum}, {epsilon}{where})")
    else:
        w.emit(call.y, f"batch_norm({listed}, {epsilon}{where})", light=True)


def _last_axis(call: Call) -> bool:
    """Whether Keras' layer normalises what this operator does: the last axis, and nothing but its result is wanted."""
    rank, axis = rank_of(call.x), call.attributes.get("axis", -1)
    plain = rank is not None and rank >= 2 and axis in (-1, rank - 1)
    typed = call.attributes.get("stash_type", 1) == 1
    return plain and typed and call.wanted(1) is None and call.wanted(2) is None and str(call.x.dtype) == "FLOAT"


@TABLE.rule("LayerNormalization", when=_last_axis)
def layer_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    call.attribute("stash_type")
    arguments = [
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-3),
        keyword("center", "bias" in call.weights, True),
    ]
    _call_layer(call, w, "layers.LayerNormalization", arguments, _weights(call))


@TABLE.rule("RMSNormalization", when=_last_axis)
def rms_norm(call: Call, w: Builder) -> None:
    call.attribute("axis")
    call.attribute("stash_type")
    arguments = [keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-6)]
    _call_layer(call, w, "layers.RMSNormalization", arguments, [NativeWeight("scale", call.weights["weight"])])


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    arguments = [
        positional(call.attribute("num_groups"), "groups"),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-3),
    ]
    _call_layer(call, w, "layers.GroupNormalization", arguments, _weights(call))


@TABLE.rule("InstanceNormalization")
def instance_norm(call: Call, w: Builder) -> None:
    epsilon = call.attribute("epsilon", 1e-5)
    arguments = [positional(-1, "groups"), keyword("epsilon", epsilon, 1e-3)]
    _call_layer(call, w, "layers.GroupNormalization", arguments, _weights(call))


@TABLE.rule("FunctionalInstanceNormalization")
def functional_instance_norm(call: Call, w: Builder) -> None:
    listed = ", ".join([w.use(call.x), *(vector(call, w, value) for value in call.inputs[1:3])])
    w.emit(call.y, f"instance_norm({listed}, {call.attribute('epsilon', 1e-5)})", light=True)


@TABLE.rule("LRN")
def local_response(call: Call, w: Builder) -> None:
    size = call.attribute("size")
    names = (("alpha", 0.0001), ("beta", 0.75), ("bias", 1.0))
    more = ", ".join(repr(call.attribute(name, usual)) for name, usual in names)
    w.emit(call.y, f"local_response_norm({w.array(call.x)}, {size}, {more})", light=True)


def _per_channel(call: Call) -> bool:
    """Whether a slope is one number, or one for each channel."""
    array = constant_of(call.weights["weight"])
    rank = rank_of(call.x)
    if array is None or rank is None or rank < 2:
        return False
    full = (1,) * (rank - array.ndim) + array.shape
    channels = shape_of(call.x)[1]
    rest = all(size == 1 for axis, size in enumerate(full) if axis != 1)
    return array.ndim <= rank and rest and full[1] == channels and (array.ndim >= rank - 1 or rank == 2)


@TABLE.rule("PRelu", when=lambda call: len(call.nodes) > 1 or _per_channel(call))
def prelu(call: Call, w: Builder) -> None:
    array = constant_of(call.weights["weight"])
    assert array is not None
    shared = list(range(1, len(call.shape()) - 1))
    native = (*[1] * len(shared), array.size)
    steps = () if array.shape == native else (reshape(array.shape, native),)
    arguments = [keyword("shared_axes", shared)] if shared else []
    _call_layer(call, w, "layers.PReLU", arguments, [NativeWeight("alpha", call.weights["weight"], steps)])


@TABLE.rule("FunctionalPRelu")
def functional_prelu(call: Call, w: Builder) -> None:
    slope = call.inputs[1]
    assert slope is not None
    x = w.array(call.x)
    text = w.array(slope)
    rank = rank_of(call.x)
    if rank is not None and not slope.is_initializer() and order_of(call.x) != tuple(range(rank)):
        here = len(shape_of(slope))
        if here < rank:
            text = f"ops.reshape({text}, (*[1] * {rank - here}, *ops.shape({text})))"
        text = moved(text, order_of(call.x))
    w.emit(call.y, f"ops.where({x} < 0, {text} * {x}, {x})", light=True)


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio, mode = call.constant(1), call.constant(2)
    seed = call.attribute("seed")
    computed = call.computed(1) is not None or call.computed(2) is not None
    mask = call.wanted(1)
    if mode is None and not computed and mask is None:
        rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
        w.in_training()
        arguments = [positional(rate, "rate")]
        if drops_examples(call):
            arguments.append(keyword("noise_shape", (None, *[1] * (len(shape_of(call.x)) - 1))))
        layer = w.layer("layers.Dropout", [*arguments, *typed(call)])
        w.emit(call.y, f"{layer}({w.use(call.x)}, training=training)", light=True)
        return
    # A file that says itself whether it trains.
    rate_text = "0.5" if ratio is None and call.computed(1) is None else _number(call, w, 1)
    trains = "False" if mode is None and call.computed(2) is None else _number(call, w, 2)
    more = "" if seed is None else f", seed={int(seed)}"
    w.emit([call.y, mask], f"dropout_with_mask({w.use(call.x)}, {rate_text}, {trains}{more})")


def _number(call: Call, w: Builder, slot: int) -> str:
    known = call.constant(slot)
    return repr(known.reshape(-1)[0].item()) if known is not None else f"numbers_of({w.array(call.computed(slot))})[0]"
