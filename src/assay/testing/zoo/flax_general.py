"""Models of vectors and graphs in Flax NNX."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx


class MLP(nnx.Module):
    """Dense layers, normalised."""

    def __init__(self, sizes: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(sizes)])
        self.norms = nnx.List([nnx.BatchNorm(size, rngs=rngs) for size in sizes[1:-1]])
        self.dropout = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = nnx.relu(norm(layer(x)))
        return self.layers[-1](self.dropout(x))


class Regression(nnx.Module):
    """One hidden layer, with parameters of its own instead of layers."""

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.w = nnx.Param(jax.random.uniform(rngs.params(), (inputs, hidden)))
        self.b = nnx.Param(jnp.zeros((hidden,)))
        self.out = nnx.Linear(hidden, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.tanh(x @ self.w[...] + self.b[...])) * 0.7 + 1 / 3


class Encoder(nnx.Module):
    """The mean and the spread of a hidden state."""

    def __init__(self, latent: int, *, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(144, 24, rngs=rngs)
        self.mean = nnx.Linear(24, latent, rngs=rngs)
        self.std = nnx.Linear(24, latent, rngs=rngs)

    def __call__(self, x: jax.Array, noise: jax.Array) -> jax.Array:
        x = jax.nn.relu(self.linear(x.reshape((x.shape[0], -1))))
        return self.mean(x) + jnp.exp(self.std(x)) * noise


class Decoder(nnx.Module):
    """An image from a hidden state."""

    def __init__(self, latent: int, *, rngs: nnx.Rngs) -> None:
        self.linear1 = nnx.Linear(latent, 24, rngs=rngs)
        self.linear2 = nnx.Linear(24, 144, rngs=rngs)

    def __call__(self, z: jax.Array) -> jax.Array:
        return self.linear2(jax.nn.relu(self.linear1(z))).reshape((z.shape[0], 12, 12, 1))


class VAE(nnx.Module):
    """A variational autoencoder, whose noise is given."""

    def __init__(self, latent: int, *, rngs: nnx.Rngs) -> None:
        self.encoder = Encoder(latent, rngs=rngs)
        self.decoder = Decoder(latent, rngs=rngs)

    def __call__(self, x: jax.Array, noise: jax.Array) -> jax.Array:
        return nnx.sigmoid(self.decoder(self.encoder(x, noise)))


class GraphLayer(nnx.Module):
    """Every node gathers what its neighbours say, divided by how many there are."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.own = nnx.Linear(inputs, outputs, rngs=rngs)
        self.others = nnx.Linear(inputs, outputs, use_bias=False, rngs=rngs)

    def __call__(self, nodes: jax.Array, edges: jax.Array) -> jax.Array:
        degree = 1 + jnp.abs(edges).sum(axis=-1, keepdims=True)
        heard = jnp.einsum("bij,bjf->bif", edges, self.others(nodes)) / degree
        return nnx.elu(self.own(nodes) + heard)


class GraphNetwork(nnx.Module):
    """Two rounds of messages, then the mean of all nodes."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([GraphLayer(5, 8, rngs=rngs), GraphLayer(8, 8, rngs=rngs)])
        self.head = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, nodes: jax.Array, edges: jax.Array) -> jax.Array:
        for layer in self.layers:
            nodes = layer(nodes, edges)
        return self.head(nodes.mean(axis=1))


def mlp() -> nnx.Module:
    return MLP((12, 16, 16, 4), rngs=nnx.Rngs(0))


def regression() -> nnx.Module:
    return Regression(6, 9, rngs=nnx.Rngs(0))


def autoencoder() -> nnx.Module:
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        nnx.Linear(16, 10, rngs=rngs), nnx.relu, nnx.Linear(10, 3, rngs=rngs), nnx.tanh, nnx.Linear(3, 16, rngs=rngs)
    )


def variational() -> nnx.Module:
    return VAE(4, rngs=nnx.Rngs(0))


def graph_network() -> nnx.Module:
    return GraphNetwork(rngs=nnx.Rngs(0))
