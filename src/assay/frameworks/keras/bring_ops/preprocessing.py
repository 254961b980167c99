"""Layers that prepare data: scales, known statistics, sizes of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.arithmetic import combine
from assay.frameworks.keras.bring_ops.common import Call, Value, channels, known, layer, operation

_MODES = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}


@layer("Rescaling")
def rescaling(c: Call) -> Value:
    """x · scale + offset."""
    x = c.cast(c.x, c.dtype)
    for name, op_type, nothing in (("scale", "Mul", 1.0), ("offset", "Add", 0.0)):
        array = np.asarray(c.option(name), dtype=np.float64)
        if not np.all(array == nothing):
            x = combine(c, op_type, x, _numbers(c, array, x))
    return x


def _numbers(c: Call, array: np.ndarray, x: Value) -> Value:
    if array.ndim == 0 or array.size == 1:
        return c.constant_like(float(array.reshape(())), x)
    return c.constant(array.astype(x.dtype))


@layer("Normalization")
def normalization(c: Call) -> Value:
    """(x − mean) / max(√variance, a small number), with statistics that were gathered before."""
    x = c.cast(c.x, c.dtype)
    mean, variance = (_statistic(c, name) for name in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if c.option("invert"):
        return combine(c, "Add", combine(c, "Mul", x, _numbers(c, deviation, x)), _numbers(c, mean, x))
    return combine(c, "Div", combine(c, "Sub", x, _numbers(c, mean, x)), _numbers(c, deviation, x))


def _statistic(c: Call, name: str) -> np.ndarray:
    found = c.option(name)
    found = getattr(found, "value", found)
    if hasattr(found, "detach"):
        found = found.detach().cpu()
    array = np.asarray(found, dtype=np.float64)
    return array.reshape(array.shape[-1]) if array.size == array.shape[-1] else array


@layer("Resizing")
def resizing(c: Call) -> Value:
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if getattr(c.source, option, False):
            raise Untranslatable(option)
    return resize(c, c.cast(c.x, c.dtype), (c.option("height"), c.option("width")), c.option("interpolation"))


@operation("Resize")
def resize_operation(c: Call) -> Value:
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if getattr(c.source, option, False):
            raise Untranslatable(option)
    return resize(c, c.x, c.option("size"), c.option("interpolation"))


def resize(c: Call, x: Value, sizes: Sequence[int], interpolation: str, **more: Any) -> Value:
    """An image of another size, sampled at the middles of its places."""
    if interpolation not in _MODES:
        raise Untranslatable(f"interpolation={interpolation!r}")
    if x.rank < 3:
        raise Untranslatable("an image without a batch axis")
    order = channels(c, x)
    data = c.in_order(x, order)
    wanted = [int(size) for size in sizes]
    if wanted == list(data.shape[2:]):
        return x
    attributes: dict[str, Any] = {"mode": _MODES[interpolation], "coordinate_transformation_mode": "half_pixel"}
    if interpolation == "nearest":
        attributes["nearest_mode"] = "round_prefer_ceil"
    if interpolation == "bicubic":
        attributes["cubic_coeff_a"] = -0.5
        attributes["exclude_outside"] = 1
    inputs = [data, None, None, c.integers(wanted)]
    y = c.node("Resize", inputs, (*data.shape[:2], *wanted), axes=list(range(2, x.rank)), **(attributes | more))
    shape = list(x.shape)
    for place, axis in enumerate(order[2:]):
        shape[axis] = wanted[place]
    return Value(tuple(shape), x.dtype, {order: y})


@layer("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(c: Call) -> Value:
    x = c.x
    order = channels(c, x)
    factors = c.option("size")
    factors = [int(factors)] if isinstance(factors, int) else [int(item) for item in factors]
    interpolation = getattr(c.source, "interpolation", "nearest")
    if interpolation not in _MODES:
        raise Untranslatable(f"interpolation={interpolation!r}")
    data = c.in_order(x, order)
    shape = c.shape(x)
    if interpolation == "nearest":
        attributes: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        attributes = {"coordinate_transformation_mode": "half_pixel"}
    if interpolation == "bicubic":
        attributes |= {"cubic_coeff_a": -0.5, "exclude_outside": 1}
    scales = c.graph.constant(np.array(factors, dtype=np.float32))
    stored = tuple(shape[axis] for axis in order)
    axes = list(range(2, x.rank))
    inputs = [data, None, scales]
    sizes = stored[2:]
    if all(isinstance(size, int) for size in sizes):
        inputs = [data, None, None, c.integers([int(size) for size in sizes])]
    y = c.node("Resize", inputs, stored, axes=axes, mode=_MODES[interpolation], **attributes)
    return Value(shape, x.dtype, {order: y})


def _in_training_only(c: Call) -> Value:
    kind = type(c.source).__name__
    c.graph.note(f"{c.source.name}: {kind} changes data in training only and is not brought")
    return c.x


layer(
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("RandomErasing", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomPerspective"),
    *("RandomGaussianBlur", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale", "RandomInvert"),
    *("RandomPosterization", "RandomElasticTransform", "RandAugment", "AugMix", "MixUp", "CutMix"),
)(_in_training_only)


@layer("CenterCrop")
def center_crop(c: Call) -> Value:
    x = c.x
    order = channels(c, x)
    data = c.in_order(x, order)
    wanted = (int(c.option("height")), int(c.option("width")))
    for place, target in enumerate(wanted, start=x.rank - 2):
        size = known(data.shape[place], "a crop")
        if size < target:
            raise Untranslatable("an image smaller than the crop")
        start = (size - target) // 2
        data = c.slice(data, place, start, start + target, target) if size != target else data
    return c.wrap(data, order)
