"""Dropout by a computed ratio, and optimizers as functions."""

import jax
import jax.numpy as jnp


def dropped_out(x: jax.Array, ratio: float, training: jax.Array | bool, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x with a share of its elements at zero and the others larger, and which of them are kept."""
    kept = jax.random.uniform(key, x.shape) >= jnp.where(training, ratio, 0)
    return jnp.where(kept, x / jnp.where(training, 1 - ratio, 1), 0).astype(x.dtype), kept


def adagrad_step(
    rate: jax.Array,
    step: jax.Array,
    x: jax.Array,
    gradient: jax.Array,
    squares: jax.Array,
    norm: float,
    decay: float,
    epsilon: float,
) -> tuple[jax.Array, jax.Array]:
    """One step of Adagrad: the parameter and the sum of squared gradients after it."""
    gradient = gradient + norm * x
    squares = squares + gradient * gradient
    return x - rate / (1 + step * decay) * gradient / (jnp.sqrt(squares) + epsilon), squares


def adam_step(
    rate: jax.Array,
    step: jax.Array,
    x: jax.Array,
    gradient: jax.Array,
    mean: jax.Array,
    squares: jax.Array,
    alpha: float,
    beta: float,
    norm: float,
    norm_after: float,
    epsilon: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step of Adam: the parameter and the running averages of gradients and their squares after it."""
    gradient = gradient + norm * x
    mean = alpha * mean + (1 - alpha) * gradient
    squares = beta * squares + (1 - beta) * gradient * gradient
    adjusted = jnp.where(step > 0, rate * jnp.sqrt(1 - beta**step) / (1 - alpha**step), rate)
    x = x - adjusted * mean / (jnp.sqrt(squares) + epsilon)
    return ((1 - norm_after) * x).astype(mean.dtype), mean, squares


def momentum_step(
    rate: jax.Array,
    step: jax.Array,
    x: jax.Array,
    gradient: jax.Array,
    velocity: jax.Array,
    alpha: float,
    beta: float,
    norm: float,
    nesterov: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """One step with momentum: the parameter and its velocity after it. The first gradient counts in full."""
    gradient = gradient + norm * x
    velocity = alpha * velocity + jnp.where(step > 0, beta, 1.0).astype(x.dtype) * gradient
    return x - rate * (gradient + alpha * velocity if nesterov else velocity), velocity
