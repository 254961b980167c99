"""TensorFlow's lowering table: normalisation."""

from __future__ import annotations

import numpy as np

from assay.frameworks.tensorflow.common import (
    TABLE,
    are_layers,
    arranged,
    axis_of,
    call_layer,
    in_order,
    operand,
    rank_of,
    refuse,
    written,
)
from assay.frameworks.tensorflow.rules.spatial import channels_last, emit_channels_last
from assay.graph.calls import Call, has_unbiased_variance
from assay.graph.layout import order_of
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, keyword, positional
from assay.write.weights import reshape


def _call_on_channels(
    call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]
) -> None:
    """A layer that takes channels last, wherever the graph has put them."""
    rank = rank_of(call.x)
    if rank is None:
        raise refuse(call, "a number of axes that is not known")
    if rank < 3:
        call_layer(call, w, callee, arguments, weights)
        return
    training = ", training=training" if call.kind == "BatchNormalization" else ""
    text = f"{w.layer(callee, arguments, weights)}({channels_last(call, w, rank)}{training})"
    emit_channels_last(call, w, text, rank)


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    names = {"weight": "scale", "bias": "offset", "running_mean": "moving_mean", "running_var": "moving_variance"}
    weights = [NativeWeight(leaf, call.weights[role]) for role, leaf in names.items()]
    if call.attribute("training_mode", 0) or not are_layers(call):
        _normalise_batch(call, w, [w.array(call.weights[role], stored=False) for role in names])
        return
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("momentum", call.attribute("momentum", 0.9), 0.9),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-5),
    ]
    w.in_training()
    fixed = [
        (name, call.is_fixed(role, number)) for role, number, name in (("weight", 1, "scale"), ("bias", 0, "offset"))
    ]
    callee = "UnbiasedBatchNorm" if has_unbiased_variance(call) else "BatchNorm"
    if callee == "BatchNorm" and any(is_fixed for _, is_fixed in fixed):
        callee = "PartialBatchNorm"
        arguments += [keyword(name, False) for name, is_fixed in fixed if is_fixed]
    _call_on_channels(call, w, callee, arguments, weights)


def _normalise_batch(call: Call, w: Builder, operands: list[str]) -> None:
    """Batch normalisation as a function; in training it gives the new running statistics too."""
    rank, epsilon = rank_of(call.x), call.attribute("epsilon", 1e-5)
    momentum, training = call.attribute("momentum", 0.9), bool(call.attribute("training_mode", 0))
    if rank is None:
        raise refuse(call, "a number of axes that is not known")
    scale, offset, mean, variance = operands
    x = channels_last(call, w, rank) if rank > 2 else w.use(call.x)
    if training:
        text = written("normalize_batch", x, *operands, epsilon=epsilon, momentum=momentum)
        results = [w.temporary("y"), call.wanted(1), call.wanted(2)]
        w.emit(results, text)
        text = w.use(results[0])
    else:
        text = f"tf.nn.batch_normalization({x}, {mean}, {variance}, {offset}, {scale}, {epsilon})"
    emit_channels_last(call, w, text, rank) if rank > 2 else w.emit(call.y, text, light=True)


@TABLE.rule("FunctionalBatchNormalization")
def computed_batch_norm(call: Call, w: Builder) -> None:
    _normalise_batch(call, w, [in_order(value, w) for value in call.inputs[1:5] if value is not None])


@TABLE.rule("InstanceNormalization", "FunctionalInstanceNormalization")
def instance_norm(call: Call, w: Builder) -> None:
    """Per example and channel, over all places."""
    rank, epsilon = rank_of(call.x), call.attribute("epsilon", 1e-5)
    if rank is None or rank < 3:
        raise refuse(call, "a number of axes that is not known")
    values = call.weights.values() if call.weights else call.inputs[1:3]
    operands = [w.array(value, stored=False) if call.weights else in_order(value, w) for value in values]  # type: ignore[arg-type]
    emit_channels_last(
        call, w, written("normalize_places", channels_last(call, w, rank), *operands, epsilon=epsilon), rank
    )


@TABLE.rule("FunctionalGroupNormalization")
def computed_group_norm(call: Call, w: Builder) -> None:
    operands = [in_order(call.x, w), operand(call, 1, w), operand(call, 2, w)]
    groups, epsilon = call.attribute("num_groups"), call.attribute("epsilon", 1e-5)
    call.attribute("stash_type", 1)
    rank = rank_of(call.x)
    text = written("normalize_groups", *operands, str(groups), epsilon=epsilon)
    if rank is not None and call.y.shape is not None:
        text = arranged(text, range(rank), order_of(call.y))
    w.emit(call.y, text)


