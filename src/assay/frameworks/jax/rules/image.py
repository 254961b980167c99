"""Images: resizing, sampling, regions, decoding."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import TABLE, options, tuple_of
from assay.graph.calls import Call
from assay.write.body import Builder


def _floats(call: Call, w: Builder, slot: int) -> str | None:
    """An input of several floats as a tuple, known now or when the code runs; None for one left out or empty."""
    found = call.constant(slot)
    if found is not None:
        return str(tuple(float(str(item)) for item in found.reshape(-1))) if found.size else None
    value = call.computed(slot)
    return None if value is None else f"tuple({w.array(value, 100)}.tolist())"


@TABLE.rule("Resize")
def resize(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    coordinates = call.attribute("coordinate_transformation_mode", "half_pixel")
    antialias, axes = bool(call.attribute("antialias", 0)), call.attribute("axes", None)
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    nearest, cubic = call.attribute("nearest_mode", "round_prefer_floor"), call.attribute("cubic_coeff_a", -0.75)
    outside, extrapolation = bool(call.attribute("exclude_outside", 0)), call.attribute("extrapolation_value", 0.0)
    region, scales, sizes = _floats(call, w, 1), _floats(call, w, 2), tuple_of(call, w, 3)
    if sizes == "()":
        sizes = None
    more = options(
        scales=scales if sizes is None else None,
        sizes=sizes,
        axes=None if axes is None else tuple(axes),
        mode=f'"{mode}"',
        coordinates=None if coordinates == "half_pixel" else f'"{coordinates}"',
        nearest=None if mode != "nearest" or nearest == "round_prefer_floor" else f'"{nearest}"',
        cubic=None if mode != "cubic" or cubic == -0.75 else cubic,
        antialias=antialias or None,
        exclude_outside=outside or None,
        policy=None if policy == "stretch" else f'"{policy}"',
        region=region if coordinates == "tf_crop_and_resize" else None,
        extrapolation=extrapolation if coordinates == "tf_crop_and_resize" else None,
    )
    w.emit(call.y, f"resized({w.array(call.x)}{more})")


@TABLE.rule("Upsample")
def upsample(call: Call, w: Builder) -> None:
    mode = call.attribute("mode", "nearest")
    more = options(scales=_floats(call, w, 1), mode=f'"{mode}"', coordinates='"asymmetric"')
    floor = ', nearest="floor"' if mode == "nearest" else ""
    w.emit(call.y, f"resized({w.array(call.x)}{more}{floor})")


@TABLE.rule("GridSample")
def grid_sample(call: Call, w: Builder) -> None:
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(found := call.attribute("mode", "linear"), found)
    padding = call.attribute("padding_mode", "zeros")
    more = options(
        mode=None if mode == "linear" else f'"{mode}"',
        padding=None if padding == "zeros" else f'"{padding}"',
        align_corners=bool(call.attribute("align_corners", 0)) or None,
    )
    w.emit(call.y, f"grid_sampled({w.array(call.x)}, {w.array(call.inputs[1])}{more})", light=True)


@TABLE.rule("RoiAlign")
def roi_align(call: Call, w: Builder) -> None:
    size = (call.attribute("output_height", 1), call.attribute("output_width", 1))
    ratio, scale = call.attribute("sampling_ratio", 0), call.attribute("spatial_scale", 1.0)
    half = call.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    more = options(
        scale=None if scale == 1.0 else scale,
        samples=ratio or None,
        half_pixel=None if half else False,
        largest=True if call.attribute("mode", "avg") == "max" else None,
    )
    given = ", ".join(w.array(value) for value in call.inputs[:3])
    w.emit(call.y, f"regions_aligned({given}, {size}{more})")


@TABLE.rule("ImageDecoder")
def image_decoder(call: Call, w: Builder) -> None:
    kind = call.attribute("pixel_format", "RGB")
    more = "" if kind == "RGB" else f', pixel_format="{kind}"'
    w.emit(call.y, f"jnp.asarray(image_decoder(np.asarray({w.array(call.x)}){more}))")


@TABLE.rule("AffineGrid")
def affine_grid(call: Call, w: Builder) -> None:
    more = options(align_corners=bool(call.attribute("align_corners", 0)) or None)
    w.emit(call.y, f"affine_grid({w.array(call.x)}, {tuple_of(call, w, 1)}{more})", light=True)
