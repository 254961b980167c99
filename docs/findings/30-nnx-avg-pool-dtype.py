"""nnx.avg_pool(count_include_pad=False) turns float32 into float64 where 64-bit types are on.

Flax 0.12.8 on JAX 0.10.2. Measured in November 2026. The counts have the default type.
https://github.com/google/flax/blob/v0.12.8/flax/linen/pooling.py
"""

import sys

import jax
import jax.numpy as jnp
from flax import nnx

jax.config.update("jax_enable_x64", True)
x = jnp.ones((1, 4, 4, 1), jnp.float32)
observed = nnx.avg_pool(x, (2, 2), padding=((1, 1), (1, 1)), count_include_pad=False).dtype.name
expected = "float32"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