def _plain_layer(call: Call) -> bool:
    """Whether a layer normalises the last axis only and gives nothing else."""
    rank = rank_of(call.x)
    last = rank is not None and call.attribute("axis", -1) % rank == rank - 1
    return last and len(call.outputs) == 1 and (call.kind == "RMSNormalization" or "bias" in call.weights)


@TABLE.rule("LayerNormalization", "RMSNormalization", "FunctionalLayerNormalization", "FunctionalRMSNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    kind = call.kind.removeprefix("Functional")
    layer, epsilon, axis = kind == "LayerNormalization", call.attribute("epsilon", 1e-5), call.attribute("axis", -1)
    call.attribute("stash_type", 1)
    if call.weights and _plain_layer(call):
        weights = [NativeWeight("scale", call.weights["weight"])]
        weights += [NativeWeight("offset", call.weights["bias"])] if layer else []
        size = shape_of(call.weights["weight"])[-1]
        if tuple(shape_of(call.weights["weight"])) == (size,) and are_layers(call):
            arguments = [positional(size, "features"), keyword("epsilon", epsilon, 1e-5)]
            call_layer(call, w, "LayerNorm" if layer else "RMSNorm", arguments, weights)
            return
    if call.weights:
        operands = [w.array(call.weights[role], stored=False) for role in ("weight", "bias") if role in call.weights]
    else:
        operands = [in_order(value, w) for value in call.inputs[1:3] if value is not None]
    name = "normalize_layer" if layer else "normalize_by_rms"
    text = written(name, in_order(call.x, w), *operands, axis=None if axis == -1 else axis, epsilon=epsilon)
    if layer and (call.wanted(1) is not None or call.wanted(2) is not None):
        w.emit([call.wanted(place) for place in range(3)], text)
    else:
        w.emit(call.y, f"{text}[0]" if layer else text, light=True)


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type", 1)
    if not are_layers(call) or rank_of(call.x) is None:
        computed_group_norm(call, w)
        return
    arguments = [
        positional(call.attribute("num_groups"), "groups"),
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-5),
    ]
    weights = [NativeWeight("scale", call.weights["weight"]), NativeWeight("offset", call.weights["bias"])]
    _call_on_channels(call, w, "GroupNorm", arguments, weights)


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    shape = [int(size) for size in shape_of(weight)]
    count = int(np.prod(shape))
    by_channel = count == 1 or (
        rank_of(call.x) is not None
        and count == call.shape()[1]
        and tuple(shape) in _channel_shapes(count, call.shape())
    )
    if not by_channel or not are_layers(call):
        slope = w.array(weight)
        w.emit(call.y, f"tf.where({w.use(call.x, 5)} >= 0, {w.use(call.x)}, {slope} * {w.use(call.x, 20)})", light=True)
        return
    steps = () if len(shape) == 1 else (reshape(shape, (count,)),)
    write_layer = call_layer if count == 1 else _call_on_channels
    write_layer(call, w, "PReLU", [positional(count, "channels")], [NativeWeight("slope", weight, steps)])


def _channel_shapes(count: int, shape: tuple[int | str, ...]) -> list[tuple[int, ...]]:
    """How a slope for each channel looks; a plain row of them stands at the last axis unless its module says otherwise."""
    ones = (1,) * (len(shape) - 2)
    return [(count, *ones), (1, count, *ones), (count,)]


@TABLE.rule("FunctionalPRelu")
def computed_prelu(call: Call, w: Builder) -> None:
    x, slope = call.x, call.inputs[1]
    assert slope is not None
    text = in_order(slope, w)
    order = order_of(x)
    if list(order) != sorted(order):
        shape = [1] * (len(order) - len(shape_of(slope))) + [size for size in shape_of(slope)]
        text = f"tf.transpose(tf.reshape({text}, {tuple(shape)}), {order})" if len(shape_of(slope)) else text
    w.emit(call.y, f"tf.where({w.use(x, 5)} >= 0, {w.use(x)}, {text} * {w.use(x, 20)})", light=True)


@TABLE.rule("LRN")
def local_response(call: Call, w: Builder) -> None:
    options = {"alpha": (1e-4, "alpha"), "beta": (0.75, "beta"), "bias": (1.0, "bias")}
    given = {name: call.attribute(name, default) for name, (default, _) in options.items()}
    w.emit(call.y, written("normalize_neighbours", in_order(call.x, w), str(call.attribute("size")), **given))


@TABLE.rule("LpNormalization")
def lp_normalisation(call: Call, w: Builder) -> None:
    axis, power = axis_of(call, call.attribute("axis", -1)), call.attribute("p", 2)
    w.emit(call.y, f"normalize_lp({w.array(call.x)}, {axis}, {power})", light=True)
