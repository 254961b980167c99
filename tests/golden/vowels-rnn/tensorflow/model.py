"""vowels-rnn in TensorFlow."""

import math
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from safetensors.numpy import load_file
from tensorflow.python.ops import control_flow_util


def glorot_uniform(shape: tuple[int, ...]) -> tf.Tensor:
    """Initial weights (…, inputs, outputs), uniform with variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
    return tf.random.uniform(shape, -limit, limit)


class Dense(tf.Module):
    """A linear map of the last axis, and an activation: (…, inputs) → (…, units)."""

    def __init__(
        self,
        inputs: int,
        units: int,
        use_bias: bool = True,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.kernel = tf.Variable(glorot_uniform((inputs, units)))
        self.bias = tf.Variable(tf.zeros(units)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if len(x.shape) > 2:  # of matrices, TensorFlow makes product, bias and activation one operation
            y = self(tf.reshape(x, (-1, x.shape[-1])))
            return tf.reshape(y, (-1, *x.shape[1:-1], y.shape[-1]))
        y = tf.matmul(x, self.kernel)
        if self.bias is not None:
            y = tf.nn.bias_add(y, self.bias)
        return y if self.activation is None else self.activation(y)


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


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


class VowelsRNN(tf.Module):
    """vowels-rnn: frames (batch, 29, 12) → (batch, 9)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = Bidirectional(LSTM, 12, 64)
        self.dropout = Dropout(0.2)
        self.output = Dense(128, 9)

    def __call__(self, frames: tf.Tensor, training: bool = False) -> tf.Tensor:
        _, x = self.lstm(frames)  # (batch, 128)
        return self.output(self.dropout(x, training=training))  # (batch, 9)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> VowelsRNN:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = VowelsRNN()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model
