"""Normalisation, by the batch, a sample, a group, a layer."""

from __future__ import annotations

import math

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, call_layer, emit_wanted, rank_of, targets
from assay.graph.calls import Call, has_unbiased_variance
from assay.model import constant_of, shape_of, sizes_of
from assay.write.body import Builder
from assay.write.table import NO_DEFAULT, NativeWeight, keyword, positional
from assay.write.weights import reshape

_ROLES = ("weight", "bias", "running_mean", "running_var")


def is_one_layer(call: Call) -> bool:
    """Whether a normalisation is a layer of torch's and nothing more."""
    axis, scale = call.attributes.get("axis", -1), call.weights.get("weight")
    if call.kind in ("LayerNormalization", "RMSNormalization"):
        return len([value for value in targets(call) if value is not None]) == 1 and _covers(call, scale, axis)
    if call.kind == "BatchNormalization":
        return not call.attributes.get("training_mode", 0) and call.x.shape is not None
    return True


@TABLE.rule("BatchNormalization", "FunctionalBatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    training = bool(call.attribute("training_mode", 0))
    epsilon, momentum = call.attribute("epsilon", 1e-5), call.attribute("momentum", 0.9)
    if training or not call.weights or call.x.shape is None:
        return _functional_batch_norm(call, w, training, epsilon, momentum)
    affine = not all(w.model.role(call.weights[role]) == "constant" for role in _ROLES[:2])
    weights = [NativeWeight(role, call.weights[role]) for role in (_ROLES if affine else _ROLES[2:])]
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("eps", epsilon, 1e-5),
        keyword("momentum", round(1 - momentum, 12), 0.1),
    ]
    if not affine and _is_neutral(call):
        arguments.append(keyword("affine", False, True))
    elif not affine:
        weights = [NativeWeight(role, call.weights[role]) for role in _ROLES]
    w.in_training()
    own = "nn." if has_unbiased_variance(call) else ""  # as torch's own layer averages it
    fixed = [
        name for role, number, name in (("weight", 1, "scale"), ("bias", 0, "offset")) if call.is_fixed(role, number)
    ]
    if len(fixed) == 1 and not own:
        own = "Partial"
        arguments.append(keyword(fixed[0], False))
    call_layer(call, w, f"{own}BatchNorm{max(call.spatial_rank, 1)}d", arguments, weights)


def _is_neutral(call: Call) -> bool:
    """Whether the scale is one and the offset is zero, and neither is trained."""
    scale, offset = (constant_of(call.weights[role]) for role in ("weight", "bias"))
    return scale is not None and offset is not None and bool((scale == 1).all() and not offset.any())


def _functional_batch_norm(call: Call, w: Builder, training: bool, epsilon: float, momentum: float) -> None:
    values = [call.weights.get(role) or call.inputs[place] for place, role in enumerate(_ROLES, 1)]
    scale, bias, mean, variance = (w.array(value) for value in values)
    x = w.array(call.x)
    if training:
        text = f"batch_norm_by_batch({x}, {scale}, {bias}, {mean}, {variance}, {momentum}, {epsilon})"
        return emit_wanted(w, targets(call), text, 3)
    w.emit(call.y, f"F.batch_norm({x}, {mean}, {variance}, {scale}, {bias}, eps={epsilon})", light=True)


