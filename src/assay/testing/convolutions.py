"""Convolutions and their transposes: strides, paddings, dilations and groups, alone and together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay import nn
from assay.testing.case import IMAGE, SERIES, Case, chain

_SMALL_IMAGE = (4, 5, 4)  # transposed convolutions make it larger

_CONV2D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "same": {"padding": 1},
    "stride2": {"stride": 2, "padding": 1},
    "stride21": {"stride": (2, 1), "padding": (1, 0)},
    "padding02": {"padding": (0, 2)},
    "kernel5": {"kernel_size": 5, "padding": 2},
    "kernel32": {"kernel_size": (3, 2), "padding": (1, 1)},
    "kernel42": {"kernel_size": (4, 2)},
    "dilation2": {"dilation": 2, "padding": 2},
    "dilation12": {"dilation": (1, 2)},
    "dilation2_stride2": {"dilation": 2, "stride": 2, "padding": 1},
    "groups2": {"groups": 2, "padding": 1},
    "groups2_stride2": {"groups": 2, "stride": 2},
    "groups2_dilation2": {"groups": 2, "dilation": 2, "padding": 2},
    "groups2_dilation2_stride21": {"groups": 2, "dilation": 2, "stride": (2, 1)},
}

_DEPTHWISE2D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "same": {"padding": 1},
    "stride2": {"stride": 2, "padding": 1},
    "stride21": {"stride": (2, 1)},
    "dilation2": {"dilation": 2, "padding": 2},
    "dilation21": {"dilation": (2, 1)},
    "dilation2_stride2": {"dilation": 2, "stride": 2},
    "multiplier3": {"out_channels": 12, "padding": 1, "bias": False},
}

_CONV1D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "same": {"padding": 1},
    "stride2": {"stride": 2, "padding": 1},
    "dilation2": {"dilation": 2, "padding": 2},
    "dilation2_stride2": {"dilation": 2, "stride": 2},
    "groups2": {"groups": 2, "padding": 1},
    "groups2_dilation2_stride2": {"groups": 2, "stride": 2, "dilation": 2},
}

_DEPTHWISE1D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "same": {"padding": 1},
    "stride2": {"stride": 2, "padding": 1},
    "dilation2": {"dilation": 2, "padding": 2},
    "dilation2_stride2": {"dilation": 2, "stride": 2},
}

_TRANSPOSED2D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "stride2": {"stride": 2, "padding": 1, "output_padding": 1},
    "stride23": {"stride": (2, 3), "padding": (1, 0), "output_padding": (0, 2)},
    "padding2": {"padding": 2},
    "no_bias": {"stride": 2, "bias": False},
    "kernel42": {"out_channels": 6, "kernel_size": (4, 2), "stride": 2, "padding": (1, 0)},
    "dilation2": {"dilation": 2, "padding": 1},
    "dilation21_stride2": {"dilation": (2, 1), "stride": 2, "padding": 1, "output_padding": 1},
    "dilation3_stride2": {"dilation": 3, "stride": 2, "output_padding": 2},
    "groups2": {"groups": 2, "stride": 2, "padding": 1},
    "groups4": {"groups": 4, "stride": 2, "output_padding": 1},
    "groups2_dilation2": {"groups": 2, "dilation": 2},
}

_TRANSPOSED1D: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "stride2": {"stride": 2, "padding": 1, "output_padding": 1},
    "dilation2": {"dilation": 2},
    "groups2": {"groups": 2, "stride": 3, "padding": 1},
}


def _family(
    prefix: str,
    layer: type[nn.Conv2d] | type[nn.ConvTranspose2d],
    options: Mapping[str, Mapping[str, Any]],
    shape: tuple[int, ...],
    **common: Any,
) -> list[Case]:
    """One case for each set of options; four input channels and a kernel of three unless they say otherwise."""

    def case(name: str, special: Mapping[str, Any]) -> Case:
        arguments = {"in_channels": 4, "kernel_size": 3, **common, **special}
        return chain(f"{prefix}-{name}", lambda: [layer(**arguments)], shape)

    return [case(name, special) for name, special in options.items()]


CASES: tuple[Case, ...] = (
    *_family("conv2d", nn.Conv2d, _CONV2D, IMAGE, out_channels=6),
    *_family("depthwise2d", nn.Conv2d, _DEPTHWISE2D, IMAGE, out_channels=4, groups=4),
    *_family("conv1d", nn.Conv1d, _CONV1D, SERIES, out_channels=6),
    *_family("depthwise1d", nn.Conv1d, _DEPTHWISE1D, SERIES, out_channels=8, groups=4),
    *_family("transposed2d", nn.ConvTranspose2d, _TRANSPOSED2D, _SMALL_IMAGE, out_channels=8),
    *_family("transposed1d", nn.ConvTranspose1d, _TRANSPOSED1D, SERIES, out_channels=8),
)
