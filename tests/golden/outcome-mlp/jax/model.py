"""outcome-mlp in JAX, with Flax NNX. Arrays are channels-last."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from safetensors.numpy import load_file


class LayerNorm(nnx.LayerNorm):
    """nnx.LayerNorm of the input less its mean, which changes neither result nor gradient.

    Its variance is E[x²] - E[x]², fast, but all digits are lost where the mean is large.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x - lax.stop_gradient(x.mean(axis=-1, keepdims=True)))


class OutcomeMLP(nnx.Module):
    """outcome-mlp: measurements (batch, 21) → (batch, 1)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.hidden1 = nnx.Linear(21, 64, rngs=rngs)
        self.norm = LayerNorm(64, epsilon=1e-5, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.hidden2 = nnx.Linear(64, 64, rngs=rngs)
        self.output = nnx.Linear(64, 1, rngs=rngs)

    def __call__(self, measurements: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.hidden1(measurements)))  # (batch, 64)
        x = nnx.relu(self.hidden2(self.dropout(x)))  # (batch, 64)
        return self.output(x)  # (batch, 1)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> OutcomeMLP:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
    model = nnx.eval_shape(lambda: OutcomeMLP(rngs=nnx.Rngs(params=0, dropout=0)))
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
