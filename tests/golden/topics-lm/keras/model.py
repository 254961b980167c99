"""topics-lm in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

import math
from pathlib import Path

import keras
from keras import layers, ops
from safetensors.numpy import load_file


def gelu(x):
    """x times the normal distribution function. Keras' own rounds to float32 on TensorFlow; other types do not here."""
    if keras.backend.standardize_dtype(x.dtype) == "float32":
        return ops.gelu(x, approximate=False)
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def attention(query, key, value, is_causal=False):
    """Scaled dot-product attention. Keras' own rounds to float32 on the way; other types are computed in full here."""
    if keras.backend.standardize_dtype(query.dtype) == "float32":
        return ops.dot_product_attention(query, key, value, is_causal=is_causal)
    scores = ops.einsum("bqhd,bkhd->bhqk", query / math.sqrt(query.shape[-1]), key)
    if is_causal:
        steps = ops.arange(scores.shape[-1])
        scores = ops.where(steps[: scores.shape[-2], None] >= steps, scores, -float("inf"))
    return ops.einsum("bhqk,bkhd->bqhd", ops.softmax(scores), value)


@keras.saving.register_keras_serializable(package="topics_lm")
class MultiHeadAttention(layers.Layer):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.query_key_value = layers.Dense(384, name="query_key_value")
        self.output_layer = layers.Dense(128, name="output_layer")

    def call(self, x):
        x = self.query_key_value(x)  # (batch, 64, 384)
        query, key, value = ops.split(x, 3, axis=-1)
        query = ops.reshape(query, (-1, 64, 4, 32))
        key = ops.reshape(key, (-1, 64, 4, 32))
        value = ops.reshape(value, (-1, 64, 4, 32))
        mixed = attention(query, key, value, is_causal=True)
        x = ops.reshape(mixed, (-1, 64, 128))  # (batch, 64, 128)
        return self.output_layer(x)  # (batch, 64, 128)


@keras.saving.register_keras_serializable(package="topics_lm")
class MLP(layers.Layer):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.expand = layers.Dense(512, name="expand")
        self.contract = layers.Dense(128, name="contract")
        self.dropout = layers.Dropout(0.1, name="dropout")

    def call(self, x, training=None):
        x = gelu(self.expand(x))  # (batch, 64, 512)
        return self.dropout(self.contract(x), training=training)  # (batch, 64, 128)


@keras.saving.register_keras_serializable(package="topics_lm")
class TransformerBlock(layers.Layer):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention_norm = layers.LayerNormalization(epsilon=1e-5, name="attention_norm")
        self.attention = MultiHeadAttention(name="attention")
        self.dropout = layers.Dropout(0.1, name="dropout")
        self.mlp_norm = layers.LayerNormalization(epsilon=1e-5, name="mlp_norm")
        self.mlp = MLP(name="mlp")

    def call(self, x, training=None):
        y = self.attention(self.attention_norm(x))  # (batch, 64, 128)
        x = x + self.dropout(y, training=training)  # (batch, 64, 128)
        return x + self.mlp(self.mlp_norm(x), training=training)  # (batch, 64, 128)


@keras.saving.register_keras_serializable(package="topics_lm")
class TopicsLM(keras.Model):
    """topics-lm: tokens (batch, 64) → (batch, 64, 96)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(96, 128, name="embedding")
        self.position = self.add_weight(shape=(64, 128), name="position")
        self.blocks = keras.Sequential([TransformerBlock(name=f"blocks_{i}") for i in range(4)], name="blocks")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.output_layer = layers.Dense(96, name="output_layer")

    def call(self, tokens, training=None):
        x = self.embedding(tokens) + self.position  # (batch, 64, 128)
        x = self.norm(self.blocks(x, training=training))  # (batch, 64, 128)
        return self.output_layer(x)  # (batch, 64, 96)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = TopicsLM(name="topics_lm")
    model(keras.Input((64,), dtype="int64"))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model
