"""topics-lm as somebody who knows JAX would write it for speed: Flax's layers with their own defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

Place = Callable[[Sequence[np.ndarray]], tuple[jax.Array, ...]]
Step = Callable[..., jax.Array]

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


def place(arrays: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
    return tuple(jnp.array(array) for array in arrays)


def wait(value: Any) -> None:
    jax.block_until_ready(value)


def build(model: nnx.Module, optimizer: optax.GradientTransformation, mode: str) -> tuple[Place, Step, Step]:
    """(place, train_step, predict) of a classifier over the last axis, whose state is donated to the next step."""
    model.train()
    training_graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    model.eval()
    evaluation_graph = nnx.graphdef(model)
    parameters, rest = nnx.to_pure_dict(parameters), nnx.to_pure_dict(rest)
    state, stale = (parameters, rest, optimizer.init(parameters)), False  # stale: newer than the model's own

    def step(state: Any, inputs: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
        parameters, rest, optimizer_state = state

        def loss_function(parameters: Any) -> tuple[jax.Array, Any]:
            network = nnx.merge(training_graph, parameters, rest, copy=True)
            losses = optax.softmax_cross_entropy_with_integer_labels(network(inputs), targets)
            return losses.mean(), nnx.to_pure_dict(nnx.state(network, nnx.Not(nnx.Param)))

        (loss, rest), gradients = jax.value_and_grad(loss_function, has_aux=True)(parameters)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, parameters)
        return (optax.apply_updates(parameters, updates), rest, optimizer_state), loss

    def forward(parameters: Any, rest: Any, inputs: jax.Array) -> jax.Array:
        return nnx.merge(evaluation_graph, parameters, rest, copy=True)(inputs)

    if mode == "jit":
        step, forward = jax.jit(step, donate_argnums=0), jax.jit(forward)

    def train_step(inputs: jax.Array, targets: jax.Array) -> jax.Array:
        nonlocal state, stale
        (state, loss), stale = step(state, inputs, targets), True
        return loss

    def predict(inputs: jax.Array) -> jax.Array:
        nonlocal stale
        if mode == "jit":
            return forward(state[0], state[1], inputs)
        if stale:
            nnx.update(model, state[0], state[1])
            stale = False
        return model(inputs)

    return place, train_step, predict
