"""Arithmetic and activations."""

import jax
import jax.numpy as jnp
from flax import nnx


class PReLU(nnx.Module):
    """x where x >= 0, slope * x elsewhere, with one slope per channel (nnx.PReLU has one for all)."""

    def __init__(self, channels: int) -> None:
        self.slope = nnx.Param(jnp.full((channels,), 0.25))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x >= 0, x, self.slope[...] * x)
