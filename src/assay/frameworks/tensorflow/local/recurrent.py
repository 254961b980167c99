"""Recurrent layers of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from assay.frameworks.tensorflow.local.layers import glorot_uniform


class Bidirectional(tf.Module):
    """A recurrent layer from each end of time: (batch, time, inputs) → outputs, final states.

    Both hold the features of the forward layer, then those of the backward one.
    """

    def __init__(self, layer: type[tf.Module], inputs: int, units: int) -> None:
        super().__init__()
        self.forward = layer(inputs, units)
        self.backward = layer(inputs, units, reverse=True)

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs, final = zip(self.forward(x), self.backward(x), strict=True)
        return tf.concat(outputs, -1), tf.concat(final, -1)


class LSTM(tf.Module):
    """x (batch, time, inputs) → outputs (batch, time, units) and the final state (batch, units).

    The gates lie in the order input, cell, forget, output. The kernel has rows for the inputs, and below them for the
    state, as TensorFlow's LSTM kernel takes it. `reverse` reads from the end of time.
    """

    def __init__(self, inputs: int, units: int, reverse: bool = False) -> None:
        super().__init__()
        self.units, self.reverse = units, reverse
        self.kernel = tf.Variable(glorot_uniform((inputs + units, 4 * units)))
        self.bias = tf.Variable(tf.zeros(4 * units))

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.transpose(x, (1, 0, 2))  # (time, batch, inputs)
        if self.reverse:
            x = tf.reverse(x, [0])
        in_xla = control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
        fused = x.dtype == tf.float32 and not in_xla  # all that TensorFlow's LSTM kernel knows
        outputs = self.run_kernel(x) if fused else self.run_loop(x)
        final = outputs[-1]
        if self.reverse:
            outputs = tf.reverse(outputs, [0])
        return tf.transpose(outputs, (1, 0, 2)), final

    def run_kernel(self, x: tf.Tensor) -> tf.Tensor:
        zeros = tf.zeros((tf.shape(x)[1], self.units), x.dtype)
        peephole = tf.zeros(self.units, x.dtype)
        # Not BlockLSTMV2: its gradient takes the gates in another order than it does itself.
        return tf.raw_ops.BlockLSTM(
            seq_len_max=x.shape[0],
            x=x,
            cs_prev=zeros,
            h_prev=zeros,
            w=self.kernel,
            wci=peephole,
            wcf=peephole,
            wco=peephole,
            b=self.total_bias(),
            forget_bias=0.0,
            cell_clip=0.0,
        ).h

    def run_loop(self, x: tf.Tensor) -> tf.Tensor:
        kernel, recurrent_kernel = self.kernel[: -self.units], self.kernel[-self.units :]

        def advance(x: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            hidden, cell = state
            gates = x + tf.matmul(hidden, recurrent_kernel)
            admit, content, keep, show = tf.split(gates, 4, axis=-1)
            cell = tf.sigmoid(keep) * cell + tf.sigmoid(admit) * tf.tanh(content)
            return tf.sigmoid(show) * tf.tanh(cell), cell

        zeros = tf.zeros((tf.shape(x)[1], self.units), x.dtype)
        return scan(advance, tf.tensordot(x, kernel, 1) + self.total_bias(), (zeros, zeros))

    def total_bias(self) -> tf.Tensor:
        return self.bias


class TwoBiasLSTM(LSTM):
    """An LSTM with a bias for the inputs and one for the state, as PyTorch has it: their sum acts, both are trained."""

    def __init__(self, inputs: int, units: int, reverse: bool = False) -> None:
        super().__init__(inputs, units, reverse)
        self.recurrent_bias = tf.Variable(tf.zeros(4 * units))

    def total_bias(self) -> tf.Tensor:
        return self.bias + self.recurrent_bias


class GRU(tf.Module):
    """x (batch, time, inputs) → outputs (batch, time, units) and the final state (batch, units).

    The gates lie in the order update, reset, content; the reset gate acts after the product with
    the recurrent kernel, which has a bias of its own. `reverse` reads from the end of time.
    """

    def __init__(self, inputs: int, units: int, reverse: bool = False) -> None:
        super().__init__()
        self.units, self.reverse = units, reverse
        self.kernel = tf.Variable(glorot_uniform((inputs, 3 * units)))
        self.recurrent_kernel = tf.Variable(glorot_uniform((units, 3 * units)))
        self.bias = tf.Variable(tf.zeros(3 * units))
        self.recurrent_bias = tf.Variable(tf.zeros(3 * units))

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent_kernel = tf.convert_to_tensor(self.recurrent_kernel)
        recurrent_bias = tf.convert_to_tensor(self.recurrent_bias)

        def advance(x: tf.Tensor, hidden: tf.Tensor) -> tuple[tf.Tensor]:
            recurrent = tf.matmul(hidden, recurrent_kernel) + recurrent_bias
            recurrent, content = recurrent[:, : -self.units], recurrent[:, -self.units :]
            update, reset = tf.split(tf.sigmoid(x[:, : -self.units] + recurrent), 2, axis=-1)
            content = tf.tanh(x[:, -self.units :] + reset * content)
            return (content + update * (hidden - content),)

        x = tf.tensordot(tf.transpose(x, (1, 0, 2)), self.kernel, 1) + self.bias
        if self.reverse:
            x = tf.reverse(x, [0])
        outputs = scan(advance, x, (tf.zeros((tf.shape(x)[1], self.units), x.dtype),))
        final = outputs[-1]
        if self.reverse:
            outputs = tf.reverse(outputs, [0])
        return tf.transpose(outputs, (1, 0, 2)), final


def scan(
    advance: Callable[..., tuple[tf.Tensor, ...]],
    x: tf.Tensor,
    state: tuple[tf.Tensor, ...],
) -> tf.Tensor:
    """state = advance(x[step], *state) for each step; returns the first part of every state."""
    steps, units = x.shape[0], state[0].shape[1]
    inputs = tf.TensorArray(x.dtype, steps, element_shape=x.shape[1:]).unstack(x)
    outputs = tf.TensorArray(x.dtype, steps, element_shape=(x.shape[1], units))

    def body(step: tf.Tensor, outputs: tf.TensorArray, *state: tf.Tensor) -> tuple[object, ...]:
        state = advance(inputs.read(step), *state)
        return step + 1, outputs.write(step, state[0]), *state

    def unfinished(step: tf.Tensor, *_: object) -> tf.Tensor:
        return step < steps

    start = (0, outputs, *state)
    _, outputs, *_ = tf.while_loop(unfinished, body, start, maximum_iterations=steps)
    return outputs.stack()
