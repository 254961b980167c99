"""Normalisation: by the batch, a layer, a group."""

from __future__ import annotations

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, known
from assay.model import VARIANCE
from assay.nn.tensor import Tensor


@aten("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm")
def batch_norm(c: Call) -> Result:
    if c.get("training", False):
        raise Untranslatable("statistics of the batch are used in evaluation (track_running_stats=False)")
    x = c.tensor("input")
    channels = known(x.shape[1], "batch normalisation")
    names = ("weight", "bias", "running_mean", "running_var")
    operands = [c.optional(name) for name in names]
    for place, fill in ((0, 1.0), (1, 0.0)):
        if operands[place] is None:  # affine=False: a scale and an offset that are not trained
            operands[place] = c.tracer.constant(np.full(channels, fill, c.dtype))
            c.tracer.note(
                "no scale or offset is trained here (affine=False); code for other frameworks than PyTorch has them"
            )
    if operands[2] is None or operands[3] is None:
        raise Untranslatable("there are no running statistics")
    momentum = 1 - c["momentum"]
    y = c.result("BatchNormalization", [x, *operands], epsilon=float(c["eps"]), momentum=float(np.round(momentum, 12)))
    c.tracer.mark(y, VARIANCE, "unbiased")
    return y


@aten("layer_norm")
def layer_norm(c: Call) -> Result:
    x, weight, bias = c.tensor("input"), c.optional("weight"), c.optional("bias")
    axes = len(c["normalized_shape"])
    sizes = tuple(known(size, "layer normalisation") for size in x.shape[x.rank - axes :])
    if weight is None:
        weight = c.tracer.constant(np.ones(sizes, c.dtype))
    given = [x, weight] if bias is None else [x, weight, bias]
    return c.result("LayerNormalization", given, axis=-axes, epsilon=float(c["eps"]))


@aten("rms_norm")
def rms_norm(c: Call) -> Result:
    x, weight = c.tensor("input"), c.optional("weight")
    axes, eps = len(c["normalized_shape"]), c["eps"]
    if weight is None:
        weight = c.tracer.constant(np.ones([known(size, "rms_norm") for size in x.shape[x.rank - axes :]], c.dtype))
    # Without an epsilon torch takes the smallest step of the type.
    epsilon = float(np.finfo(c.dtype).eps) if eps is None else float(eps)
    return c.result("RMSNormalization", [x, weight], axis=-axes, epsilon=epsilon)


@aten("group_norm")
def group_norm(c: Call) -> Result:
    x = c.tensor("input")
    given = _scale_and_offset(c, x)
    return c.result("GroupNormalization", [x, *given], num_groups=c["num_groups"], epsilon=float(c["eps"]))


@aten("instance_norm")
def instance_norm(c: Call) -> Result:
    x = c.tensor("input")
    if not c["use_input_stats"]:
        raise Untranslatable("running statistics of single examples")
    return c.result("InstanceNormalization", [x, *_scale_and_offset(c, x)], epsilon=float(c["eps"]))


def _scale_and_offset(c: Call, x: Tensor) -> list[Tensor]:
    channels = known(x.shape[1], "normalisation")
    weight, bias = c.optional("weight"), c.optional("bias")
    return [
        c.tracer.constant(np.full(channels, fill, c.dtype)) if given is None else given
        for given, fill in ((weight, 1.0), (bias, 0.0))
    ]


@aten("linalg_vector_norm", "norm")
def vector_norm(c: Call) -> Result:
    x = c.operand("self")
    order = c.get("ord", c.get("p", 2))
    if order not in (1, 2):
        raise Untranslatable(f"a norm of order {order}")
    axes = c.get("dim")
    listed = [axes] if isinstance(axes, int) else list(axes or range(x.rank))
    keep = int(bool(c.get("keepdim", False)))
    return c.result(f"ReduceL{int(order)}", [x, c.integers([axis % x.rank for axis in listed])], keepdims=keep)


@aten("_weight_norm")
def weight_norm(c: Call) -> Result:
    v, g, axis = c.tensor("v"), c.tensor("g"), c["dim"]
    others = [place for place in range(v.rank) if place != axis % v.rank]
    norm = c.node("ReduceL2", [v, c.integers(others)], g.shape, keepdims=1)
    return c.result("Mul", [v, c.node("Div", [g, norm], g.shape)])
