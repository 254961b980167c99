"""Training and prediction steps around a Flax model, written by hand as the optax and Flax guides write them for speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

Place = Callable[[Sequence[np.ndarray]], tuple[jax.Array, ...]]
Step = Callable[..., jax.Array]


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
