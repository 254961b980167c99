"""topics-lm in JAX, with Flax NNX. Arrays are channels-last."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from safetensors.numpy import load_file


def attention(query: jax.Array, key: jax.Array, value: jax.Array, heads: int, causal: bool = False) -> jax.Array:
    """Scaled dot-product attention over (batch, length, heads * size).

    jax.nn.dot_product_attention takes its softmax in float32 whatever the type of its inputs; this keeps their type.
    """
    query, key, value = (x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for x in (query, key, value))
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if causal:
        scores = jnp.where(jnp.tri(*scores.shape[-2:], dtype=bool), scores, -jnp.inf)
    output = (nnx.softmax(scores) @ value).swapaxes(1, 2)
    return output.reshape(*output.shape[:2], -1)


class LayerNorm(nnx.LayerNorm):
    """nnx.LayerNorm of the input less its mean, which changes neither result nor gradient.

    Its variance is E[x²] - E[x]², fast, but all digits are lost where the mean is large.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x - lax.stop_gradient(x.mean(axis=-1, keepdims=True)))


class MultiHeadAttention(nnx.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.query_key_value = nnx.Linear(128, 384, rngs=rngs)
        self.output = nnx.Linear(128, 128, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.query_key_value(x)  # (batch, 64, 384)
        query, key, value = jnp.split(x, 3, axis=-1)
        x = attention(query, key, value, 4, causal=True)  # (batch, 64, 128)
        return self.output(x)  # (batch, 64, 128)


class MLP(nnx.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.expand = nnx.Linear(128, 512, rngs=rngs)
        self.contract = nnx.Linear(512, 128, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.gelu(self.expand(x), approximate=False)  # (batch, 64, 512)
        return self.dropout(self.contract(x))  # (batch, 64, 128)


class TransformerBlock(nnx.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.attention_norm = LayerNorm(128, epsilon=1e-5, rngs=rngs)
        self.attention = MultiHeadAttention(rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.mlp_norm = LayerNorm(128, epsilon=1e-5, rngs=rngs)
        self.mlp = MLP(rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.dropout(self.attention(self.attention_norm(x)))  # (batch, 64, 128)
        x = x + y  # (batch, 64, 128)
        return x + self.mlp(self.mlp_norm(x))  # (batch, 64, 128)


class TopicsLM(nnx.Module):
    """topics-lm: tokens (batch, 64) → (batch, 64, 96)."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(96, 128, rngs=rngs)
        self.position = nnx.Param(jnp.zeros((64, 128)))
        self.blocks = nnx.Sequential(*[TransformerBlock(rngs=rngs) for _ in range(4)])
        self.norm = LayerNorm(128, epsilon=1e-5, rngs=rngs)
        self.output = nnx.Linear(128, 96, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embedding(tokens) + self.position[...]  # (batch, 64, 128)
        x = self.norm(self.blocks(x))  # (batch, 64, 128)
        return self.output(x)  # (batch, 64, 96)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> TopicsLM:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
    model = nnx.eval_shape(lambda: TopicsLM(rngs=nnx.Rngs(params=0, dropout=0)))
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