@TABLE.rule("LayerNormalization", "FunctionalLayerNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    axis, epsilon = call.attribute("axis", -1), call.attribute("epsilon", 1e-5)
    call.attribute("stash_type")
    outputs = targets(call)
    while outputs and outputs[-1] is None:
        outputs.pop()
    scale = call.weights.get("weight") or call.inputs[1]
    bias = call.weights.get("bias") or call.computed(2)
    own = call.weights.get("weight")
    if len(outputs) == 1 and own is not None and not w.holds(own) and _covers(call, scale, axis):
        shape = shape_of(call.weights["weight"])
        weights = [NativeWeight(role, call.weights[role]) for role in ("weight", "bias") if role in call.weights]
        arguments = [
            positional(shape[0] if len(shape) == 1 else shape, "features"),
            keyword("eps", epsilon, 1e-5),
            keyword("bias", "bias" in call.weights, True),
        ]
        return call_layer(call, w, "nn.LayerNorm", arguments, weights)
    operands = [w.array(scale), None if bias is None else w.array(bias)]
    x = w.array(call.x)
    if len(outputs) == 1 and _covers(call, scale, axis):
        text = arguments_of(x, f"{x}.shape[{axis}:]", *operands, f"eps={epsilon}" if epsilon != 1e-5 else None)
        return w.emit(call.y, f"F.layer_norm({text})", light=True)
    emit_wanted(w, outputs, f"layer_norm_with_statistics({arguments_of(x, str(axis), str(epsilon), *operands)})", 3)


def _covers(call: Call, scale: ir.Value | None, axis: int) -> bool:
    """Whether the scale has the shape of what is normalised, as torch's layers want it."""
    if scale is None or call.x.shape is None or scale.shape is None:
        return False
    return shape_of(call.x)[axis:] == shape_of(scale)


@TABLE.rule("RMSNormalization", "FunctionalRMSNormalization")
def rms_norm(call: Call, w: Builder) -> None:
    axis, epsilon = call.attribute("axis", -1), call.attribute("epsilon", 1e-5)
    call.attribute("stash_type")
    scale = call.weights.get("weight") or call.inputs[1]
    if call.weights and _covers(call, scale, axis):
        shape = shape_of(call.weights["weight"])
        arguments = [
            positional(shape[0] if len(shape) == 1 else shape, "features"),
            keyword("eps", epsilon, NO_DEFAULT),
        ]
        return call_layer(call, w, "nn.RMSNorm", arguments, [NativeWeight("weight", call.weights["weight"])])
    x = w.array(call.x)
    if _covers(call, scale, axis):
        w.emit(call.y, f"F.rms_norm({x}, {x}.shape[{axis}:], {w.array(scale)}, {epsilon})", light=True)
    else:
        w.emit(call.y, f"F.rms_norm({x}, {x}.shape[{axis}:], eps={epsilon}) * {w.array(scale, 21)}", precedence=20)


@TABLE.rule("GroupNormalization", "FunctionalGroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    groups, epsilon = call.attribute("num_groups"), call.attribute("epsilon", 1e-5)
    call.attribute("stash_type")
    if not call.weights:
        operands = arguments_of(w.array(call.x), str(groups), *(w.array(value) for value in call.inputs[1:3]))
        more = f", eps={epsilon}" if epsilon != 1e-5 else ""
        return w.emit(call.y, f"F.group_norm({operands}{more})", light=True)
    arguments = [
        positional(groups, "groups"),
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("eps", epsilon, 1e-5),
    ]
    call_layer(call, w, "nn.GroupNorm", arguments, [NativeWeight(role, value) for role, value in call.weights.items()])


@TABLE.rule("InstanceNormalization", "FunctionalInstanceNormalization")
def instance_norm(call: Call, w: Builder) -> None:
    epsilon = call.attribute("epsilon", 1e-5)
    rank = rank_of(call.x)
    if call.weights and rank in (3, 4, 5):
        arguments = [
            positional(shape_of(call.weights["weight"])[0], "channels"),
            keyword("eps", epsilon, 1e-5),
            keyword("affine", True, False),
        ]
        weights = [NativeWeight(role, value) for role, value in call.weights.items()]
        return call_layer(call, w, f"nn.InstanceNorm{rank - 2}d", arguments, weights)
    scale = call.weights.get("weight") or call.inputs[1]
    bias = call.weights.get("bias") or call.inputs[2]
    more = f", eps={epsilon}" if epsilon != 1e-5 else ""
    text = f"F.instance_norm({w.array(call.x)}, weight={w.array(scale)}, bias={w.array(bias)}{more})"
    w.emit(call.y, text, light=True)


def is_one_slope(call: Call) -> bool:
    """Whether torch's layer has these slopes: one, or one for each channel, the second axis."""
    sizes, rank = sizes_of(call.weights["weight"]), rank_of(call.x)
    count = math.prod(sizes)
    aligned = rank is not None and len(sizes) == rank - 1 and sizes[0] == count
    return count == 1 or len(call.nodes) == 2 or aligned


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    sizes = sizes_of(weight)
    count = math.prod(sizes)
    if is_one_slope(call):
        steps = () if len(sizes) == 1 else (reshape(sizes, (count,)),)
        return call_layer(call, w, "nn.PReLU", [positional(count, "channels")], [NativeWeight("weight", weight, steps)])
    x = w.array(call.x)
    w.emit(call.y, f"torch.where({w.array(call.x, 3)} < 0, {w.array(weight, 20)} * {w.array(call.x, 21)}, {x})")


@TABLE.rule("LRN")
def local_response_norm(call: Call, w: Builder) -> None:
    size, bias = call.attribute("size"), call.attribute("bias", 1.0)
    alpha, beta = call.attribute("alpha", 0.0001), call.attribute("beta", 0.75)
    if size % 2:
        text = f"F.local_response_norm({w.use(call.x)}, {size}, {alpha}, {beta}, {bias})"
        return w.emit(call.y, text, light=True, module=f"nn.LocalResponseNorm({size}, {alpha}, {beta}, {bias})")
    w.emit(call.y, f"normalise_over_channels({w.use(call.x)}, {size}, {alpha}, {beta}, {bias})", light=True)


@TABLE.rule("LpNormalization")
def lp_normalisation(call: Call, w: Builder) -> None:
    power, axis = call.attribute("p", 2), call.attribute("axis", -1)
    options = arguments_of(f"p={power}" if power != 2 else None, f"dim={axis}" if axis != 1 else None)
    w.emit(call.y, f"F.normalize({arguments_of(w.array(call.x), options)})", light=True)
