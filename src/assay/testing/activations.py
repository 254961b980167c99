"""Activations, and arithmetic between tensors and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import nn
from assay.testing.case import ROW, Case, Net, chain

_LAYERS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(),
    "gelu": lambda: nn.GELU(),
    "silu": lambda: nn.SiLU(),
    "sigmoid": lambda: nn.Sigmoid(),
    "tanh": lambda: nn.Tanh(),
    "softplus": lambda: nn.Softplus(),
    "selu": lambda: nn.SELU(),
    "hard_sigmoid": lambda: nn.HardSigmoid(),
    "hard_swish": lambda: nn.HardSwish(),
    "mish": lambda: nn.Mish(),
    "softmax": lambda: nn.Softmax(),
    "log_softmax": lambda: nn.LogSoftmax(),
    "leaky_relu": lambda: nn.LeakyReLU(),
    "leaky_relu_quarter": lambda: nn.LeakyReLU(0.25),
    "leaky_relu_steep": lambda: nn.LeakyReLU(2.2),
    "elu": lambda: nn.ELU(),
    "elu_half": lambda: nn.ELU(0.5),
    "dropout": lambda: nn.Dropout(0.3),
    "identity": lambda: nn.Identity(),
}

_FUNCTIONS: Mapping[str, Callable[[nn.Tensor], nn.Tensor]] = {
    "gelu_tanh": lambda x: nn.gelu(x, True),
    "exp": nn.exp,
    "log": lambda x: nn.log(nn.softplus(x)),
    "sqrt": lambda x: nn.sqrt(nn.sigmoid(x)),
    "absolute": nn.absolute,
    "maximum": lambda x: nn.maximum(x, x * 2.0),
    "minimum": lambda x: nn.minimum(nn.tanh(x), x),
    "square": lambda x: x**2.0,
    "power": lambda x: (x * x + 1.0) ** 1.5,
    "negative": lambda x: -(x + 1.0),
    "number_minus": lambda x: 1.0 - (x - 2.0),
    "number_divided": lambda x: 1.0 / (2.0 + x * x),
    "precedence": lambda x: (x + 1.0) * (x - 2.0) / (3.0 + x * x),
}


def _layer(name: str, layer: Callable[[], nn.Module]) -> Case:
    return chain(f"activation-{name}", lambda: [nn.Linear(5, 6), layer()], ROW)


def _function(name: str, function: Callable[[nn.Tensor], nn.Tensor]) -> Case:
    return Case(f"math-{name}", lambda: Net(lambda net, x: function(net.linear(x)), linear=nn.Linear(5, 6)), ROW)


CASES: tuple[Case, ...] = (
    *(_layer(name, layer) for name, layer in _LAYERS.items()),
    *(_function(name, function) for name, function in _FUNCTIONS.items()),
)
