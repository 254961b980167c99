"""Keras models that tests bring: a family of layers each, operations, and models as people write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers as L
from keras import ops


def one(shape: tuple[int | None, ...], call: Callable[[Any], Any], dtype: str = "float32") -> keras.Model:
    x = keras.Input(shape, dtype=dtype, name="x")
    return keras.Model(x, call(x))


def two(call: Callable[[Any], Any], shape: tuple[int, ...] = (4, 3), other: tuple[int, ...] = (4, 3)) -> keras.Model:
    inputs = [keras.Input(shape, name="a"), keras.Input(other, name="b")]
    return keras.Model(inputs, call(inputs))


_SPATIAL = {1: (13, 3), 2: (9, 10, 3), 3: (5, 6, 7, 3)}


def convolutions() -> Iterator[keras.Model]:
    for rank, shape in _SPATIAL.items():
        forward, back = getattr(L, f"Conv{rank}D"), getattr(L, f"Conv{rank}DTranspose")
        yield one(shape, forward(4, 3, padding="same", strides=2, activation="gelu"))
        yield one(shape, forward(4, 2, padding="valid", dilation_rate=2, use_bias=False))
        for options in ({"padding": "same"}, {"padding": "valid"}, {"padding": "same", "output_padding": 1}):
            yield one(shape, back(4, 3, strides=2, **options))
        yield one(shape, back(4, 2, strides=3, padding="valid"))
        yield one(shape, back(4, 4, strides=2, padding="same"))
    yield one((12, 4), L.Conv1D(4, 3, padding="causal"))
    yield one((8, 8, 4), L.Conv2D(6, 3, groups=2))
    yield one((8, 8, 4), L.Conv2D(6, (3, 1), strides=(1, 2)))
    yield one((8, 8, 4), L.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, activation="relu"))
    yield one((8, 4), L.SeparableConv1D(6, 3))
    yield one((8, 8, 4), L.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2))
    yield one((8, 4), L.DepthwiseConv1D(3, strides=2))


def pools() -> Iterator[keras.Model]:
    for rank, shape in _SPATIAL.items():
        for kind in ("Max", "Average"):
            window, everything = getattr(L, f"{kind}Pooling{rank}D"), getattr(L, f"Global{kind}Pooling{rank}D")
            yield one(shape, window(2))
            yield one(shape, window(3, strides=2, padding="same"))
            yield one(shape, everything())
            yield one(shape, everything(keepdims=True))
            yield one(shape, getattr(L, f"Adaptive{kind}Pooling{rank}D")(3))


def norms() -> Iterator[keras.Model]:
    for options in ({}, {"scale": False}, {"center": False, "epsilon": 0.01, "momentum": 0.9}):
        for shape in ((6, 6, 4), (6,), (5, 4)):
            yield one(shape, L.BatchNormalization(**options))
    yield one((4, 6, 6), L.BatchNormalization(axis=1))
    yield one((6, 6, 4), lambda x: L.BatchNormalization()(x, training=False))
    yield one((6, 6, 4), L.BatchNormalization(trainable=False))
    yield one((6, 6, 4), L.LayerNormalization())
    yield one((6, 4), L.LayerNormalization(axis=(1, 2), center=False))
    yield one((6, 6, 4), L.GroupNormalization(2))
    yield one((6, 6, 4), L.GroupNormalization(-1, scale=False))
    yield one((6, 4), L.RMSNormalization())
    yield one((6, 4), L.UnitNormalization())
    yield one((6, 6, 4), lambda x: L.UnitNormalization(axis=(1, 2))(L.Conv2D(3, 3)(x)))


def dense() -> Iterator[keras.Model]:
    yield one((6,), L.Dense(4, activation="relu"))
    yield one((5, 6), L.Dense(4, use_bias=False))
    yield one((5, 6), L.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de"))
    yield one((5, 6), L.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d", activation="gelu"))
    yield one((5, 6), L.EinsumDense("abc,bd->adc", (7, 6)))
    yield one((5, 3, 2), L.EinsumDense("abcd,cde->abe", (None, 7), bias_axes="e"))
    yield one((5,), L.Embedding(10, 4), "int32")
    yield one((5,), L.Embedding(10, 4))
    yield one((5,), L.CategoryEncoding(6, output_mode="multi_hot"), "int32")


_ACTIVATIONS = """
    relu relu6 leaky_relu sigmoid tanh silu gelu elu celu selu softplus softsign mish exponential hard_sigmoid hard_silu
    hard_tanh hard_shrink soft_shrink tanh_shrink sparse_sigmoid sparse_plus squareplus log_sigmoid softmax log_softmax glu
