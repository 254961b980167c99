"""Dropout, and layers that do something in training only."""

from __future__ import annotations

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import Call, Value, layer
from assay.nn.tensor import Dim


def dropped(c: Call, x: Value, rate: float) -> Value:
    """x with single elements dropped in training."""
    form = x.forms[x.order]
    ratio = c.graph.constant(np.array(rate, dtype=np.float32))
    return Value(x.shape, x.dtype, {x.order: c.node("Dropout", [form, ratio], form.shape, x.dtype)})


@layer("Dropout")
def dropout(c: Call) -> Value:
    if c.arguments.get("training") is True:
        raise Untranslatable("it is active in evaluation (training=True)")
    shape = c.option("noise_shape")
    x, rate = c.x, float(c.option("rate"))
    if not rate or c.frozen:
        return x
    if shape is None:
        return dropped(c, x, rate)
    return _together(c, x, rate, [x.shape[axis] if size is None else size for axis, size in enumerate(shape)])


@layer("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def spatial_dropout(c: Call) -> Value:
    x, rate = c.x, float(c.option("rate"))
    if not rate or c.frozen:
        return x
    last = getattr(c.source, "data_format", "channels_last") != "channels_first"
    kept = (0, x.rank - 1) if last else (0, 1)
    return _together(c, x, rate, [size if axis in kept else 1 for axis, size in enumerate(x.shape)])


def _together(c: Call, x: Value, rate: float, shape: list[Dim]) -> Value:
    """Whole channels (or examples) dropped: x times ones of which some are dropped."""
    form = x.forms[x.order]
    stored = tuple(shape[axis] for axis in x.order)
    ones = c.node("Expand", [c.graph.constant(np.ones((1,) * x.rank, dtype=x.dtype)), c.vector(stored)], stored)
    ratio = c.graph.constant(np.array(rate, dtype=np.float32))
    kept = c.node("Dropout", [ones, ratio], stored, x.dtype)
    return Value(x.shape, x.dtype, {x.order: c.node("Mul", [form, kept], form.shape)})


@layer("GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")
def in_training_only(c: Call) -> Value:
    kind = type(c.source).__name__
    c.graph.note(f"{c.source.name}: {kind} does nothing in evaluation and is not brought")
    return c.x


@layer("Masking")
def masking(c: Call) -> Value:
    """Steps at which every feature has this value become zero; the mask itself is told to what follows."""
    x = c.x
    data = c.plain(x)
    other = c.node("Equal", [data, c.number(float(c.option("mask_value")), x.dtype)], data.shape, "bool")
    other = c.node("Not", [other], data.shape, "bool")
    flags = c.cast(c.wrap(other), x.dtype)
    shape = (*data.shape[:-1], 1)
    kept = c.node("ReduceMax", [c.plain(flags), c.integers([x.rank - 1])], shape, keepdims=1)
    return c.wrap(c.node("Mul", [data, kept], data.shape))
