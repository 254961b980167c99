"""Layers with parameters, and the layers that wrap a function so that they can stand in a `Sequential`.

Axes are (batch, channels, height, width) for 2-D and (batch, channels, length) for 1-D layers, as in ONNX; written code
uses each framework's own layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from assay.errors import ModelError, ShapeError
from assay.nn import functional
from assay.nn.module import (
    Module,
    Parameter,
    constant,
    glorot,
    he,
    normal,
    ones,
    require_rank,
    require_size,
    zeros,
)
from assay.nn.tensor import Dim, Tensor, matmul, tracer

Size = int | Sequence[int]


def _sizes(value: Size, rank: int, what: str) -> tuple[int, ...]:
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank:
        raise ModelError(f"{what} needs one number or {rank}, got {value}")
    return sizes


class Linear(Module):
    """y = x · weight + bias, on the last axis. x: (…, in_features); weight: (in_features, out_features); bias: (out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter((in_features, out_features), glorot(in_features, out_features))
        self.bias = Parameter((out_features,), zeros) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[-1], self.in_features, "a last axis of")
        y = matmul(x, self.weight)
        return y if self.bias is None else y + self.bias


class _Convolution(Module):
    """What forward and transposed convolutions of one or two axes share."""

    rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size,
        dilation: Size,
        groups: int,
        bias: bool,
    ) -> None:
        name = type(self).__name__
        if in_channels % groups or out_channels % groups:
            raise ModelError(
                f"{name}: {groups} groups do not divide {in_channels} input and {out_channels} output channels"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _sizes(kernel_size, self.rank, f"{name}: kernel_size")
        self.stride = _sizes(stride, self.rank, f"{name}: stride")
        self.padding = _sizes(padding, self.rank, f"{name}: padding")
        self.dilation = _sizes(dilation, self.rank, f"{name}: dilation")
        self.weight = Parameter(self._weight_shape(), he(in_channels // groups * prod(self.kernel_size)))
        self.bias = Parameter((out_channels,), zeros) if bias else None

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _size(self, size: Dim, axis: int) -> int:
        if isinstance(size, str):
            raise ShapeError(f"{tracer().where}: a convolution needs a known size, axis {size!r} has none")
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        result = (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1
        if result < 1:
            raise ShapeError(f"{tracer().where}: a kernel reaching over {reach} does not fit an axis of {size}")
        return result

    def forward(self, x: Tensor) -> Tensor:
        require_rank(
            x, self.rank + 2, "(batch, channels, length)" if self.rank == 1 else "(batch, channels, height, width)"
        )
        require_size(x.shape[1], self.in_channels, "channels:")
        spatial = tuple(self._size(size, axis) for axis, size in enumerate(x.shape[2:]))
        return tracer().node(
            self._op_type(),
            [x, self.weight, self.bias],
            (x.shape[0], self.out_channels, *spatial),
            kernel_shape=list(self.kernel_size),
            strides=list(self.stride),
            pads=list(self.padding) * 2,
            dilations=list(self.dilation),
            group=self.groups,
            **self._more_attributes(),
        )

    def _op_type(self) -> str:
        return "Conv"

    def _more_attributes(self) -> dict[str, Any]:
        return {}


class Conv2d(_Convolution):
    """Cross-correlation over (height, width). weight: (out_channels, in_channels / groups, kernel height, kernel width).

    `groups = in_channels` makes it depthwise. Output size: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    """

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)


class Conv1d(Conv2d):
    """Cross-correlation over (length). weight: (out_channels, in_channels / groups, kernel)."""

    rank = 1


class ConvTranspose2d(_Convolution):
    """The transpose (the gradient) of a convolution over (height, width).

    weight: (in_channels, out_channels / groups, kernel height, kernel width).

    Output size: (size − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1.
    """

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = _sizes(output_padding, self.rank, f"{type(self).__name__}: output_padding")

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def _size(self, size: Dim, axis: int) -> int:
        if isinstance(size, str):
            raise ShapeError(f"{tracer().where}: a convolution needs a known size, axis {size!r} has none")
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        return (size - 1) * self.stride[axis] - 2 * self.padding[axis] + reach + self.output_padding[axis]

    def _op_type(self) -> str:
        return "ConvTranspose"

    def _more_attributes(self) -> dict[str, Any]:
        return {"output_padding": list(self.output_padding)}


class ConvTranspose1d(ConvTranspose2d):
    """The transpose of a convolution over (length). weight: (in_channels, out_channels / groups, kernel)."""

    rank = 1


class BatchNorm(Module):
    """y = (x − μ) / √(σ² + epsilon) · weight + bias for each channel (axis 1).

    In training μ and σ² are the batch's mean and *biased* variance, and running ← momentum·running + (1 − momentum)·batch,
    for both; in evaluation they are the running ones. (Ioffe & Szegedy, 2015; ONNX BatchNormalization.)
    """

    def __init__(self, channels: int, epsilon: float = 1e-5, momentum: float = 0.9) -> None:
        self.channels, self.epsilon, self.momentum = channels, epsilon, momentum
        self.weight = Parameter((channels,), ones)
        self.bias = Parameter((channels,), zeros)
        self.running_mean = Parameter((channels,), zeros, trained=False)
        self.running_var = Parameter((channels,), ones, trained=False)

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[1], self.channels, "channels:")
        inputs = [x, self.weight, self.bias, self.running_mean, self.running_var]
        return tracer().node("BatchNormalization", inputs, x.shape, epsilon=self.epsilon, momentum=self.momentum)


class LayerNorm(Module):
    """y = (x − mean) / √(biased variance + epsilon) · weight + bias over the last axis. (Ba et al., 2016.)"""

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        self.features, self.epsilon = features, epsilon
        self.weight = Parameter((features,), ones)
        self.bias = Parameter((features,), zeros)

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[-1], self.features, "a last axis of")
        return tracer().node("LayerNormalization", [x, self.weight, self.bias], x.shape, axis=-1, epsilon=self.epsilon)


class GroupNorm(Module):
    """Layer normalisation within each of `groups` groups of channels (axis 1) and all places; scaled per channel. (Wu & He, 2018.)"""

    def __init__(self, groups: int, channels: int, epsilon: float = 1e-5) -> None:
        if channels % groups:
            raise ModelError(f"GroupNorm: {groups} groups do not divide {channels} channels")
        self.groups, self.channels, self.epsilon = groups, channels, epsilon
        self.weight = Parameter((channels,), ones)
        self.bias = Parameter((channels,), zeros)

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[1], self.channels, "channels:")
        inputs = [x, self.weight, self.bias]
        return tracer().node("GroupNormalization", inputs, x.shape, num_groups=self.groups, epsilon=self.epsilon)


