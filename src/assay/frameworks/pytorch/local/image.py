"""Images read between their pixels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def resize_axes(
    x: Tensor,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    policy: str = "stretch",
    roi: Sequence[float] | None = None,
    outside: float = 0.0,
) -> Tensor:
    """Resizes one axis after the other, with all of ONNX's ways to place, choose and weigh pixels."""
    axes = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    if sizes is None:
        scales = list(scales or ())
        sizes = [math.floor(x.shape[axis] * scale) for axis, scale in zip(axes, scales, strict=True)]
    else:
        scales = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
        if policy != "stretch":
            scales = [min(scales) if policy == "not_larger" else max(scales)] * len(axes)
            sizes = [math.floor(x.shape[axis] * scale + 0.5) for axis, scale in zip(axes, scales, strict=True)]
    beyond = []
    for place, (axis, size, scale) in enumerate(zip(axes, sizes, scales, strict=True)):
        part = (roi[place], roi[place + len(axes)]) if roi else (0.0, 1.0)
        if size == x.shape[axis] and scale == 1 and part == (0.0, 1.0):
            continue
        places = places_between(x.shape[axis], size, scale, coordinates, part)
        if coordinates == "tf_crop_and_resize":
            beyond.append((axis, (places < 0) | (places > x.shape[axis] - 1)))
        x = read_between(x, axis, places.to(x.device), scale, mode, rounding, cubic, exclude_outside, antialias)
    for axis, where in beyond:
        shape = [1] * x.ndim
        shape[axis] = -1
        x = torch.where(where.reshape(shape).to(x.device), torch.tensor(outside, dtype=x.dtype), x)
    return x


def places_between(length: int, size: int, scale: float, coordinates: str, part: tuple[float, float]) -> Tensor:
    """Where the pixels of the result lie between those of the original."""
    numbers = torch.arange(size, dtype=torch.float64)
    if coordinates == "align_corners":
        return numbers * ((length - 1) / (length * scale - 1)) if size > 1 else numbers * 0
    if coordinates == "asymmetric":
        return numbers / scale
    if coordinates == "tf_crop_and_resize":
        start, end = part
        if size > 1:
            return start * (length - 1) + numbers * ((end - start) * (length - 1) / (size - 1))
        return numbers + 0.5 * (start + end) * (length - 1)
    if coordinates == "pytorch_half_pixel" and size == 1:
        return numbers - 0.5
    if coordinates == "tf_half_pixel_for_nn":
        return (numbers + 0.5) / scale
    places = (numbers + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":  # the same amount is left out at both ends
        places = places + length / 2 * (1 - size / (length * scale))
    return places


def read_between(
    x: Tensor,
    axis: int,
    places: Tensor,
    scale: float,
    mode: str,
    rounding: str,
    cubic: float,
    exclude_outside: bool,
    antialias: bool,
) -> Tensor:
    """x at these places of an axis, weighed from the pixels around them."""
    last = x.shape[axis] - 1
    if mode == "nearest":
        nearest = {
            "round_prefer_floor": torch.ceil(places - 0.5),
            "round_prefer_ceil": torch.floor(places + 0.5),
            "floor": torch.floor(places),
            "ceil": torch.ceil(places),
        }[rounding]
        return x.index_select(axis, nearest.long().clamp(0, last))
    narrow = min(scale, 1.0) if antialias else 1.0
    reach = math.ceil((2 if mode == "cubic" else 1) / narrow)
    taps = places.floor().unsqueeze(1) + torch.arange(1 - reach, reach + 1, device=x.device)
    distance = (taps - places.unsqueeze(1)).abs() * narrow
    if mode == "cubic":
        near = ((cubic + 2) * distance - (cubic + 3)) * distance * distance + 1
        far = ((cubic * distance - 5 * cubic) * distance + 8 * cubic) * distance - 4 * cubic
        weights = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
    else:
        weights = (1 - distance).clamp(min=0)
    if exclude_outside:
        weights = torch.where((taps < 0) | (taps > last), 0.0, weights)
    if exclude_outside or antialias:
        weights = weights / weights.sum(1, keepdim=True)
    read = x.index_select(axis, taps.long().clamp(0, last).flatten()).unflatten(axis, (len(places), -1))
    shape = [1] * read.ndim
    shape[axis : axis + 2] = weights.shape
    kind = x.dtype if x.is_floating_point() else torch.float32
    y = (read * weights.to(kind).reshape(shape)).sum(axis + 1)
    return y if x.is_floating_point() else y.round().to(x.dtype)


def align_regions(
    x: Tensor,
    regions: Tensor,
    images: Tensor,
    size: tuple[int, int],
    scale: float = 1.0,
    ratio: int = 0,
    largest: bool = False,
    half_pixel: bool = True,
) -> Tensor:
    """Regions (x, y, x, y) of images, each pooled to one size from samples between the pixels."""
    found = []
    for region, image in zip(regions, images, strict=True):
        left, top, right, bottom = (region * scale - (0.5 if half_pixel else 0.0)).unbind()
        extent = [bottom - top, right - left]
        if not half_pixel:
            extent = [length.clamp(min=1.0) for length in extent]
        bins = [length / count for length, count in zip(extent, size, strict=True)]
        samples = [ratio or max(math.ceil(float(length)), 1) for length in bins]
        rows, columns = (
            start + (torch.arange(count * number, device=x.device) + 0.5) * (length / number)
            for start, count, number, length in zip((top, left), size, samples, bins, strict=True)
        )
        corners = corners_around(x[image], rows, columns)
        corners = corners.unflatten(3, (size[1], -1)).unflatten(2, (size[0], -1))
        # The largest is taken of the weighed corners, the mean of their sums.
        found.append(corners.amax((0, 3, 5)) if largest else corners.sum(0).mean((2, 4)))
    return torch.stack(found) if found else x.new_zeros(0, x.shape[1], *size)


def corners_around(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The four pixels around every place, weighed by their nearness: (corner, channel, row, column)."""
    parts = []
    for places, length in ((rows, image.shape[1]), (columns, image.shape[2])):
        inside = ((places >= -1) & (places <= length)).to(image.dtype)
        places = places.clamp(0, length - 1)
        low = places.floor().long().clamp(max=length - 1)
        near = places - low
        parts.append(((low, inside * (1 - near)), ((low + 1).clamp(max=length - 1), inside * near)))
    return torch.stack(
        [
            image[:, row][:, :, column] * (above.unsqueeze(1) * beside)
            for row, above in parts[0]
            for column, beside in parts[1]
        ]
    )
