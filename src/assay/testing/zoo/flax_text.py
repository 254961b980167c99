"""Models of text in Flax NNX: tokens (batch, steps)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


class DecoderBlock(nnx.Module):
    """Attention to what came before, then a feed-forward network; each normalised before."""

    def __init__(self, size: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.norm1 = nnx.LayerNorm(size, use_bias=False, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, size, use_bias=False, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(size, rngs=rngs)
        self.dense1 = nnx.Linear(size, 4 * size, rngs=rngs)
        self.dense2 = nnx.Linear(4 * size, size, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        x = x + self.dropout(self.attention(self.norm1(x), mask=mask))
        return x + self.dropout(self.dense2(nnx.gelu(self.dense1(self.norm2(x)))))


class LanguageModel(nnx.Module):
    """What comes next at every step. Positions are sines and cosines."""

    def __init__(self, vocabulary: int, size: int, layers: int, tied: bool = False, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, size, rngs=rngs)
        self.positions = nnx.Variable(jnp.asarray(_sinusoids(32, size)))
        self.blocks = nnx.List([DecoderBlock(size, 4, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(size, rngs=rngs)
        self.output = None if tied else nnx.Linear(size, vocabulary, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        steps = tokens.shape[1]
        mask = nnx.make_causal_mask(tokens[:1])
        x = self.embedding(tokens) * 4.0 + self.positions[...][:steps]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return self.embedding.attend(x) if self.output is None else self.output(x)


def _sinusoids(steps: int, size: int) -> np.ndarray:
    angles = np.arange(steps)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, size).astype(np.float32)


class GroupedAttention(nnx.Module):
    """Attention whose queries share keys and values in groups; queries and keys are turned by their position."""

    def __init__(self, size: int, heads: int, groups: int, *, rngs: nnx.Rngs) -> None:
        self.heads, self.groups, self.head_size = heads, groups, size // heads
        self.query = nnx.LinearGeneral(size, (heads, self.head_size), use_bias=False, rngs=rngs)
        self.key_value = nnx.LinearGeneral(size, (2, groups, self.head_size), use_bias=False, rngs=rngs)
        self.output = nnx.LinearGeneral((heads, self.head_size), size, axis=(-2, -1), use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        query, both = self.query(x), self.key_value(x)
        key, value = both[:, :, 0], both[:, :, 1]
        query, key = _turned(query, cos, sin), _turned(key, cos, sin)
        return self.output(nnx.dot_product_attention(query, key, value, is_causal=True))


def _turned(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Pairs of features turned by an angle."""
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