class RMSNorm(Module):
    """y = x / √(mean(x²) + epsilon) · weight over the last axis. (Zhang & Sennrich, 2019.)"""

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        self.features, self.epsilon = features, epsilon
        self.weight = Parameter((features,), ones)

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[-1], self.features, "a last axis of")
        return tracer().node("RMSNormalization", [x, self.weight], x.shape, axis=-1, epsilon=self.epsilon)


class Dropout(Module):
    """In training each element is 0 with probability `rate` and divided by 1 − rate otherwise; in evaluation nothing happens."""

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate < 1:
            raise ModelError(f"Dropout: the rate must be at least 0 and below 1, got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return tracer().node("Dropout", [x, tracer().constant(np.array(self.rate, dtype=np.float32))], x.shape)


class Embedding(Module):
    """Row `x` of a table. x: int64 (…), each 0 ≤ x < entries; weight: (entries, features); result: (…, features)."""

    def __init__(self, entries: int, features: int) -> None:
        self.weight = Parameter((entries, features), normal(0.02))
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        if not x.dtype.startswith("int"):
            raise ShapeError(f"{tracer().where} expects integers, its input is {x.dtype}")
        return tracer().node("Gather", [self.weight, x], (*x.shape, self.features), axis=0)


class PReLU(Module):
    """x where x ≥ 0, weight · x elsewhere, with one slope per channel (axis 1)."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.weight = Parameter((channels,), constant(0.25))

    def forward(self, x: Tensor) -> Tensor:
        require_size(x.shape[1], self.channels, "channels:")
        slope: Tensor = self.weight
        if x.rank > 2:
            slope = functional.reshape(slope, (self.channels, *[1] * (x.rank - 2)))
        return tracer().node("PRelu", [x, slope], x.shape)


class Identity(Module):
    """Its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """(batch, …) → (batch, the product of the rest)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.flatten(x)


def _activation(name: str, function: Callable[[Tensor], Tensor]) -> type[Module]:
    def forward(self: Module, x: Tensor) -> Tensor:
        return function(x)

    return type(name, (Module,), {"forward": forward, "__doc__": function.__doc__, "__module__": __name__})


ReLU = _activation("ReLU", functional.relu)
GELU = _activation("GELU", functional.gelu)
SiLU = _activation("SiLU", functional.silu)
Sigmoid = _activation("Sigmoid", functional.sigmoid)
Tanh = _activation("Tanh", functional.tanh)
Softplus = _activation("Softplus", functional.softplus)
SELU = _activation("SELU", functional.selu)
HardSigmoid = _activation("HardSigmoid", functional.hard_sigmoid)
HardSwish = _activation("HardSwish", functional.hard_swish)
Mish = _activation("Mish", functional.mish)
Softmax = _activation("Softmax", functional.softmax)
LogSoftmax = _activation("LogSoftmax", functional.log_softmax)


class LeakyReLU(Module):
    """x where x ≥ 0, slope · x elsewhere."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


class ELU(Module):
    """x where x > 0, alpha · (exp(x) − 1) elsewhere."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(x, self.alpha)
