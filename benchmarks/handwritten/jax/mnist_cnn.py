"""mnist-cnn as somebody who knows JAX would write it for speed: Flax's layers with their own defaults."""

from __future__ import annotations

import os

import jax
import optax
from flax import nnx
from loop import Place, Step, build, wait

__all__ = ["make", "wait"]

LEARNING_RATE = 0.05


class ConvNorm(nnx.Module):
    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, rngs: nnx.Rngs) -> None:
        padding = size // 2
        self.conv = nnx.Conv(
            inputs, outputs, (size, size), strides=stride, padding=[(padding, padding)] * 2, use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(x))


class Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        stride = outputs // inputs
        self.first = ConvNorm(inputs, outputs, 3, stride, rngs=rngs)
        self.second = ConvNorm(outputs, outputs, 3, rngs=rngs)
        self.shortcut = ConvNorm(inputs, outputs, 1, stride, rngs=rngs) if stride > 1 else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.second(nnx.relu(self.first(x)))
        return nnx.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResidualNetwork(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.stem = ConvNorm(1, 32, 3, rngs=rngs)
        widths = [(32, 32), (32, 32), (32, 64), (64, 64)]
        self.blocks = nnx.List([Block(inputs, outputs, rngs=rngs) for inputs, outputs in widths])
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.head = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem(images[..., None]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.dropout(x.mean(axis=(1, 2))))


def make(mode: str, threads: int) -> tuple[Place, Step, Step]:
    os.environ["NPROC"] = str(threads)  # the size of XLA's pool of threads, read when the first array is made
    model = ResidualNetwork(rngs=nnx.Rngs(params=0, dropout=1))
    rate = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warmup_steps=100, decay_steps=10_000)
    optimizer = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(rate, momentum=0.9, nesterov=True))
    return build(model, optimizer, mode)
