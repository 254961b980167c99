"""Recurrent layers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


class LSTM(nnx.Module):
    """(batch, steps, features) → the output of every step, and the last one. Gate order i, f, g, o."""

    def __init__(self, in_features: int, hidden_features: int, reverse: bool = False, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers
        self.kernel = nnx.Param(init.lecun_normal()(rngs.params(), (in_features, 4 * hidden_features)))
        self.recurrent_kernel = nnx.Param(init.orthogonal()(rngs.params(), (hidden_features, 4 * hidden_features)))
        self.bias = nnx.Param(jnp.zeros((4 * hidden_features,)))
        self.reverse = reverse

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return scan_lstm(x, self.kernel[...], self.recurrent_kernel[...], self.bias[...], reverse=self.reverse)


class TwoBiasLSTM(LSTM):
    """An LSTM with a bias for the inputs and one for the state, as PyTorch has it: their sum acts, both are trained."""

    def __init__(self, in_features: int, hidden_features: int, reverse: bool = False, *, rngs: nnx.Rngs) -> None:
        super().__init__(in_features, hidden_features, reverse, rngs=rngs)
        self.recurrent_bias = nnx.Param(jnp.zeros((4 * hidden_features,)))

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        bias = self.bias[...] + self.recurrent_bias[...]
        return scan_lstm(x, self.kernel[...], self.recurrent_kernel[...], bias, reverse=self.reverse)


# Without jit around it, JAX would compile the loop over time again at every call in eager mode.
@partial(jax.jit, static_argnames="reverse")
def scan_lstm(
    inputs: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """The recurrence of an LSTM.

    The inputs meet their kernel inside the loop: XLA does not vectorise the gates over slices of a product taken before
    it, which makes a training step on a CPU 1.5 times as long, and inference 2.5 times.
    """

    def step(carry: tuple[jax.Array, jax.Array], x: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        hidden, cell = carry
        i, f, g, o = jnp.split(x @ kernel + (hidden @ recurrent_kernel + bias), 4, axis=-1)
        cell = nnx.sigmoid(f) * cell + nnx.sigmoid(i) * jnp.tanh(g)
        hidden = nnx.sigmoid(o) * jnp.tanh(cell)
        return (hidden, cell), hidden

    zeros = jnp.zeros((inputs.shape[0], recurrent_kernel.shape[0]), inputs.dtype)
    (final, _), outputs = lax.scan(step, (zeros, zeros), inputs.swapaxes(0, 1), reverse=reverse)
    return outputs.swapaxes(0, 1), final


class GRU(nnx.Module):
    """(batch, steps, features) → the output of every step, and the last one. Gate order r, z, n.

    Both sides have a bias (nnx.GRUCell has none on the hidden side), and the reset gate acts after the matrix product.
    """

    def __init__(self, in_features: int, hidden_features: int, reverse: bool = False, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers
        self.kernel = nnx.Param(init.lecun_normal()(rngs.params(), (in_features, 3 * hidden_features)))
        self.recurrent_kernel = nnx.Param(init.orthogonal()(rngs.params(), (hidden_features, 3 * hidden_features)))
        self.bias = nnx.Param(jnp.zeros((3 * hidden_features,)))
        self.recurrent_bias = nnx.Param(jnp.zeros((3 * hidden_features,)))
        self.reverse = reverse

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = (self.kernel[...], self.recurrent_kernel[...], self.bias[...], self.recurrent_bias[...])
        return scan_gru(x, *weights, reverse=self.reverse)


# Without jit around it, JAX would compile the loop over time again at every call in eager mode.
@partial(jax.jit, static_argnames="reverse")
def scan_gru(
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    recurrent_bias: jax.Array,
    reverse: bool,
) -> tuple[jax.Array, jax.Array]:
    """The recurrence of a GRU. The inputs meet their kernel inside the loop, so that XLA vectorises the gates."""

    def step(hidden: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x_r, x_z, x_n = jnp.split(x @ kernel + bias, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(hidden @ recurrent_kernel + recurrent_bias, 3, axis=-1)
        update = nnx.sigmoid(x_z + h_z)
        candidate = jnp.tanh(x_n + nnx.sigmoid(x_r + h_r) * h_n)
        hidden = (1 - update) * candidate + update * hidden
        return hidden, hidden

    zeros = jnp.zeros((inputs.shape[0], recurrent_kernel.shape[0]), inputs.dtype)
    final, outputs = lax.scan(step, zeros, inputs.swapaxes(0, 1), reverse=reverse)
    return outputs.swapaxes(0, 1), final


class Bidirectional(nnx.Module):
    """A recurrent layer in each direction; the features of both are joined."""

    def __init__(self, forward: nnx.Module, backward: nnx.Module) -> None:
        self.forward, self.backward = forward, backward

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        sequence, final = self.forward(x)
        sequence_back, final_back = self.backward(x)
        return (
            jnp.concatenate([sequence, sequence_back], axis=-1),
            jnp.concatenate([final, final_back], axis=-1),
        )


# Without jit around it, JAX would compile the loop over time again at every call in eager mode.
@partial(jax.jit, static_argnames=("step", "options", "reverse"))
def scan_over_time(
    step: Callable[..., tuple[Any, jax.Array]],
    options: tuple[Any, ...],
    start: Any,
    x: jax.Array,
    weights: Any,
    lengths: jax.Array | None,
    reverse: bool,
) -> tuple[Any, jax.Array]:
    """Steps over the first axis of x, in each example as many as it is long; what lies behind is zero."""

    def masked(state: Any, item: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        time, now = item
        after, output = step(*options, state, now, *weights)
        if lengths is None:
            return after, output
        alive = (time < lengths)[:, None]
        kept = jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, state)
        return kept, jnp.where(alive, output, 0)

    return lax.scan(masked, start, (jnp.arange(x.shape[0]), x), reverse=reverse)


def over_directions(
    step: Callable[..., tuple[Any, jax.Array]],
    options: tuple[Any, ...],
    x: jax.Array,
    weights: Sequence[jax.Array],
    start: Sequence[jax.Array | None],
    lengths: jax.Array | None,
    direction: str,
    batch_major: bool,
    activations: Sequence[Callable[..., jax.Array]],
) -> tuple[jax.Array, ...]:
    """Runs a recurrence in each direction: (time, directions, batch, units), then each final state.

    `weights` and `start` have a first axis of directions. With `batch_major` the batch comes first everywhere.
    """
    x = x.swapaxes(0, 1) if batch_major else x
    units = weights[1].shape[-1]
    zeros = jnp.zeros((weights[0].shape[0], x.shape[1], units), x.dtype)
    states = [zeros if item is None else item.swapaxes(0, 1) if batch_major else item for item in start]
    outputs, finals = [], []
    each = len(activations) // weights[0].shape[0]
    for place in range(weights[0].shape[0]):
        own = (*options, *activations[place * each : (place + 1) * each])
        state = tuple(item[place] for item in states)
        reverse = direction == "reverse" or place == 1
        parts = [item[place] for item in weights]
        final, output = scan_over_time(step, own, state, x, parts, lengths, reverse)
        outputs.append(output)
        finals.append(final)
    y = jnp.stack(outputs, axis=1)
    ends = [jnp.stack(items) for items in zip(*finals, strict=True)]
    if batch_major:
        return y.transpose(2, 0, 1, 3), *(end.swapaxes(0, 1) for end in ends)
    return y, *ends


def clipped(x: jax.Array, limit: float | None) -> jax.Array:
    return x if limit is None else jnp.clip(x, -limit, limit)


def rnn_over(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    lengths: jax.Array | None = None,
    hidden: jax.Array | None = None,
    direction: str = "forward",
    batch_major: bool = False,
    clip: float | None = None,
    activations: Sequence[Callable[..., jax.Array]] | None = None,
) -> tuple[jax.Array, ...]:
    """An Elman network over computed weights (directions, units, inputs): outputs, and the final states."""
    bias = jnp.zeros((kernel.shape[0], 2 * kernel.shape[1]), x.dtype) if bias is None else bias
    functions = activations or (jnp.tanh,) * kernel.shape[0]
    weights = (kernel, recurrent_kernel, bias)
    return over_directions(rnn_step, (clip,), x, weights, (hidden,), lengths, direction, batch_major, functions)


def rnn_step(
    clip: float | None, activation: Any, state: Any, x: jax.Array, w: jax.Array, r: jax.Array, b: jax.Array
) -> Any:
    y = activation(clipped(x @ w.T + state[0] @ r.T + sum(jnp.split(b, 2)), clip))
    return (y,), y


def gru_over(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    lengths: jax.Array | None = None,
    hidden: jax.Array | None = None,
    direction: str = "forward",
    batch_major: bool = False,
    clip: float | None = None,
    activations: Sequence[Callable[..., jax.Array]] | None = None,
    reset_after: bool = False,
) -> tuple[jax.Array, ...]:
    """A GRU over computed weights, gates in the order z, r, h: outputs, and the final states."""
    bias = jnp.zeros((kernel.shape[0], 2 * kernel.shape[1]), x.dtype) if bias is None else bias
    functions = activations or (nnx.sigmoid, jnp.tanh) * kernel.shape[0]
    weights, options = (kernel, recurrent_kernel, bias), (clip, reset_after)
    return over_directions(gru_step, options, x, weights, (hidden,), lengths, direction, batch_major, functions)


def gru_step(
    clip: float | None,
    reset_after: bool,
    gate: Any,
    activation: Any,
    state: Any,
    x: jax.Array,
    w: jax.Array,
    r: jax.Array,
    b: jax.Array,
) -> Any:
    (hidden,) = state
    w_bias, r_bias = jnp.split(b, 2)
    r_gates, r_new = jnp.split(r, [2 * hidden.shape[-1]])
    x_z, x_r, x_h = jnp.split(x @ w.T + w_bias, 3, axis=-1)
    b_z, b_r, b_h = jnp.split(r_bias, 3)
    h_z, h_r = jnp.split(hidden @ r_gates.T, 2, axis=-1)
    update, reset = gate(clipped(x_z + h_z + b_z, clip)), gate(clipped(x_r + h_r + b_r, clip))
    h_h = reset * (hidden @ r_new.T + b_h) if reset_after else (reset * hidden) @ r_new.T + b_h
    y = (1 - update) * activation(clipped(x_h + h_h, clip)) + update * hidden
    return (y,), y


def lstm_over(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    lengths: jax.Array | None = None,
    hidden: jax.Array | None = None,
    cell: jax.Array | None = None,
    peepholes: jax.Array | None = None,
    direction: str = "forward",
    batch_major: bool = False,
    clip: float | None = None,
    activations: Sequence[Callable[..., jax.Array]] | None = None,
    coupled: bool = False,
) -> tuple[jax.Array, ...]:
    """An LSTM over computed weights, gates in the order i, o, f, c: outputs, and the final states of both kinds.

    With peepholes the gates see the cell; `coupled`: what is not taken in is kept.
    """
    directions, units = kernel.shape[0], recurrent_kernel.shape[-1]
    bias = jnp.zeros((directions, 8 * units), x.dtype) if bias is None else bias
    peepholes = jnp.zeros((directions, 3 * units), x.dtype) if peepholes is None else peepholes
    functions = activations or (nnx.sigmoid, jnp.tanh, jnp.tanh) * directions
    weights, options = (kernel, recurrent_kernel, bias, peepholes), (clip, coupled)
    return over_directions(lstm_step, options, x, weights, (hidden, cell), lengths, direction, batch_major, functions)


def lstm_step(
    clip: float | None,
    coupled: bool,
    gate: Any,
    inner: Any,
    outer: Any,
    state: Any,
    x: jax.Array,
    w: jax.Array,
    r: jax.Array,
    b: jax.Array,
    p: jax.Array,
) -> Any:
    hidden, cell = state
    p_i, p_o, p_f = jnp.split(p, 3)
    i, o, f, c = jnp.split(x @ w.T + hidden @ r.T + sum(jnp.split(b, 2)), 4, axis=-1)
    i = gate(clipped(i + p_i * cell, clip))
    f = 1 - i if coupled else gate(clipped(f + p_f * cell, clip))
    cell = f * cell + i * inner(clipped(c, clip))
    hidden = gate(clipped(o + p_o * cell, clip)) * outer(cell)
    return (hidden, cell), hidden


def affine(x: jax.Array, alpha: float, beta: float) -> jax.Array:
    return alpha * x + beta


def scaled_tanh(x: jax.Array, alpha: float, beta: float) -> jax.Array:
    return alpha * jnp.tanh(beta * x)


def affine_sigmoid(x: jax.Array, alpha: float, beta: float) -> jax.Array:
    return jnp.clip(alpha * x + beta, 0, 1)


def thresholded_relu(x: jax.Array, alpha: float) -> jax.Array:
    return jnp.where(x > alpha, x, 0)