class GatedNetwork(nnx.Module):
    """A feed-forward network, one half of which gates the other."""

    def __init__(self, size: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.gate = nnx.Linear(size, hidden, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(size, hidden, use_bias=False, rngs=rngs)
        self.down = nnx.Linear(hidden, size, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down(nnx.gelu(self.gate(x)) * self.up(x))


class GemmaBlock(nnx.Module):
    """Normalised before and after attention and network."""

    def __init__(self, size: int, *, rngs: nnx.Rngs) -> None:
        self.attention_norm = nnx.RMSNorm(size, rngs=rngs)
        self.attention = GroupedAttention(size, 4, 2, rngs=rngs)
        self.after_attention = nnx.RMSNorm(size, rngs=rngs)
        self.network_norm = nnx.RMSNorm(size, rngs=rngs)
        self.network = GatedNetwork(size, 3 * size, rngs=rngs)

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        x = x + self.after_attention(self.attention(self.attention_norm(x), cos, sin))
        return x + self.network(self.network_norm(x))


class Gemma(nnx.Module):
    """A decoder with RMS normalisation, rotary positions, grouped heads, and capped logits."""

    def __init__(self, vocabulary: int, size: int, layers: int, *, rngs: nnx.Rngs) -> None:
        self.size = size
        self.embedder = nnx.Embed(vocabulary, size, rngs=rngs)
        self.layers = nnx.List([GemmaBlock(size, rngs=rngs) for _ in range(layers)])
        self.final_norm = nnx.RMSNorm(size, rngs=rngs)
        self.head = nnx.Linear(size, vocabulary, use_bias=False, rngs=rngs)
        angles = np.arange(32)[:, None, None] / 10000 ** (np.arange(size // 8) / (size // 8))
        self.cos = nnx.Variable(jnp.asarray(np.cos(angles), jnp.float32))
        self.sin = nnx.Variable(jnp.asarray(np.sin(angles), jnp.float32))

    def __call__(self, tokens: jax.Array) -> jax.Array:
        steps = tokens.shape[1]
        x = self.embedder(tokens) * jnp.sqrt(self.size)
        for layer in self.layers:
            x = layer(x, self.cos[...][:steps], self.sin[...][:steps])
        logits = self.head(self.final_norm(x))
        return jnp.tanh(logits / 30.0) * 30.0


class Tagger(nnx.Module):
    """A tag for every word, by an LSTM."""

    def __init__(self, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(8, 12, rngs=rngs))
        self.output = nnx.Linear(12, 5, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.output(self.rnn(self.embedding(tokens)))


class GRUClassifier(nnx.Module):
    """The last state of a GRU."""

    def __init__(self, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.rnn = nnx.RNN(nnx.GRUCell(8, 10, rngs=rngs), return_carry=True)
        self.output = nnx.Linear(10, 4, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        last, _ = self.rnn(self.embedding(tokens))
        return self.output(last)


class Sentiment(nnx.Module):
    """Words read in both directions; which of them matter is learnt."""

    def __init__(self, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.word_dropout = nnx.Dropout(0.1, rngs=rngs)
        self.encoder = nnx.Bidirectional(nnx.RNN(nnx.LSTMCell(8, 7, rngs=rngs)), nnx.RNN(nnx.LSTMCell(8, 7, rngs=rngs)))
        self.keys = nnx.Linear(14, 6, use_bias=False, rngs=rngs)
        self.energy = nnx.Linear(6, 1, use_bias=False, rngs=rngs)
        self.classifier = nnx.Sequential(
            nnx.Linear(14, 9, rngs=rngs), nnx.Dropout(0.2, rngs=rngs), nnx.tanh, nnx.Linear(9, 3, rngs=rngs)
        )

    def __call__(self, tokens: jax.Array) -> jax.Array:
        words = self.encoder(self.word_dropout(self.embedding(tokens)))
        scores = self.energy(nnx.tanh(self.keys(words))).squeeze(-1)
        weights = jax.nn.softmax(scores, axis=-1)
        return self.classifier(jnp.einsum("bs,bsf->bf", weights, words))


class TextCNN(nnx.Module):
    """Convolutions over words, the strongest answer of each."""

    def __init__(self, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.convs = nnx.List([nnx.Conv(8, 6, (width,), padding="VALID", rngs=rngs) for width in (2, 3, 4)])
        self.causal = nnx.Conv(8, 5, (3,), kernel_dilation=2, padding="CAUSAL", rngs=rngs)
        self.output = nnx.Linear(23, 4, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embedding(tokens)
        found = [nnx.relu(conv(x)).max(axis=1) for conv in self.convs]
        found.append(self.causal(x)[:, -1])
        return self.output(jnp.concatenate(found, axis=-1))


class EncoderBlock(nnx.Module):
    """Attention to every word, then a feed-forward network; each normalised after."""

    def __init__(self, size: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(heads, size, decode=False, rngs=rngs)
        self.norm1 = nnx.LayerNorm(size, epsilon=1e-12, rngs=rngs)
        self.dense1 = nnx.Linear(size, 2 * size, rngs=rngs)
        self.dense2 = nnx.Linear(2 * size, size, rngs=rngs)
        self.norm2 = nnx.LayerNorm(size, epsilon=1e-12, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        x = self.norm1(x + self.attention(x, mask=mask))
        return self.norm2(x + self.dense2(jax.nn.gelu(self.dense1(x), approximate=False)))


class Bert(nnx.Module):
    """Learnt positions; words that are padding (0) are not seen."""

    def __init__(self, vocabulary: int, size: int, *, rngs: nnx.Rngs) -> None:
        self.words = nnx.Embed(vocabulary, size, rngs=rngs)
        self.positions = nnx.Embed(16, size, rngs=rngs)
        self.norm = nnx.LayerNorm(size, rngs=rngs)
        self.blocks = nnx.List([EncoderBlock(size, 4, rngs=rngs) for _ in range(2)])
        self.pooler = nnx.Linear(size, size, rngs=rngs)
        self.head = nnx.Linear(size, 3, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        seen = (tokens > 0)[:, None, None, :]
        x = self.norm(self.words(tokens) + self.positions(jnp.arange(tokens.shape[1])))
        for block in self.blocks:
            x = block(x, seen)
        return self.head(jnp.tanh(self.pooler(x[:, 0, :])))


class Seq2Seq(nnx.Module):
    """An LSTM that reads, and one that goes on from where the first ended."""

    def __init__(self, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.answers = nnx.Embed(vocabulary, 8, rngs=rngs)
        self.encoder = nnx.RNN(nnx.LSTMCell(8, 10, rngs=rngs), return_carry=True)
        self.decoder = nnx.RNN(nnx.LSTMCell(8, 10, rngs=rngs))
        self.output = nnx.Linear(10, vocabulary, rngs=rngs)

    def __call__(self, question: jax.Array, answer: jax.Array) -> jax.Array:
        carry, _ = self.encoder(self.embedding(question))
        return self.output(self.decoder(self.answers(answer), initial_carry=carry))


class CrossBlock(nnx.Module):
    """Attention to what came before, and to another text."""

    def __init__(self, size: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2, self.norm3 = (nnx.LayerNorm(size, rngs=rngs) for _ in range(3))
        self.own = nnx.MultiHeadAttention(heads, size, decode=False, rngs=rngs)
        self.other = nnx.MultiHeadAttention(heads, size, decode=False, rngs=rngs)
        self.dense1 = nnx.Linear(size, 2 * size, rngs=rngs)
        self.dense2 = nnx.Linear(2 * size, size, rngs=rngs)

    def __call__(self, x: jax.Array, memory: jax.Array) -> jax.Array:
        mask = nnx.make_causal_mask(jnp.ones((1, x.shape[1])))
        x = x + self.own(self.norm1(x), mask=mask)
        x = x + self.other(self.norm2(x), memory)
        return x + self.dense2(nnx.relu(self.dense1(self.norm3(x))))


class EncoderDecoder(nnx.Module):
    """A transformer that translates."""

    def __init__(self, vocabulary: int, size: int, *, rngs: nnx.Rngs) -> None:
        self.source = nnx.Embed(vocabulary, size, rngs=rngs)
        self.target = nnx.Embed(vocabulary, size, rngs=rngs)
        self.encoder = nnx.List([EncoderBlock(size, 2, rngs=rngs) for _ in range(2)])
        self.decoder = nnx.List([CrossBlock(size, 2, rngs=rngs) for _ in range(2)])
        self.output = nnx.Linear(size, vocabulary, rngs=rngs)

    def __call__(self, source: jax.Array, target: jax.Array) -> jax.Array:
        memory, x = self.source(source), self.target(target)
        for block in self.encoder:
            memory = block(memory)
        for block in self.decoder:
            x = block(x, memory)
        return self.output(x)


def language_model(vocabulary: int) -> nnx.Module:
    return LanguageModel(vocabulary, 16, 3, rngs=nnx.Rngs(0))


def tied_language_model(vocabulary: int) -> nnx.Module:
    return LanguageModel(vocabulary, 16, 2, tied=True, rngs=nnx.Rngs(0))


def gemma(vocabulary: int) -> nnx.Module:
    return Gemma(vocabulary, 16, 2, rngs=nnx.Rngs(0))


def tagger(vocabulary: int) -> nnx.Module:
    return Tagger(vocabulary, rngs=nnx.Rngs(0))


def gru_classifier(vocabulary: int) -> nnx.Module:
    return GRUClassifier(vocabulary, rngs=nnx.Rngs(0))


def sentiment(vocabulary: int) -> nnx.Module:
    return Sentiment(vocabulary, rngs=nnx.Rngs(0))


def text_cnn(vocabulary: int) -> nnx.Module:
    return TextCNN(vocabulary, rngs=nnx.Rngs(0))


def bert(vocabulary: int) -> nnx.Module:
    return Bert(vocabulary, 16, rngs=nnx.Rngs(0))


def seq2seq(vocabulary: int) -> nnx.Module:
    return Seq2Seq(vocabulary, rngs=nnx.Rngs(0))


def encoder_decoder(vocabulary: int) -> nnx.Module:
    return EncoderDecoder(vocabulary, 16, rngs=nnx.Rngs(0))
