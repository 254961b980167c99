"""Losses. Classes are the second axis."""

import jax
import jax.numpy as jnp
from flax import nnx


def negative_log_likelihood(
    log_probabilities: jax.Array,
    labels: jax.Array,
    weight: jax.Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
) -> jax.Array:
    """Minus the logarithm of each label's probability, times its class's weight; the mean is over weights.

    A label of `ignore_index` counts nothing.
    """
    counted = jnp.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    labels = jnp.where(counted, labels, 0)
    weights = counted.astype(log_probabilities.dtype) * (1 if weight is None else weight[labels])
    losses = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0] * weights
    if reduction == "none":
        return losses
    return losses.sum() / weights.sum() if reduction == "mean" else losses.sum()


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    weight: jax.Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The negative log-likelihood under softmax, and the logarithms of all probabilities."""
    log_probabilities = nnx.log_softmax(logits, axis=1)
    return negative_log_likelihood(log_probabilities, labels, weight, reduction, ignore_index), log_probabilities
