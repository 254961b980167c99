"""A bidirectional LSTM over short sequences as a Keras expert writes it."""

from __future__ import annotations

from typing import Any

import keras
import loop
from keras import layers
from loop import wait

__all__ = ["make", "wait"]

LEARNING_RATE = 3e-3


def build() -> keras.Model:
    sequence = keras.Input((29, 12))
    x = layers.Bidirectional(layers.LSTM(64))(sequence)
    return keras.Model(sequence, layers.Dense(9)(layers.Dropout(0.2)(x)))


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    rate = keras.optimizers.schedules.CosineDecay(0.0, 342, warmup_target=LEARNING_RATE, warmup_steps=18)
    optimizer = keras.optimizers.RMSprop(rate)
    return loop.make(build(), optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), mode, threads)
