"""A small causal transformer as a Keras expert writes it: functional, with Keras' own multi-head attention."""

from __future__ import annotations

from typing import Any

import keras
import loop
from keras import layers, ops
from loop import wait

__all__ = ["make", "wait"]

LEARNING_RATE = 3e-3


class TokenAndPosition(layers.Layer):
    """tokens (batch, length) → (batch, length, width)."""

    def __init__(self, vocabulary: int, length: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tokens = layers.Embedding(vocabulary, width)
        self.positions = layers.Embedding(length, width)

    def call(self, tokens: Any) -> Any:
        return self.tokens(tokens) + self.positions(ops.arange(tokens.shape[1]))


def _block(x: Any, width: int, heads: int) -> Any:
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.MultiHeadAttention(heads, width // heads)(y, y, use_causal_mask=True)
    x = x + layers.Dropout(0.1)(y)
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(y))
    return x + layers.Dropout(0.1)(y)


def build() -> keras.Model:
    tokens = keras.Input((64,), dtype="int32")
    x = TokenAndPosition(96, 64, 128)(tokens)
    for _ in range(4):
        x = _block(x, 128, 4)
    return keras.Model(tokens, layers.Dense(96)(layers.LayerNormalization(epsilon=1e-5)(x)))


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    rate = keras.optimizers.schedules.CosineDecay(0.0, 380, warmup_target=LEARNING_RATE, warmup_steps=20)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0)
    return loop.make(build(), optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), mode, threads)
