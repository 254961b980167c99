"""XLA's CPU compiler takes x / s, of an array and one number, as x * (1 / s): the last place of many quotients is wrong.

JAX 0.10.2, CPU. Measured in November 2026. Divided by an array of copies of s, all are exact. IEEE 754 has division rounded correctly.
https://github.com/openxla/xla/tree/main/xla/service/cpu
"""

import sys

import jax.numpy as jnp
import numpy as np

x, s = np.linspace(-3, 3, 100_000, dtype=np.float32), np.float32(0.019607844)
wrong = int((np.asarray(jnp.asarray(x) / s) != x / s).sum())
first = (jnp.full(8, -2.5, jnp.float32) / s)[0].item()
observed = f"{wrong} of 100000 quotients differ; -2.5 / s = {first}"
expected = f"0 of 100000 quotients differ; -2.5 / s = {(np.float32(-2.5) / s).item()}"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
