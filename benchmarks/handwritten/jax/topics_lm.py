"""topics-lm as somebody who knows JAX would write it for speed: Flax's layers with their own defaults."""

from __future__ import annotations

import os

import jax
import optax
from flax import nnx
from loop import Place, Step, build, wait

__all__ = ["make", "wait"]

LEARNING_RATE = 3e-3


class Block(nnx.Module):
    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.heads = heads
        self.norm1 = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)
        self.dropout1 = nnx.Dropout(0.1, rngs=rngs)
        self.dropout2 = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        attended = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        x = x + self.dropout1(self.out(attended.reshape(batch, length, width)))
        return x + self.dropout2(self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False)))


class LanguageModel(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(96, 128, rngs=rngs)
        self.positions = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (64, 128)))
        self.blocks = nnx.List([Block(128, 4, rngs=rngs) for _ in range(4)])
        self.norm = nnx.LayerNorm(128, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(128, 96, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.tokens(tokens) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def make(mode: str, threads: int) -> tuple[Place, Step, Step]:
    os.environ["NPROC"] = str(threads)  # the size of XLA's pool of threads, read when the first array is made
    # The hardware's own generator: making dropout masks with the default one takes a tenth of the step.
    model = LanguageModel(rngs=nnx.Rngs(params=0, dropout=jax.random.key(0, impl="rbg")))
    rate = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warmup_steps=100, decay_steps=10_000)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.01))
    return build(model, optimizer, mode)
