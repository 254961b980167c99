"""tiny in JAX, with Flax NNX. Arrays are channels-last."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from safetensors.numpy import load_file


class Tiny(nnx.Module):
    """tiny: x (batch, 4) → (batch, 3)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.Sequential(nnx.Linear(4, 16, rngs=rngs), nnx.relu, nnx.Linear(16, 3, rngs=rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layers(x)  # (batch, 3)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> Tiny:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
    model = nnx.eval_shape(lambda: Tiny(rngs=nnx.Rngs(params=0, dropout=0)))
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
