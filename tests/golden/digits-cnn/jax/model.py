"""digits-cnn in JAX, with Flax NNX. Arrays are channels-last."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from safetensors.numpy import load_file


class DigitsCNN(nnx.Module):
    """digits-cnn: images (batch, 8, 8) → (batch, 10)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 32, (3, 3), padding=[(1, 1), (1, 1)], rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), padding=[(1, 1), (1, 1)], rngs=rngs)
        self.hidden = nnx.Linear(1024, 128, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.output = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = nnx.relu(self.conv1(images[..., None]))  # (batch, 8, 8, 32)
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))  # (batch, 4, 4, 64)
        x = x.reshape(x.shape[0], -1)  # (batch, 1024)
        x = self.dropout(nnx.relu(self.hidden(x)))  # (batch, 128)
        return self.output(x)  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> DigitsCNN:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
    model = nnx.eval_shape(lambda: DigitsCNN(rngs=nnx.Rngs(params=0, dropout=0)))
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
