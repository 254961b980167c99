"""mnist-cnn in JAX, with Flax NNX. Arrays are channels-last."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from safetensors.numpy import load_file


class BatchNorm(nnx.BatchNorm):
    """nnx.BatchNorm of the input less its mean, which changes neither result nor gradient.

    Its variance is E[x²] - E[x]², fast, but all digits are lost where the mean is large.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            return super().__call__(x)
        mean = lax.stop_gradient(x.mean(axis=range(x.ndim - 1)))
        y = super().__call__(x - mean)
        self.mean[...] += (1 - self.momentum) * mean
        return y


class ResidualBlock(nnx.Module):
    """x (batch, …, …, channels) → (batch, …, …, channels)."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(channels, channels, (3, 3), padding=[(1, 1), (1, 1)], use_bias=False, rngs=rngs)
        self.norm1 = BatchNorm(channels, momentum=0.9, epsilon=1e-5, rngs=rngs)
        self.conv2 = nnx.Conv(channels, channels, (3, 3), padding=[(1, 1), (1, 1)], use_bias=False, rngs=rngs)
        self.norm2 = BatchNorm(channels, momentum=0.9, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))  # (batch, …, …, channels)
        y = self.norm2(self.conv2(y)) + x  # (batch, …, …, channels)
        return nnx.relu(y)  # (batch, …, …, channels)


class DownBlock(nnx.Module):
    """x (batch, 28, 28, 32) → (batch, 14, 14, 64)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(32, 64, (3, 3), strides=(2, 2), padding=[(1, 1), (1, 1)], use_bias=False, rngs=rngs)
        self.norm1 = BatchNorm(64, momentum=0.9, epsilon=1e-5, rngs=rngs)
        self.conv2 = nnx.Conv(64, 64, (3, 3), padding=[(1, 1), (1, 1)], use_bias=False, rngs=rngs)
        self.norm2 = BatchNorm(64, momentum=0.9, epsilon=1e-5, rngs=rngs)
        self.shortcut = nnx.Conv(32, 64, (1, 1), strides=(2, 2), padding="VALID", use_bias=False, rngs=rngs)
        self.shortcut_norm = BatchNorm(64, momentum=0.9, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))  # (batch, 14, 14, 64)
        y = self.norm2(self.conv2(y))  # (batch, 14, 14, 64)
        y = y + self.shortcut_norm(self.shortcut(x))  # (batch, 14, 14, 64)
        return nnx.relu(y)  # (batch, 14, 14, 64)


class MnistCNN(nnx.Module):
    """mnist-cnn: images (batch, 28, 28) → (batch, 10)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(1, 32, (3, 3), padding=[(1, 1), (1, 1)], use_bias=False, rngs=rngs)
        self.norm = BatchNorm(32, momentum=0.9, epsilon=1e-5, rngs=rngs)
        self.blocks = nnx.Sequential(
            ResidualBlock(32, rngs=rngs),
            ResidualBlock(32, rngs=rngs),
            DownBlock(rngs=rngs),
            ResidualBlock(64, rngs=rngs),
        )
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = self.norm(self.stem(images[..., None]))  # (batch, 28, 28, 32)
        x = self.blocks(nnx.relu(x))  # (batch, 14, 14, 64)
        return self.output(self.dropout(x.mean(axis=(1, 2))))  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> MnistCNN:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
    model = nnx.eval_shape(lambda: MnistCNN(rngs=nnx.Rngs(params=0, dropout=0)))
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
