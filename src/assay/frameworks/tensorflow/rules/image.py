"""TensorFlow's lowering table: resizing and sampling of images, and regions of them."""

from __future__ import annotations

import numpy as np

from assay.frameworks.tensorflow.common import TABLE, given, in_order, rank_of, refuse, written
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("Resize")
def resize(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    coordinates = call.attribute("coordinate_transformation_mode", "half_pixel")
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    nearest, cubic = call.attribute("nearest_mode", "round_prefer_floor"), call.attribute("cubic_coeff_a", -0.75)
    axes, scales, sizes, roi = _resized(call, w, coordinates == "tf_crop_and_resize", policy == "stretch")
    extrapolation = call.attribute("extrapolation_value", 0.0)
    text = written(
        "resize",
        in_order(call.x, w),
        scales=None,
        mode=None if mode == "nearest" else mode,
        coordinates=None if coordinates == "half_pixel" else coordinates,
        nearest=None if nearest == "round_prefer_floor" or mode != "nearest" else nearest,
        cubic=None if cubic == -0.75 or mode != "cubic" else cubic,
        exclude_outside=True if call.attribute("exclude_outside", 0) else None,
        extrapolation=extrapolation or None,
        antialias=True if call.attribute("antialias", 0) else None,
        policy=None if policy == "stretch" else policy,
    )
    named = {"scales": scales, "sizes": sizes, "axes": axes, "roi": roi}
    extra = "".join(f", {name}={value}" for name, value in named.items() if value is not None)
    w.emit(call.y, f"{text[:-1]}{extra})")


def _resized(call: Call, w: Builder, cropped: bool, stretched: bool) -> tuple[str | None, ...]:
    """The axes that are resized, with their scales or sizes, and the region; axes that stay as they are left out."""
    axes = call.attribute("axes")
    roi, *texts = (given(call, slot, w) for slot in (1, 2, 3))
    known_scales, known_sizes = call.constant(2), call.constant(3)
    scales, sizes = (None if text in ("None", "[]") else text for text in texts)
    rank = rank_of(call.x)
    listed = axes if axes is not None else (list(range(rank)) if rank is not None else None)
    if not cropped and stretched and listed is not None:
        if sizes is None and known_scales is not None:
            kept = [(axis, scale) for axis, scale in zip(listed, known_scales.tolist(), strict=True) if scale != 1]
            scales = str([float(str(np.float32(scale))) for _, scale in kept])
            axes = [axis for axis, _ in kept]
        elif known_sizes is not None and call.x.shape is not None:
            present = call.shape()
            kept = [
                (axis, size) for axis, size in zip(listed, known_sizes.tolist(), strict=True) if size != present[axis]
            ]
            sizes, axes = str([size for _, size in kept]), [axis for axis, _ in kept]
    return None if axes is None else str(axes), scales, sizes, None if not cropped or roi == "None" else roi


@TABLE.rule("Upsample")
def upsample(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    text = written(
        "resize",
        in_order(call.x, w),
        mode=None if mode == "nearest" else "linear",
        coordinates="asymmetric",
        nearest="floor" if mode == "nearest" else None,
    )
    w.emit(call.y, f"{text[:-1]}, scales={given(call, 1, w)})")


@TABLE.rule("GridSample")
def grid_sample(call: Call, w: Builder) -> None:
    x, grid = (in_order(value, w) for value in call.inputs if value is not None)
    mode, padding = call.attribute("mode", "linear"), call.attribute("padding_mode", "zeros")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    text = written(
        "sample_grid",
        x,
        grid,
        mode=None if mode == "linear" else mode,
        padding=None if padding == "zeros" else padding,
        align_corners=True if call.attribute("align_corners", 0) else None,
    )
    w.emit(call.y, text)


@TABLE.rule("RoiAlign")
def roi_align(call: Call, w: Builder) -> None:
    operands = [in_order(value, w) for value in call.inputs if value is not None]
    mode = call.attribute("mode", "avg")
    half = call.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    text = written(
        "align_regions",
        *operands,
        f"({call.attribute('output_height', 1)}, {call.attribute('output_width', 1)})",
        scale=call.attribute("spatial_scale", 1.0),
        samples=call.attribute("sampling_ratio", 0) or None,
        largest=True if mode == "max" else None,
        half_pixel=None if half else False,
    )
    w.emit(call.y, text)


@TABLE.rule("MaxRoiPool")
def max_roi_pool(call: Call, w: Builder) -> None:
    raise refuse(call, "regions of interest: RoiAlign takes its place")


@TABLE.rule("AffineGrid")
def affine_grid(call: Call, w: Builder) -> None:
    aligned = True if call.attribute("align_corners", 0) else None
    w.emit(call.y, written("affine_grid", in_order(call.x, w), given(call, 1, w), align_corners=aligned))