"""


def activations() -> Iterator[keras.Model]:
    for name in _ACTIVATIONS.split():
        yield one((6, 6, 3), lambda x, name=name: L.Activation(name)(L.Conv2D(4, 3)(x)))
    yield one((6,), L.ReLU(6.0, negative_slope=0.1, threshold=0.2))
    yield one((6,), L.ReLU(6.0))
    yield one((6,), L.LeakyReLU(0.1))
    yield one((6,), L.ELU(0.5))
    yield one((6, 6, 4), L.PReLU(shared_axes=[1, 2]))
    yield one((6, 4), L.PReLU())
    yield one((6, 6, 4), lambda x: L.Softmax(axis=-1)(L.Conv2D(3, 1)(x)))


def merging() -> Iterator[keras.Model]:
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        yield two(getattr(L, name)())
    for layer in (L.Concatenate(axis=1), L.Dot(axes=2), L.Dot(axes=(1, 1)), L.Attention(), L.AdditiveAttention()):
        yield two(layer)
    yield one((6, 6, 3), lambda x: L.Concatenate()([L.Conv2D(3, 3, padding="same")(x), x]))


def shaping() -> Iterator[keras.Model]:
    for layer in (
        *(L.ZeroPadding2D(((1, 2), (0, 1))), L.Cropping2D(((1, 2), (0, 1))), L.UpSampling2D(2), L.Flatten()),
        *(L.UpSampling2D((2, 3), interpolation="bilinear"), L.UpSampling2D(2, interpolation="bicubic")),
        *(L.Resizing(9, 11), L.Resizing(5, 4, interpolation="nearest"), L.Resizing(5, 4, interpolation="bicubic")),
        *(L.Resizing(12, 9, interpolation="nearest"), L.Reshape((36, 4)), L.Permute((3, 1, 2)), L.CenterCrop(3, 4)),
        *(L.SpatialDropout2D(0.3), L.Dropout(0.3, noise_shape=(None, 1, 1, 1)), L.GaussianNoise(0.1), L.Identity()),
        *(L.Reshape((-1, 2)), L.RandomFlip()),
    ):
        yield one((6, 6, 3), lambda x, layer=layer: layer(L.Conv2D(4, 3, padding="same")(x)))
    for layer in (
        *(L.ZeroPadding1D((1, 2)), L.Cropping1D(1), L.UpSampling1D(2), L.Masking(), L.Permute((2, 1))),
        L.SpatialDropout1D(0.2),
    ):
        yield one((5, 4), layer)
    for layer in (L.ZeroPadding3D(1), L.Cropping3D(1), L.UpSampling3D(2)):
        yield one((4, 5, 3, 2), layer)
    yield one((5,), L.RepeatVector(3))
    yield one((6, 6, 3), L.Rescaling(1 / 127.5, -1))
    yield one((6, 6, 3), L.Rescaling([0.1, 0.2, 0.3], [1, 2, 3]))
    yield one((6, 6, 3), lambda x: L.Conv2D(3, 3)(L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)))


def recurrent() -> Iterator[keras.Model]:
    for name in ("LSTM", "GRU", "SimpleRNN"):
        kind = getattr(L, name)
        for options in (
            *({}, {"return_sequences": True}, {"use_bias": False}, {"return_state": True}),
            *({"return_sequences": True, "return_state": True}, {"go_backwards": True, "return_sequences": True}),
        ):
            yield one((6, 3), kind(4, **options))
        for options in ({}, {"return_sequences": True}, {"return_sequences": True, "return_state": True}):
            yield one((6, 3), L.Bidirectional(kind(4, **options)))
        yield one((6, 3), L.Bidirectional(kind(4, return_sequences=True), merge_mode="sum"))
    yield one((6, 3), L.GRU(4, reset_after=False))
    yield one((6, 3), L.RNN(L.LSTMCell(4)))
    yield two(_from_state, (6, 3), (5, 3))
    yield one((6, 3), L.TimeDistributed(L.Dense(4)))
    yield one((4, 8, 8, 3), L.TimeDistributed(keras.Sequential([L.Conv2D(4, 3), L.GlobalAveragePooling2D()])))


def _from_state(given: Any) -> Any:
    _, hidden, cell = L.LSTM(4, return_state=True)(given[0])
    return L.LSTM(4, return_sequences=True)(given[1], initial_state=[hidden, cell])


def attention() -> Iterator[keras.Model]:
    for options, call in (
        ({}, {}),
        ({"value_dim": 4, "output_shape": 5}, {}),
        ({}, {"use_causal_mask": True}),
        ({"dropout": 0.1}, {"use_causal_mask": True}),
        ({}, {"return_attention_scores": True}),
    ):
        yield one((6, 8), lambda x, o=options, call=call: L.MultiHeadAttention(2, 4, **o)(x, x, **call))
    yield one((6, 8), lambda x: L.GroupQueryAttention(4, 4, 2)(x, x))
    yield two(lambda v: L.MultiHeadAttention(2, 4)(v[0], v[1]), (6, 8), (4, 5))
    yield two(lambda v: L.MultiHeadAttention(2, 4)(v[0], v[0], attention_mask=v[1] > 0), (6, 8), (6, 6))
    yield one((6,), _masked, "int32")


def _masked(x: Any) -> Any:
    y = L.Embedding(10, 8, mask_zero=True)(x)
    return L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 4)(y, y))


FAMILIES = (*(convolutions, pools, norms, dense, activations, merging, shaping, recurrent, attention),)


# Operations -----------------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x + 2) * x - x / 3 + x**2 - ops.maximum(x, 0.3) + 1 - -x,
    "comparisons": lambda x: ops.where(ops.logical_and(x > 0.1, ops.not_equal(x, 5)), x, ops.abs(x)),
    "functions": lambda x: ops.sqrt(ops.exp(x)) + ops.log1p(ops.square(x)) + ops.erf(x) + ops.rsqrt(ops.abs(x) + 1),
    "modulo": lambda x: ops.mod(x, 0.7) + ops.floor_divide(x, 0.3) + ops.clip(x, -0.5, 0.5) + ops.sign(x),
    "sums": lambda x: ops.sum(x, axis=1, keepdims=True) + ops.mean(x, axis=-1)[:, :, None] + ops.max(x) - ops.prod(x, 2)[:, :, None],
    "moments": lambda x: ops.var(x, axis=1) + ops.std(x, axis=1) + ops.logsumexp(x, axis=1) + ops.norm(x, axis=1),
    "shapes": lambda x: ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, 12))[:, ::2],
    "batch": lambda x: ops.reshape(x, (ops.shape(x)[0], 2, -1)),
    "axes": lambda x: ops.squeeze(ops.expand_dims(ops.swapaxes(x, 1, 2), 1), 1) + ops.moveaxis(x, 1, 2),
    "joined": lambda x: ops.concatenate([x, ops.flip(x, 1), ops.stack([x[:, 0], x[:, -1]], axis=1)], axis=1),
    "split": lambda x: ops.split(x, 2, axis=1)[0] * ops.split(x, [1, 3], axis=1)[1],
    "repeated": lambda x: ops.tile(x, (1, 2, 1)) + ops.repeat(x, 2, axis=1),
    "products": lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))) + ops.einsum("bij,bkj->bik", x, x),
    "places": lambda x: ops.take(x, [2, 0], axis=1) + ops.one_hot(ops.argmax(x, axis=-1), 3)[:, :2],
    "largest": lambda x: ops.top_k(x, 2)[0] + ops.cast(ops.top_k(x, 2)[1], "float32"),
    "padded": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0))) + ops.pad(x, ((0, 0), (2, 1), (0, 0)), mode="reflect"),
    "triangles": lambda x: ops.tril(x) + ops.triu(x, 1) + ops.cumsum(x, axis=1) + ops.ones_like(x),
    "networks": lambda x: ops.relu(x) + ops.softmax(x) + ops.silu(x) + ops.normalize(x) + ops.leaky_relu(x) + ops.tanh(x),
}  # fmt: skip


# Models as people write them ------------------------------------------------------------------------------------------


class Block(L.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = L.LayerNormalization(epsilon=1e-6)
        self.attention = L.MultiHeadAttention(2, width // 2, dropout=0.1)
        self.up = L.Dense(2 * width, activation="gelu")
        self.down = L.Dense(width)
        self.drop = L.Dropout(0.1)

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")
        super().build(shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = self.norm(x)
        x = x + self.drop(self.attention(y, y, use_causal_mask=True), training=training)
        return x + self.gamma * self.down(self.up(x))


class Positions(L.Layer):
    def __init__(self, length: int, entries: int, width: int) -> None:
        super().__init__()
        self.tokens, self.places = L.Embedding(entries, width), L.Embedding(length, width)

    def call(self, x: Any) -> Any:
        return self.tokens(x) + self.places(ops.arange(0, ops.shape(x)[-1]))


class GPT(keras.Model):
    """Blocks in a list, a table that is used twice."""

    def __init__(self, width: int = 8, depth: int = 3, entries: int = 11, length: int = 6) -> None:
        super().__init__()
        self.embed = Positions(length, entries, width)
        self.blocks = [Block(width) for _ in range(depth)]
        self.final = L.LayerNormalization()

    def call(self, tokens: Any) -> Any:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return ops.matmul(self.final(x), ops.transpose(self.embed.tokens.embeddings))


class Heads(keras.Model):
    """A Sequential inside, a dict of layers, a dict as result, and a function of Python's own in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = keras.Sequential(
            [L.Conv2D(8, 3, padding="same", activation="relu"), L.BatchNormalization(), L.MaxPooling2D()]
        )
        self.heads = {"kind": L.Dense(3), "place": L.Dense(2, activation="sigmoid")}

    def call(self, image: Any, training: bool = False) -> Any:
        x = self.stem(image, training=training)
        x = ops.reshape(x, (ops.shape(x)[0], -1))
        return {name: head(x) for name, head in self.heads.items()}


def convolutional() -> keras.Model:
    """With a squeeze and excitation, a residual, and a flatten before the last layer."""
    x = image = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = L.ReLU(6.0)(L.BatchNormalization(name="norm")(x))
    scale = L.Conv2D(8, 1, activation="sigmoid", name="excite")(L.GlobalAveragePooling2D(keepdims=True)(x))
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(L.Multiply()([x, scale]))
    x = L.MaxPooling2D(name="pool")(L.Concatenate()([x, L.Add()([x, y])]))
    return keras.Model(image, L.Dense(5, name="head")(L.Dropout(0.3)(L.Flatten()(x))), name="small-cnn")


def shared() -> keras.Model:
    """One layer called twice."""
    layer = L.Dense(4, activation="tanh", name="encoder")
    return two(lambda v: L.Concatenate()([layer(v[0]), layer(v[1])]))
