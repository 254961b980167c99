"""Modules of every kind that people write in Flax NNX, each with an example of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

Made = tuple[nnx.Module, tuple[Any, ...]]


class Scaled(nnx.Module):
    """Parameters of its own beside layers, and numbers that float32 does not hold."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.output = nnx.Linear(8, 3, use_bias=False, rngs=rngs)
        self.scale = nnx.Param(jax.random.normal(rngs.params(), (3,)))
        self.offset = nnx.Variable(jnp.arange(3.0))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.output(self.dropout(nnx.gelu(self.norm(self.hidden(x)))))
        return y * self.scale[...] + x.mean(-1, keepdims=True) / 3 + 0.1 * self.offset[...]


class Block(nnx.Module):
    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(channels, channels, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(channels, momentum=0.97, epsilon=1e-3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(x + self.norm(self.conv(x)))


class ResNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 8, (3, 3), strides=2, rngs=rngs)
        self.blocks = nnx.List([Block(8, rngs) for _ in range(3)])
        self.head = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, image: jax.Array) -> dict[str, jax.Array]:
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        features = x.mean(axis=(1, 2))
        return {"features": features, "logits": self.head(features) / 0.7}


class Images(nnx.Module):
    """Convolutions and pools of every kind; what depends on the whole image; channels joined and cut."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.depthwise = nnx.Conv(4, 8, (3, 3), feature_group_count=4, strides=2, padding=1, rngs=rngs)
        self.norm = nnx.GroupNorm(8, num_groups=2, rngs=rngs)
        self.dilated = nnx.Conv(8, 6, (3, 3), kernel_dilation=2, padding="SAME", rngs=rngs)
        self.up = nnx.ConvTranspose(6, 4, (3, 3), strides=(2, 2), rngs=rngs)
        self.wide = nnx.ConvTranspose(4, 4, (4, 4), strides=(2, 2), padding="VALID", transpose_kernel=True, rngs=rngs)
        self.around = nnx.Conv(4, 4, (3, 2), padding=((1, 1), (0, 1)), rngs=rngs)
        self.squeeze = nnx.Linear(4, 4, rngs=rngs)
        self.output = nnx.Linear(12, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.silu(self.norm(self.depthwise(x)))
        x = nnx.max_pool(nnx.relu6(self.dilated(x)), (3, 3), strides=(2, 2), padding="SAME")
        x = nnx.hard_swish(self.up(x))
        x = self.around(nnx.leaky_relu(self.wide(x), 0.2))
        x = x * nnx.sigmoid(self.squeeze(x.mean(axis=(1, 2))))[:, None, None, :]
        pooled = nnx.avg_pool(x, (2, 2), strides=(2, 2), padding="SAME", count_include_pad=False)
        around = nnx.avg_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        joined = jnp.concatenate([pooled, around, pooled[..., ::-1]], axis=-1)
        return self.output(joined.max(axis=(1, 2)))


class Padded(nnx.Module):
    """Padding by the data itself, and on one side only."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.circular = nnx.Conv(4, 4, (3, 3), padding="CIRCULAR", rngs=rngs)
        self.reflected = nnx.Conv(4, 4, (4, 4), padding="REFLECT", rngs=rngs)
        self.causal = nnx.Conv(4, 2, (3,), padding="CAUSAL", kernel_dilation=2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.causal(self.reflected(self.circular(x)).mean(1))


class Words(nnx.Module):
    """Attention as a layer, by functions, and by products."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.words = nnx.Embed(11, 8, rngs=rngs)
        self.positions = nnx.Param(jax.random.normal(rngs.params(), (16, 8)))
        self.layer = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.packed = nnx.LinearGeneral(8, (3, 2, 4), rngs=rngs)
        self.joined = nnx.LinearGeneral((2, 4), 8, axis=(-2, -1), rngs=rngs)
        self.norm = nnx.RMSNorm(8, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.words(tokens) + self.positions[: tokens.shape[1]]
        seen = (tokens > 0)[:, None, None, :]
        x = x + self.layer(x, mask=nnx.make_causal_mask(tokens[:1])) + self.layer_by_hand(x, seen)
        return self.norm(x) @ self.words.embedding[...].T

    def layer_by_hand(self, x: jax.Array, seen: jax.Array) -> jax.Array:
        query, key, value = (part.squeeze(2) for part in jnp.split(self.packed(x), 3, axis=2))
        fused = nnx.dot_product_attention(query, key, value, mask=seen)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / jnp.sqrt(4)
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", nnx.softmax(scores), value)
        return self.joined(fused) + self.joined_again(mixed)

    def joined_again(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], 8) * 0.3


class Recurrent(nnx.Module):
    def __init__(self, cell: Callable[..., nnx.Module], rngs: nnx.Rngs, **options: Any) -> None:
        self.rnn = nnx.RNN(cell(5, 4, rngs=rngs), **options)
        self.back = nnx.Bidirectional(nnx.RNN(cell(4, 3, rngs=rngs)), nnx.RNN(cell(4, 3, rngs=rngs)))
        self.output = nnx.Linear(6, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = self.rnn(x)
        carry, steps = found if isinstance(found, tuple) else (found[:, 0], found)
        return self.output(self.back(steps)), jax.tree.leaves(carry)[0]


class OwnCell(nnx.Module):
    """A loop that the user writes with jax's scan."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(3, 4, rngs=rngs)
        self.state = nnx.Param(jax.random.normal(rngs.params(), (4, 4)))

    def __call__(self, x: jax.Array) -> jax.Array:
        inside, weight = self.inner(x), self.state[...]

        def step(carry: jax.Array, item: jax.Array) -> tuple[jax.Array, jax.Array]:
            carry = jnp.tanh(item + carry @ weight)
            return carry, carry.sum(-1)

        last, sums = lax.scan(step, jnp.zeros_like(inside[:, 0]), inside.swapaxes(0, 1))
        return jnp.concatenate([last, sums.T], axis=-1)


class Operations(nnx.Module):
    """Functions of jax.numpy and jax.lax, without layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.table = nnx.Param(jax.random.normal(rngs.params(), (7, 4)))

    def __call__(self, x: jax.Array, ids: jax.Array) -> tuple[jax.Array, ...]:
        y = self.table[...][ids].sum(1) + jnp.take(self.table[...], jnp.array([1, 3, 0, -1]), axis=0).mean(0)
        z = jnp.where(x > 0, jnp.sqrt(jnp.abs(x) + 1), lax.rsqrt(x * x + 1)) ** 3
        z = jnp.clip(z, -2, 2) + jnp.cumsum(x, axis=-1) / (1 + jnp.exp(-x)) + jnp.minimum(x, 0.3) % 0.7
        ordered = jnp.sort(x, axis=-1)[:, ::-1] + jnp.roll(x, 1, axis=-1) + jnp.pad(x[:, 1:-1], ((0, 0), (1, 1)))
        best, place = lax.top_k(x, 2)
        activations = sum(function(x) for function in _ACTIVATIONS)
        spread = jnp.var(x, axis=-1) + jnp.std(x, axis=-1) + jax.nn.logsumexp(x, axis=-1) + jnp.linalg.norm(x, axis=-1)
        chosen = jnp.take_along_axis(x, place, axis=-1) * best + jax.nn.one_hot(ids[:, :2], 7)[..., :2].sum(1)
        return y + z + ordered + activations, spread, chosen, jnp.argmax(x, axis=-1)


_ACTIVATIONS: tuple[Callable[[jax.Array], jax.Array], ...] = (
    *(nnx.relu, nnx.relu6, nnx.silu, nnx.softplus, nnx.selu, nnx.hard_sigmoid, nnx.hard_silu, nnx.hard_tanh),
    *(nnx.soft_sign, nnx.log_sigmoid, nnx.sigmoid, nnx.tanh, jax.nn.mish, nnx.softmax, nnx.log_softmax),
    *(partial(nnx.elu, alpha=0.7), partial(nnx.celu, alpha=0.6), partial(nnx.leaky_relu, negative_slope=0.1)),
    *(nnx.gelu, partial(nnx.gelu, approximate=False)),
)


class Nested(nnx.Module):
    """Inputs and outputs in dicts, an input that is no array, and a function under nnx.jit and nnx.remat."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.net = nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), nnx.relu, Block2(rngs))

    def __call__(self, batch: dict[str, jax.Array], *, double: bool = False) -> dict[str, Any]:
        x = nnx.remat(lambda module, given: module(given))(self.net, batch["left"]) + batch["right"]
        return {"out": {"x": x * 2 if double else x}, "more": (x.sum(-1),)}


class Block2(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(4, 4, rngs=rngs)

    @nnx.jit
    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.tanh(self.linear(x))


class Twice(nnx.Module):
    """One layer that is called twice."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(nnx.relu(self.layer(x)))


class FixedBatch(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        if x.shape[0] > 2:
            return x + 1
        return x * 2


class DataDependent(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        if x.sum() > 0:  # the line that the message names
            return x
        return -x


class Random(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.rngs = rngs

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + jax.random.normal(self.rngs.noise(), x.shape) + lax.cbrt(lax.lgamma(x))


class Uncalled(nnx.Module):
    pass


def _with(kind: Callable[..., nnx.Module], *shapes: tuple[int, ...], **options: Any) -> Callable[[], Made]:
    def make() -> Made:
        return kind(rngs=nnx.Rngs(0), **options), tuple(np.zeros(shape, np.float32) for shape in shapes)

    return make


MODULES: dict[str, Callable[[], Made]] = {
    "scaled": _with(Scaled, (2, 6)),
    "resnet": _with(ResNet, (2, 16, 16, 3)),
    "images": _with(Images, (2, 12, 12, 4)),
    "padded": _with(Padded, (2, 7, 8, 4)),
    "words": lambda: (Words(nnx.Rngs(0)), (np.zeros((2, 6), np.int32),)),
    "lstm": _with(partial(Recurrent, nnx.LSTMCell), (2, 6, 5)),
    "optimized lstm": _with(partial(Recurrent, nnx.OptimizedLSTMCell), (2, 6, 5), return_carry=True),
    "gru": _with(partial(Recurrent, nnx.GRUCell), (2, 6, 5), reverse=True, keep_order=True),
    "reversed": _with(partial(Recurrent, nnx.LSTMCell), (2, 6, 5), reverse=True),
    "simple cell": _with(partial(Recurrent, nnx.SimpleCell), (2, 6, 5)),
    "own cell": _with(OwnCell, (2, 5, 3)),
    "operations": lambda: (Operations(nnx.Rngs(0)), (np.zeros((2, 4), np.float32), np.zeros((2, 3), np.int32))),
    "twice": _with(Twice, (2, 4)),
}


def resnet() -> Made:
    return MODULES["resnet"]()


def scaled() -> nnx.Module:
    return Scaled(nnx.Rngs(0))


def images() -> Made:
    return MODULES["images"]()
