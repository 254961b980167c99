"""Images: resizing, sampling, regions."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, numbers, present
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("Resize")
def resize(call: Call, w: Builder) -> None:
    more = ""
    sized = present(call, 3) and (call.constants.get(3) is None or call.constants[3].size > 0)
    call.constant(2)
    call.constant(3)
    more += f", sizes={numbers(call, w, 3)}" if sized else f", scales={numbers(call, w, 2)}"
    axes = call.attribute("axes")
    more += f", axes={list(axes)}" if axes is not None else ""
    for name, argument, usual in (
        ("mode", "mode", "nearest"),
        ("coordinate_transformation_mode", "coordinates", "half_pixel"),
        ("nearest_mode", "nearest", "round_prefer_floor"),
        ("cubic_coeff_a", "cubic", -0.75),
        ("exclude_outside", "exclude_outside", 0),
        ("antialias", "antialias", 0),
        ("extrapolation_value", "extrapolation", 0.0),
        ("keep_aspect_ratio_policy", "policy", "stretch"),
    ):
        value = call.attribute(name, usual)
        if value != usual:
            shown = (
                f'"{value}"'
                if isinstance(value, str)
                else "True"
                if name in ("antialias", "exclude_outside")
                else repr(value)
            )
            more += f", {argument}={shown}"
    if call.attribute("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        more += f", region={numbers(call, w, 1)}"
    else:
        call.constant(1)
    w.emit(call.y, f"resize_to({w.array(call.x)}{more})", light=True)


@TABLE.rule("Upsample")
def upsample(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    given = call.attribute("scales")
    scales = numbers(call, w, 1) if given is None else repr([float(scale) for scale in given])
    more = ', mode="linear"' if mode in ("linear", "bilinear") else ', nearest="floor"'
    w.emit(call.y, f'resize_to({w.array(call.x)}, scales={scales}{more}, coordinates="asymmetric")', light=True)


@TABLE.rule("GridSample")
def grid_sample(call: Call, w: Builder) -> None:
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        call.attribute("mode", "linear"), call.attribute("mode", "linear")
    )
    padding, corners = call.attribute("padding_mode", "zeros"), call.attribute("align_corners", 0)
    more = f', mode="{mode}"' if mode != "linear" else ""
    more += f', padding="{padding}"' if padding != "zeros" else ""
    more += ", align_corners=True" if corners else ""
    w.emit(call.y, f"grid_sample({w.array(call.x)}, {w.array(call.inputs[1])}{more})", light=True)


@TABLE.rule("RoiAlign")
def roi_align(call: Call, w: Builder) -> None:
    output = (call.attribute("output_height", 1), call.attribute("output_width", 1))
    ratio, scale = call.attribute("sampling_ratio", 0), call.attribute("spatial_scale", 1.0)
    more = f", sampling_ratio={ratio}" if ratio else ""
    more += f", spatial_scale={scale!r}" if scale != 1.0 else ""
    more += ', mode="max"' if call.attribute("mode", "avg") == "max" else ""
    if call.attribute("coordinate_transformation_mode", "half_pixel") != "half_pixel":
        more += ", half_pixel=False"
    operands = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f"roi_align({operands}, {output}{more})", light=True)


@TABLE.rule("AffineGrid")
def affine_grid(call: Call, w: Builder) -> None:
    more = ", align_corners=True" if call.attribute("align_corners", 0) else ""
    w.emit(call.y, f"affine_grid({w.array(call.x)}, {numbers(call, w, 1)}{more})", light=True)
