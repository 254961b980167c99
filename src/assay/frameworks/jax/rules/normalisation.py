"""Normalisation."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import (
    TABLE,
    call_layer,
    channels_axis_last,
    options,
    rank_of,
    weight_or_input,
    weights_named,
)
from assay.graph.calls import Call, has_unbiased_variance
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import Argument, keyword, positional


def _norm(call: Call, w: Builder, callee: str, arguments: list[Argument], leaves: dict[str, str]) -> None:
    epsilon = keyword("epsilon", call.attribute("epsilon", 1e-5))
    # The fast variance, E[x²] − E[x]², loses its digits where the mean is large.
    slow = keyword("use_fast_variance", False)
    call_layer(call, w, callee, [*arguments, epsilon, slow], weights_named(call, leaves))


def _with_weights(call: Call, w: Builder, roles: tuple[str, ...]) -> str:
    """The data and the weights, as functions of this family take them."""
    found = [weight_or_input(call, w, slot, role) for slot, role in enumerate(roles, 1)]
    return ", ".join([w.use(call.x), *(text or "None" for text in found)]).removesuffix(", None")


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    if call.attribute("training_mode", 0) or rank_of(call.x) is None or len(call.outputs) > 1 or _first(call):
        functional_batch_norm(call, w)
        return
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("momentum", call.attribute("momentum", 0.9)),
    ]
    w.in_training()
    leaves = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    arguments.append(keyword("epsilon", call.attribute("epsilon", 1e-5)))
    for role, number in (("weight", 1), ("bias", 0)):
        if call.is_fixed(role, number):
            arguments.append(keyword(f"use_{leaves.pop(role)}", False))
    callee = "UnbiasedBatchNorm" if has_unbiased_variance(call) else "BatchNorm"
    call_layer(call, w, callee, arguments, weights_named(call, leaves))


def _first(call: Call) -> bool:
    """Whether the channels stand before other axes in the stored data."""
    return (rank_of(call.x) or 0) > 2 and not channels_axis_last(call)


@TABLE.rule("FunctionalBatchNormalization")
def functional_batch_norm(call: Call, w: Builder) -> None:
    training, momentum = call.attribute("training_mode", 0), call.attribute("momentum", 0.9)
    given = _with_weights(call, w, ("weight", "bias", "running_mean", "running_var"))
    axis = None if rank_of(call.x) == 2 or channels_axis_last(call) else 1
    more = f", {call.attribute('epsilon', 1e-5)}{options(axis=axis)}"
    if training:
        w.emit(
            [*call.outputs, *[None] * (3 - len(call.outputs))],
            f"batch_norm_training({given}{more}, momentum={momentum})",
        )
    else:
        w.emit(call.y, f"batch_norm({given}{more})")


@TABLE.rule("LayerNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    weight = call.weights["weight"]
    axis, rank = call.attribute("axis", -1), rank_of(call.x)
    last = axis == -1 or (rank is not None and axis == rank - 1)
    if not last or rank_of(weight) != 1 or len([value for value in call.outputs if value is not None]) > 1:
        functional_layer_norm(call, w)
        return
    arguments = [
        positional(shape_of(weight)[0], "features"),
        keyword("epsilon", call.attribute("epsilon", 1e-5)),
        keyword("use_bias", "bias" in call.weights, True),
    ]
    call_layer(call, w, "LayerNorm", arguments, weights_named(call, {"weight": "scale", "bias": "bias"}))


@TABLE.rule("FunctionalLayerNormalization")
def functional_layer_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    axis, epsilon = call.attribute("axis", -1), call.attribute("epsilon", 1e-5)
    given = _with_weights(call, w, ("weight", "bias"))
    more = options(axis=None if axis == -1 else axis, epsilon=None if epsilon == 1e-5 else epsilon)
    if len([value for value in call.outputs if value is not None]) == 1 and call.outputs[0] is not None:
        w.emit(call.y, f"layer_norm({given}{more})[0]", light=True)
    else:
        w.emit([*call.outputs, *[None] * (3 - len(call.outputs))], f"layer_norm({given}{more})")


@TABLE.rule("RMSNormalization")
def rms_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    weight = call.weights["weight"]
    axis, rank = call.attribute("axis", -1), rank_of(call.x)
    if not (axis == -1 or (rank is not None and axis == rank - 1)) or rank_of(weight) != 1:
        functional_rms_norm(call, w)
        return
    arguments = [
        positional(shape_of(weight)[0], "features"),
        keyword("epsilon", call.attribute("epsilon", 1e-5)),
    ]
    call_layer(call, w, "nnx.RMSNorm", arguments, weights_named(call, {"weight": "scale"}))


@TABLE.rule("FunctionalRMSNormalization")
def functional_rms_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    axis, epsilon = call.attribute("axis", -1), call.attribute("epsilon", 1e-5)
    more = options(axis=None if axis == -1 else axis, epsilon=None if epsilon == 1e-5 else epsilon)
    w.emit(call.y, f"rms_norm({_with_weights(call, w, ('weight',))}{more})", light=True)


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    if rank_of(call.x) is None or _first(call):
        functional_group_norm(call, w)
        return
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("num_groups", call.attribute("num_groups")),
    ]
    _norm(call, w, "nnx.GroupNorm", arguments, {"weight": "scale", "bias": "bias"})


@TABLE.rule("FunctionalGroupNormalization")
def functional_group_norm(call: Call, w: Builder) -> None:
    call.attribute("stash_type")
    axis = None if channels_axis_last(call) or rank_of(call.x) == 2 else 1
    more = f", {call.attribute('num_groups')}, {call.attribute('epsilon', 1e-5)}{options(axis=axis)}"
    w.emit(call.y, f"group_norm({_with_weights(call, w, ('weight', 'bias'))}{more})", light=True)


@TABLE.rule("InstanceNormalization")
def instance_norm(call: Call, w: Builder) -> None:
    if rank_of(call.x) is None or _first(call):
        functional_instance_norm(call, w)
        return
    _norm(
        call,
        w,
        "nnx.InstanceNorm",
        [positional(shape_of(call.weights["weight"])[0], "channels")],
        {"weight": "scale", "bias": "bias"},
    )


@TABLE.rule("FunctionalInstanceNormalization")
def functional_instance_norm(call: Call, w: Builder) -> None:
    """Each channel is a group of its own."""
    scale = weight_or_input(call, w, 1, "weight")
    axis = None if channels_axis_last(call) or rank_of(call.x) == 2 else 1
    more = f", {scale}.size, {call.attribute('epsilon', 1e-5)}{options(axis=axis)}"
    w.emit(call.y, f"group_norm({_with_weights(call, w, ('weight', 'bias'))}{more})", light=True)


@TABLE.rule("LpNormalization")
def lp_norm(call: Call, w: Builder) -> None:
    axis, p = call.attribute("axis", -1), call.attribute("p", 2)
    x = w.array(call.x)
    norm = w.temporary("norm")
    function = f"jnp.abs({x}).sum(" if p == 1 else f"jnp.linalg.norm({x}, "
    w.emit(norm, f"{function}axis={axis}, keepdims=True)")
    divisor = w.use(norm)  # what is zero stays zero
    w.emit(call.y, f"jnp.where({divisor} == 0, 0, {x} / jnp.where({divisor} == 0, 1, {divisor}))")
