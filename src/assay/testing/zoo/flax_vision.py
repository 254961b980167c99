"""Models of images in Flax NNX: (batch, height, width, channels)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


class MnistCNN(nnx.Module):
    """Two convolutions, two dense layers."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm1 = nnx.BatchNorm(8, rngs=rngs)
        self.dropout1 = nnx.Dropout(rate=0.025, rngs=rngs)
        self.conv2 = nnx.Conv(8, 16, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm2 = nnx.BatchNorm(16, rngs=rngs)
        self.avg_pool = partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
        self.linear1 = nnx.Linear(7 * 7 * 16, 32, rngs=rngs)
        self.dropout2 = nnx.Dropout(rate=0.025, rngs=rngs)
        self.linear2 = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.avg_pool(nnx.relu(self.batch_norm1(self.dropout1(self.conv1(x)))))
        x = self.avg_pool(nnx.relu(self.batch_norm2(self.conv2(x))))
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.dropout2(self.linear1(x)))
        return self.linear2(x)


class ResidualBlock(nnx.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, features: int, stride: int = 1, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(inputs, features, (3, 3), strides=stride, use_bias=False, rngs=rngs)
        self.norm1 = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(features, features, (3, 3), use_bias=False, rngs=rngs)
        self.norm2 = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
        if stride != 1 or inputs != features:
            self.shortcut = nnx.Conv(inputs, features, (1, 1), strides=stride, use_bias=False, rngs=rngs)
            self.shortcut_norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
        else:
            self.shortcut = None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return nnx.relu(x + y)


class Bottleneck(nnx.Module):
    """A narrow convolution between two of single pixels."""

    def __init__(self, inputs: int, features: int, stride: int = 1, *, rngs: nnx.Rngs) -> None:
        norm = partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-5, rngs=rngs)
        conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv1, self.norm1 = conv(inputs, features, (1, 1)), norm(features)
        self.conv2, self.norm2 = conv(features, features, (3, 3), strides=(stride, stride)), norm(features)
        self.conv3, self.norm3 = conv(features, 4 * features, (1, 1)), norm(4 * features)
        self.project = conv(inputs, 4 * features, (1, 1), strides=(stride, stride))
        self.project_norm = norm(4 * features)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))
        y = nnx.relu(self.norm2(self.conv2(y)))
        return nnx.relu(self.norm3(self.conv3(y)) + self.project_norm(self.project(x)))


class ResNet(nnx.Module):
    """Stages of residual blocks, each with twice the channels of the one before."""

    def __init__(self, block: Any, stages: tuple[int, ...], width: int, growth: int, *, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, width, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        blocks, inputs = [], width
        for stage, count in enumerate(stages):
            for place in range(count):
                features = width * 2**stage
                blocks.append(block(inputs, features, 2 if stage and not place else 1, rngs=rngs))
                inputs = features * growth
        self.blocks = nnx.List(blocks)
        self.head = nnx.Linear(inputs, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.stem(x)))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(x, axis=(1, 2)))


