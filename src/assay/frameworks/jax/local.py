"""Local definitions that written JAX code uses where Flax NNX has no layer with the stated meaning."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


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


class PReLU(nnx.Module):
    """x where x >= 0, slope * x elsewhere, with one slope per channel (nnx.PReLU has one for all)."""

    def __init__(self, channels: int) -> None:
        self.slope = nnx.Param(jnp.full((channels,), 0.25))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x >= 0, x, self.slope[...] * x)


class GroupConvTranspose(nnx.Module):
    """A transposed convolution in groups, or with explicit output padding (nnx.ConvTranspose has no groups)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        strides: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        kernel_dilation: tuple[int, ...],
        groups: int,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*kernel_size, in_channels // groups, out_channels)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((out_channels,))) if use_bias else None
        self.strides, self.padding = strides, padding
        self.kernel_dilation, self.groups = kernel_dilation, groups

    def __call__(self, x: jax.Array) -> jax.Array:
        axes = "HW"[: x.ndim - 2]
        y = lax.conv_general_dilated(
            x,
            self.kernel[...],
            window_strides=(1,) * len(axes),
            padding=self.padding,
            lhs_dilation=self.strides,
            rhs_dilation=self.kernel_dilation,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=self.groups,
        )
        return y if self.bias is None else y + self.bias[...]


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
