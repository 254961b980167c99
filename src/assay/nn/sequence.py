"""Layers over sequences (batch, steps, features): LSTM, GRU and multi-head attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.errors import ModelError
from assay.nn import functional
from assay.nn.layers import Linear
from assay.nn.module import Module, Parameter, require_rank, require_size, uniform
from assay.nn.tensor import Tensor, tracer


class _Recurrent(Module):
    """What LSTM and GRU share: stacked layers of one or two directions, as one ONNX operator a layer."""

    gates: int

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False) -> None:
        if num_layers < 1:
            raise ModelError(f"{type(self).__name__}: num_layers must be at least 1, got {num_layers}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        init = uniform(1 / np.sqrt(hidden_size))
        for layer in range(num_layers):
            features = input_size if layer == 0 else hidden_size * self.directions
            suffix = f"_{layer}" if num_layers > 1 else ""
            rows = self.gates * hidden_size
            setattr(self, f"input_weight{suffix}", Parameter((self.directions, rows, features), init))
            setattr(self, f"hidden_weight{suffix}", Parameter((self.directions, rows, hidden_size), init))
            setattr(self, f"bias{suffix}", Parameter((self.directions, self._bias_size()), init))

    @property
    def class_name(self) -> str:
        return type(self).__name__ if self.num_layers == 1 else f"Stacked{type(self).__name__}"

    def _bias_size(self) -> int:
        raise NotImplementedError

    def _bias(self, bias: Parameter) -> Tensor:
        raise NotImplementedError

    def _attributes(self) -> dict[str, Any]:
        return {}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_rank(x, 3, "(batch, steps, features)")
        require_size(x.shape[-1], self.input_size, "features:")
        final = x
        for layer in range(self.num_layers):
            x, final = self._layer(x, f"_{layer}" if self.num_layers > 1 else "")
        return x, final

    def _layer(self, x: Tensor, suffix: str) -> tuple[Tensor, Tensor]:
        batch, steps, _ = x.shape
        shapes = [(batch, steps, self.directions, self.hidden_size), (batch, self.directions, self.hidden_size)]
        weights = [getattr(self, f"{name}{suffix}") for name in ("input_weight", "hidden_weight", "bias")]
        sequence, final = tracer().node_with_outputs(
            type(self).__name__.upper(),
            [x, weights[0], weights[1], self._bias(weights[2])],
            shapes,
            hidden_size=self.hidden_size,
            direction="bidirectional" if self.directions == 2 else "forward",
            layout=1,
            **self._attributes(),
        )
        return functional.reshape(sequence, (0, 0, -1)), functional.reshape(final, (0, -1))


class LSTM(_Recurrent):
    """Long short-term memory with one bias per gate (Gers et al., 2000). Gate order i, o, f, c, as in ONNX.

    i, o, f = σ(x·W + h·R + b);  c ← f·c + i·tanh(x·W + h·R + b);  h ← o·tanh(c);  h and c start at 0.
    x: (batch, steps, input_size) → (every step's h: (batch, steps, directions·hidden_size),
    the last h of each direction: (batch, directions·hidden_size)).
    """

    gates = 4

    def _bias_size(self) -> int:
        return 4 * self.hidden_size

    def _bias(self, bias: Parameter) -> Tensor:
        # ONNX has a second bias on the hidden side; the stated semantics has one, so the other is a constant zero.
        second = tracer().constant(np.zeros(bias.shape, dtype=np.float32))
        return functional.concat([bias, second], axis=1)


class GRU(_Recurrent):
    """Gated recurrent unit, with the reset gate applied after the matrix product (Cho et al., 2014; cuDNN's form). Gate order z, r, h.

    z, r = σ(x·W + b + h·R + c);  n = tanh(x·W + b + r·(h·R + c));  h ← (1 − z)·n + z·h;  h starts at 0; b, c: the two halves of `bias`.
    x: (batch, steps, input_size) → (every step's h, the last h of each direction), shaped as `LSTM`'s.
    """

    gates = 3

    def _bias_size(self) -> int:
        return 6 * self.hidden_size

    def _bias(self, bias: Parameter) -> Tensor:
        return bias

    def _attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": 1}


class MultiHeadAttention(Module):
    """softmax(q·kᵀ / √(features / heads)) · v in each head, between linear maps. (Vaswani et al., 2017.)

    Called with x alone: self-attention, x: (batch, steps, features), one packed map for queries, keys and values.
    With `cross=True`, called with x and memory (batch, other steps, features). `causal`: step t sees steps ≤ t only.
    """

    def __init__(self, features: int, heads: int, causal: bool = False, cross: bool = False, bias: bool = True) -> None:
        if features % heads:
            raise ModelError(f"MultiHeadAttention: {heads} heads do not divide {features} features")
        self.features, self.heads, self.causal, self.cross = features, heads, causal, cross
        if cross:
            self.query = Linear(features, features, bias)
            self.key_value = Linear(features, 2 * features, bias)
        else:
            self.query_key_value = Linear(features, 3 * features, bias)
        self.output = Linear(features, features, bias)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        require_rank(x, 3, "(batch, steps, features)")
        if self.cross != (memory is not None):
            raise ModelError(
                f"{tracer().where}: cross={self.cross} needs {'x and memory' if self.cross else 'x alone'}"
            )
        if memory is not None:
            query = self.query(x)
            key, value = functional.split(self.key_value(memory), 2)
        else:
            query, key, value = functional.split(self.query_key_value(x), 3)
        mixed = tracer().node(
            "Attention",
            [query, key, value],
            query.shape,
            q_num_heads=self.heads,
            kv_num_heads=self.heads,
            is_causal=int(self.causal),
        )
        return self.output(mixed)
