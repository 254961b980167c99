"""Optax schedules are in float32's precision where 64-bit types are on: they divide the int32 step count, in float32.

Optax 0.2.8 on JAX 0.10.2. Measured in November 2026. With the count as a float they are exact.
https://github.com/google-deepmind/optax/blob/v0.2.8/optax/schedules/_schedule.py
"""

import sys

import jax
import jax.numpy as jnp
import optax

jax.config.update("jax_enable_x64", True)
count = jnp.int32(1)  # the type of the count in Optax' own states
observed = [
    float(optax.linear_schedule(1.0, 0.0, 3)(count)),
    float(optax.warmup_cosine_decay_schedule(0.0, 1.0, 3, 10)(count)),
]
expected = [2 / 3, 1 / 3]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(max(abs(a - b) for a, b in zip(observed, expected, strict=True)) > 1e-14)))
