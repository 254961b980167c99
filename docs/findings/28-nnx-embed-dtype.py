"""nnx.Embed keeps the type of its first values: float64 weights put in later are rounded to float32.

Flax 0.12.8 on JAX 0.10.2. Measured in November 2026. Documented is "default: same as embedding".
https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/linear.html#flax.nnx.Embed
"""

import sys

import jax
import jax.numpy as jnp
from flax import nnx

jax.config.update("jax_enable_x64", True)
layer = nnx.Embed(1, 1, rngs=nnx.Rngs(0))
layer.embedding = nnx.Param(jnp.array([[1 / 3]], jnp.float64))
y = layer(jnp.array([0]))
observed, expected = (y.dtype.name, y.item()), ("float64", 1 / 3)

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
