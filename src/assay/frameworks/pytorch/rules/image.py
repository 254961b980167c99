"""Images read between their pixels: resizing, sampling, regions."""

from __future__ import annotations

import math

from assay.errors import UnsupportedError
from assay.frameworks.pytorch.rules.common import (
    TABLE,
    arguments_of,
    given,
    numbers,
    rank_of,
)
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder

_INTERPOLATIONS = {"linear": {3: "linear", 4: "bilinear", 5: "trilinear"}, "cubic": {4: "bicubic"}}


@TABLE.rule("Resize", "Upsample")
def resize(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    old = call.kind == "Upsample"
    coordinates = "asymmetric" if old else call.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else call.attribute("nearest_mode", "round_prefer_floor")
    cubic, outside = call.attribute("cubic_coeff_a", -0.75), bool(call.attribute("exclude_outside", 0))
    antialias, value = bool(call.attribute("antialias", 0)), call.attribute("extrapolation_value", 0.0)
    axes, policy = call.attribute("axes"), call.attribute("keep_aspect_ratio_policy", "stretch")
    scales_slot, sizes_slot, roi_slot = (1, None, None) if old else (2, 3, 1)
    by_sizes = sizes_slot is not None and _present(call, sizes_slot)
    usual = not (antialias or outside or policy != "stretch" or (mode == "cubic" and cubic != -0.75))
    if usual and (
        text := _native_resize(call, w, mode, coordinates, rounding, sizes_slot if by_sizes else scales_slot)
    ):
        return w.emit(call.y, text, light=True)
    cropped = coordinates == "tf_crop_and_resize" and roi_slot is not None
    options = [
        f"sizes={numbers(call, w, 3)}" if by_sizes else f"scales={numbers(call, w, scales_slot)}",
        f"axes={list(axes)}" if axes else None,
        f'mode="{_word(mode)}"' if mode != "nearest" else None,
        f'coordinates="{_word(coordinates)}"' if coordinates != "half_pixel" else None,
        f'rounding="{_word(rounding)}"' if mode == "nearest" and rounding != "round_prefer_floor" else None,
        f"cubic={cubic}" if mode == "cubic" and cubic != -0.75 else None,
        "exclude_outside=True" if outside else None,
        "antialias=True" if antialias else None,
        f'policy="{_word(policy)}"' if policy != "stretch" and by_sizes else None,
        f"roi={numbers(call, w, roi_slot)}" if cropped and roi_slot is not None else None,
        f"outside={value}" if cropped and value else None,
    ]
    for slot in (1, 2, 3):
        call.constant(slot)
    w.emit(call.y, f"resize_axes({arguments_of(w.array(call.x), *options)})", light=True)


def _word(text: str) -> str:
    """An option, which comes from a file, as a word to be written into code."""
    if not text.replace("_", "").isalnum():
        raise UnsupportedError(f"{text!r} is no option of Resize", ["Resize"])
    return text


def _present(call: Call, slot: int) -> bool:
    array = call.constants.get(slot)
    return (array is not None and array.size > 0) or (array is None and given(call, slot))


def _native_resize(call: Call, w: Builder, mode: str, coordinates: str, rounding: str, slot: int | None) -> str | None:
    """torch's own interpolation, where it means the same: from the third axis on, between known sizes."""
    sizes = _spatial_sizes(call, slot)
    if sizes is None:
        return None
    before, after = sizes
    for place in (1, 2, 3):
        call.constant(place)
    texts = [w.size(size) for size in after]
    where = f"size={texts[0]}" if len(set(after)) == 1 else f"size=({', '.join(texts)})"
    if mode == "nearest":
        whole = all(b % a == 0 for a, b in zip(before, after, strict=True))
        if coordinates == "asymmetric" and rounding == "floor" and whole:
            return f"F.interpolate({w.array(call.x)}, {where})"
        return None
    name = _INTERPOLATIONS.get(mode, {}).get(len(after) + 2)
    aligned = coordinates == "align_corners"
    half = coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and min(after) > 1)
    if name is None or not (half or (aligned and min(after) > 1)):
        return None
    return f'F.interpolate({w.array(call.x)}, {where}, mode="{name}"{", align_corners=True" if aligned else ""})'


def _spatial_sizes(call: Call, slot: int | None) -> tuple[list[int], list[int]] | None:
    """The sizes from the third axis on, before and after, if they are known and those of the first two stay."""
    rank = rank_of(call.x)
    factors = None if slot is None else call.constants.get(slot)
    if factors is None or rank not in (3, 4, 5) or call.y.shape is None:
        return None
    x, y = call.shape(), shape_of(call.y)
    before, after = ([size for size in sizes[2:] if isinstance(size, int)] for sizes in (x, y))
    axes = [axis % rank for axis in call.attributes.get("axes") or range(rank)]
    if x[:2] != y[:2] or not len(before) == len(after) == rank - 2 or not {*range(2, rank)} <= {*axes}:
        return None
    if slot != 3:
        ratios = {axis: float(str(factor)) for axis, factor in zip(axes, factors.astype("float32"), strict=True)}
        scaled = [ratios[place] * size for place, size in enumerate(before, start=2)]
        if not all(map(math.isclose, scaled, after)) or any(ratios.get(axis, 1.0) != 1 for axis in (0, 1)):
            return None
    return before, after


@TABLE.rule("GridSample")
def grid_sample(call: Call, w: Builder) -> None:
    mode, padding = call.attribute("mode", "linear"), call.attribute("padding_mode", "zeros")
    aligned = bool(call.attribute("align_corners", 0))
    name = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, _word(mode))
    options = [
        f'mode="{name}"' if name != "bilinear" else None,
        f'padding_mode="{_word(padding)}"' if padding != "zeros" else None,
        f"align_corners={aligned}",
    ]
    operands = [w.array(value) for value in call.inputs]
    w.emit(call.y, f"F.grid_sample({arguments_of(*operands, *options)})", light=True)


def _has_two_ends(call: Call) -> bool:
    """With aligned corners torch puts the only pixel of an axis in the middle, ONNX at the first end."""
    size = call.constants.get(1)
    return not call.attributes.get("align_corners", 0) or (size is not None and bool((size[2:] > 1).all()))


@TABLE.rule("AffineGrid", when=_has_two_ends)
def affine_grid(call: Call, w: Builder) -> None:
    aligned = bool(call.attribute("align_corners", 0))
    w.emit(call.y, f"F.affine_grid({w.array(call.x)}, {numbers(call, w, 1)}, align_corners={aligned})", light=True)


@TABLE.rule("RoiAlign")
def roi_align(call: Call, w: Builder) -> None:
    size = (call.attribute("output_height", 1), call.attribute("output_width", 1))
    ratio, scale = call.attribute("sampling_ratio", 0), call.attribute("spatial_scale", 1.0)
    half = call.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    operands = [w.array(value) for value in call.inputs]
    options = [
        f"size={size}",
        f"scale={scale}" if scale != 1 else None,
        f"ratio={ratio}" if ratio else None,
        "largest=True" if call.attribute("mode", "avg") == "max" else None,
        None if half else "half_pixel=False",
    ]
    w.emit(call.y, f"align_regions({arguments_of(*operands, *options)})")


@TABLE.rule("ImageDecoder")
def image_decoder(call: Call, w: Builder) -> None:
    pixels = call.attribute("pixel_format", "RGB")
    more = f', pixel_format="{_word(pixels)}"' if pixels != "RGB" else ""
    w.emit(call.y, f"torch.from_numpy(image_decoder({w.array(call.x)}.numpy(force=True){more}))", light=True)