class TransformerBlock(nnx.Module):
    """Attention and a feed-forward network, each after its normalisation."""

    def __init__(self, size: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.norm1 = nnx.LayerNorm(size, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, size, decode=False, dropout_rate=0.0, rngs=rngs)
        self.norm2 = nnx.LayerNorm(size, rngs=rngs)
        self.mlp = nnx.Sequential(
            nnx.Linear(size, 4 * size, rngs=rngs),
            nnx.gelu,
            nnx.Dropout(0.1, rngs=rngs),
            nnx.Linear(4 * size, size, rngs=rngs),
            nnx.Dropout(0.1, rngs=rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nnx.Module):
    """Patches as words, with one more that the class is read from."""

    def __init__(self, size: int, heads: int, layers: int, patches: int, *, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, size, (4, 4), strides=(4, 4), padding="VALID", rngs=rngs)
        self.positions = nnx.Param(jax.random.normal(rngs.params(), (1, patches + 1, size)) * 0.02)
        self.token = nnx.Param(jax.random.normal(rngs.params(), (1, 1, size)) * 0.02)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.blocks = nnx.List([TransformerBlock(size, heads, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(size, rngs=rngs)
        self.head = nnx.Linear(size, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.patches(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        token = jnp.tile(self.token[...], [x.shape[0], 1, 1])
        x = self.dropout(jnp.concatenate([token, x], axis=1) + self.positions[...])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class ConvNeXtBlock(nnx.Module):
    """A wide depthwise convolution, then a dense network at every pixel."""

    def __init__(self, size: int, *, rngs: nnx.Rngs) -> None:
        self.depthwise = nnx.Conv(size, size, (7, 7), feature_group_count=size, rngs=rngs)
        self.norm = nnx.LayerNorm(size, epsilon=1e-6, rngs=rngs)
        self.expand = nnx.Linear(size, 4 * size, rngs=rngs)
        self.reduce = nnx.Linear(4 * size, size, rngs=rngs)
        self.scale = nnx.Param(jnp.full((size,), 0.1))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.gelu(self.expand(self.norm(self.depthwise(x))), approximate=False)
        return x + self.scale[...] * self.reduce(y)


class ConvNeXt(nnx.Module):
    """Blocks between convolutions that halve the image."""

    def __init__(self, sizes: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, sizes[0], (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.norm = nnx.LayerNorm(sizes[0], rngs=rngs)
        self.stages = nnx.List([nnx.List([ConvNeXtBlock(size, rngs=rngs) for _ in range(2)]) for size in sizes])
        pairs = pairwise(sizes)
        self.halving = nnx.List([nnx.Conv(a, b, (2, 2), strides=2, padding="VALID", rngs=rngs) for a, b in pairs])
        self.head = nnx.Linear(sizes[-1], 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.norm(self.stem(x))
        for place, stage in enumerate(self.stages):
            for block in stage:
                x = block(x)
            if place < len(self.halving):
                x = self.halving[place](x)
        return self.head(x.mean(axis=(1, 2)))


class InvertedResidual(nnx.Module):
    """A depthwise convolution in more channels, weighed by what the whole image shows."""

    def __init__(self, size: int, *, rngs: nnx.Rngs) -> None:
        self.expand = nnx.Conv(size, 4 * size, (1, 1), use_bias=False, rngs=rngs)
        self.norm1 = nnx.BatchNorm(4 * size, rngs=rngs)
        self.depthwise = nnx.Conv(4 * size, 4 * size, (3, 3), feature_group_count=4 * size, use_bias=False, rngs=rngs)
        self.norm2 = nnx.BatchNorm(4 * size, rngs=rngs)
        self.squeeze = nnx.Linear(4 * size, size, rngs=rngs)
        self.excite = nnx.Linear(size, 4 * size, rngs=rngs)
        self.reduce = nnx.Conv(4 * size, size, (1, 1), use_bias=False, rngs=rngs)
        self.norm3 = nnx.BatchNorm(size, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu6(self.norm1(self.expand(x)))
        y = nnx.hard_swish(self.norm2(self.depthwise(y)))
        weight = nnx.sigmoid(self.excite(nnx.silu(self.squeeze(y.mean(axis=(1, 2))))))
        return x + self.norm3(self.reduce(y * weight[:, None, None, :]))


class MobileNet(nnx.Module):
    """Inverted residual blocks."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, width, (3, 3), strides=2, rngs=rngs)
        self.blocks = nnx.Sequential(*[InvertedResidual(width, rngs=rngs) for _ in range(3)])
        self.head = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(nnx.silu(self.blocks(self.stem(x))).mean((1, 2)))


class UNet(nnx.Module):
    """Down and up again, with what was seen on the way down joined on the way up."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.down1 = nnx.Conv(3, width, (3, 3), rngs=rngs)
        self.norm1 = nnx.GroupNorm(width, num_groups=2, rngs=rngs)
        self.down2 = nnx.Conv(width, 2 * width, (3, 3), strides=2, rngs=rngs)
        self.norm2 = nnx.GroupNorm(2 * width, num_groups=4, rngs=rngs)
        self.up = nnx.ConvTranspose(2 * width, width, (2, 2), strides=(2, 2), rngs=rngs)
        self.merge = nnx.Conv(2 * width, width, (3, 3), rngs=rngs)
        self.head = nnx.Conv(width, 4, (1, 1), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        first = nnx.silu(self.norm1(self.down1(x)))
        second = nnx.silu(self.norm2(self.down2(first)))
        joined = jnp.concatenate([first, self.up(second)], axis=-1)
        return self.head(nnx.leaky_relu(self.merge(joined), 0.2)).mean(axis=(1, 2))


class MixerBlock(nnx.Module):
    """Dense layers over the patches, then over the channels."""

    def __init__(self, patches: int, size: int, *, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = nnx.LayerNorm(size, rngs=rngs), nnx.LayerNorm(size, rngs=rngs)
        self.tokens = nnx.Sequential(nnx.Linear(patches, 20, rngs=rngs), nnx.gelu, nnx.Linear(20, patches, rngs=rngs))
        self.channels = nnx.Sequential(nnx.Linear(size, 24, rngs=rngs), nnx.gelu, nnx.Linear(24, size, rngs=rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.tokens(self.norm1(x).swapaxes(1, 2)).swapaxes(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nnx.Module):
    """Patches that dense layers mix."""

    def __init__(self, size: int, layers: int, *, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, size, (4, 4), strides=4, rngs=rngs)
        self.blocks = nnx.List([MixerBlock(16, size, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(size, rngs=rngs)
        self.head = nnx.Linear(size, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.patches(x)
        batch, height, width, size = x.shape
        x = x.reshape(batch, height * width, size)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(axis=1))


class ActorCritic(nnx.Module):
    """What to do next in a game, and how good things are, from the last pictures; both side by side."""

    def __init__(self, actions: int, *, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(4, 8, (8, 8), strides=(4, 4), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(8, 16, (4, 4), strides=(2, 2), padding="VALID", rngs=rngs)
        self.hidden = nnx.Linear(3 * 3 * 16, 32, rngs=rngs)
        self.logits = nnx.Linear(32, actions, rngs=rngs)
        self.value = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.conv1(x / 255.0))
        x = nnx.relu(self.conv2(x))
        x = nnx.relu(self.hidden(x.reshape((x.shape[0], -1))))
        return jnp.concatenate([nnx.log_softmax(self.logits(x)), self.value(x)], axis=-1)


def mnist() -> nnx.Module:
    return MnistCNN(rngs=nnx.Rngs(0))


def resnet() -> nnx.Module:
    return ResNet(ResidualBlock, (2, 2, 1), 8, 1, rngs=nnx.Rngs(0))


def resnet_bottleneck() -> nnx.Module:
    return ResNet(Bottleneck, (1, 1), 4, 4, rngs=nnx.Rngs(0))


def vision_transformer() -> nnx.Module:
    return VisionTransformer(16, 4, 3, 16, rngs=nnx.Rngs(0))


def convnext() -> nnx.Module:
    return ConvNeXt((8, 16), rngs=nnx.Rngs(0))


def mobilenet() -> nnx.Module:
    return MobileNet(8, rngs=nnx.Rngs(0))


def unet() -> nnx.Module:
    return UNet(8, rngs=nnx.Rngs(0))


def mixer() -> nnx.Module:
    return Mixer(12, 2, rngs=nnx.Rngs(0))


def actor_critic() -> nnx.Module:
    return ActorCritic(6, rngs=nnx.Rngs(0))
