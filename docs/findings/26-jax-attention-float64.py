"""jax.nn.dot_product_attention takes its softmax in float32 whatever the type of its inputs.

JAX 0.10.2, CPU. Measured in November 2026. nnx.dot_product_attention and nnx.MultiHeadAttention call it.
https://github.com/jax-ml/jax/pull/34114
"""

import sys

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(0)
q = rng.normal(size=(1, 4, 1, 2))
scores = np.exp(np.einsum("bqhd,bkhd->bhqk", q, q) / np.sqrt(2))
exact = np.einsum("bhqk,bkhd->bqhd", scores / scores.sum(-1, keepdims=True), q)
y = np.asarray(jax.nn.dot_product_attention(q, q, q))
observed = f"{y.dtype}, {np.abs(y - exact).max():.1e} off"
expected = "float64, less than 1e-14 off"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(np.abs(y - exact).max() > 1e-14)))
