"""A residual network for 28×28 images as a Keras expert writes it: functional, with Keras' own normalisation.

The network pads its strided convolutions evenly, as residual networks do; Keras' "same" would pad on one side only and compute
something else, so, as in keras.applications' own ResNet, a ZeroPadding2D stands before them.
"""

from __future__ import annotations

from typing import Any

import keras
import loop
from keras import layers
from loop import wait

__all__ = ["make", "wait"]

LEARNING_RATE = 0.05


def _convolution(x: Any, channels: int, size: int = 3, strides: int = 1) -> Any:
    if strides == 1 or size == 1:
        return layers.Conv2D(channels, size, strides=strides, padding="same", use_bias=False)(x)
    return layers.Conv2D(channels, size, strides=strides, use_bias=False)(layers.ZeroPadding2D(size // 2)(x))


def _block(x: Any, channels: int, strides: int = 1) -> Any:
    y = layers.BatchNormalization()(_convolution(x, channels, strides=strides))
    y = layers.BatchNormalization()(_convolution(layers.ReLU()(y), channels))
    if strides != 1:
        x = layers.BatchNormalization()(_convolution(x, channels, 1, strides))
    return layers.ReLU()(layers.add([y, x]))


def build() -> keras.Model:
    image = keras.Input((28, 28))
    x = layers.Reshape((28, 28, 1))(image)
    x = layers.ReLU()(layers.BatchNormalization()(_convolution(x, 32)))
    x = _block(_block(x, 32), 32)
    x = _block(_block(x, 64, strides=2), 64)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(10)(x))


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    rate = keras.optimizers.schedules.CosineDecay(0.0, 380, warmup_target=LEARNING_RATE, warmup_steps=20)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return loop.make(build(), optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), mode, threads)
