"""Recurrent operators with all of ONNX's options; weights as ONNX keeps them, (directions, gates · hidden, …)."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable()
class TwoBiasLSTMCell(layers.LSTMCell):
    """An LSTM's cell with a bias for the inputs and one for the state, as PyTorch has it: their sum acts, both are trained."""

    def build(self, input_shape):
        super().build(input_shape)
        self.recurrent_bias = self.add_weight(shape=(4 * self.units,), initializer="zeros", name="recurrent_bias")

    def call(self, inputs, states, training=False):
        hidden, cell = states
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(hidden, self.recurrent_kernel)
        i, f, g, o = ops.split(gates + (self.bias + self.recurrent_bias), 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        hidden = ops.sigmoid(o) * ops.tanh(cell)
        return hidden, [hidden, cell]


def activated_by(x, name, alpha=None, beta=None):
    """One of ONNX's activations by its name."""
    if name == "affine":
        return alpha * x + beta
    if name == "leakyrelu":
        return ops.leaky_relu(x, negative_slope=0.01 if alpha is None else alpha)
    if name == "thresholdedrelu":
        return ops.where(x > (1.0 if alpha is None else alpha), x, ops.zeros_like(x))
    if name == "scaledtanh":
        return alpha * ops.tanh(beta * x)
    if name == "hardsigmoid":
        return ops.clip((0.2 if alpha is None else alpha) * x + (0.5 if beta is None else beta), 0, 1)
    if name == "elu":
        return ops.elu(x, alpha=1.0 if alpha is None else alpha)
    return {
        "relu": ops.relu,
        "sigmoid": ops.sigmoid,
        "tanh": ops.tanh,
        "softsign": ops.softsign,
        "softplus": ops.softplus,
    }[name](x)


def rnn_step(x, states, weights, functions, clip, options):
    """h' = f(x·Wᵀ + h·Rᵀ + b)."""
    kernel, recurrent, bias, _ = weights
    (h,) = states
    hidden = h.shape[-1]
    total = ops.matmul(x, ops.transpose(kernel)) + ops.matmul(h, ops.transpose(recurrent))
    total = total + bias[:hidden] + bias[hidden:]
    return (functions[0](clip_state(total, clip)),)


def gru_step(x, states, weights, functions, clip, options):
    """Update, reset and new: h' = (1 - z)·n + z·h."""
    kernel, recurrent, bias, _ = weights
    (h,) = states
    hidden = h.shape[-1]
    from_x = ops.matmul(x, ops.transpose(kernel)) + bias[: 3 * hidden]
    bias_h = bias[3 * hidden :]
    gates_h = ops.matmul(h, ops.transpose(recurrent[: 2 * hidden])) + bias_h[: 2 * hidden]
    gates = functions[0](clip_state(from_x[:, : 2 * hidden] + gates_h, clip))
    z, r = gates[:, :hidden], gates[:, hidden:]
    own, own_bias = ops.transpose(recurrent[2 * hidden :]), bias_h[2 * hidden :]
    new = (
        r * (ops.matmul(h, own) + own_bias) if options.get("linear_before_reset") else ops.matmul(r * h, own) + own_bias
    )
    new = functions[1](clip_state(from_x[:, 2 * hidden :] + new, clip))
    return ((1 - z) * new + z * h,)


def lstm_step(x, states, weights, functions, clip, options):
    """Input, output, forget and cell gates, with peepholes."""
    kernel, recurrent, bias, peepholes = weights
    h, c = states
    hidden = h.shape[-1]
    total = ops.matmul(x, ops.transpose(kernel)) + ops.matmul(h, ops.transpose(recurrent))
    total = total + bias[: 4 * hidden] + bias[4 * hidden :]
    i, o, f, g = (total[:, place * hidden : (place + 1) * hidden] for place in range(4))
    look_i, look_o, look_f = (peepholes[place * hidden : (place + 1) * hidden] for place in range(3))
    i = functions[0](clip_state(i + look_i * c, clip))
    f = 1 - i if options.get("input_forget") else functions[0](clip_state(f + look_f * c, clip))
    c = f * c + i * functions[1](clip_state(g, clip))
    o = functions[0](clip_state(o + look_o * c, clip))
    return o * functions[2](c), c


def clip_state(x, limit):
    """x within plus and minus the limit, if there is one."""
    return x if limit is None else ops.clip(x, -limit, limit)


def run_recurrent(
    step,
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    lengths=None,
    states=(None,),
    peepholes=None,
    activations=(),
    direction="forward",
    clip=None,
    batch_first=False,
    **options,
):
    """The outputs (time, directions, batch, hidden) of a recurrent operator, and its last states.

    After the end of a sequence its state stays, and its outputs are zero.
    """
    if batch_first:
        x = ops.swapaxes(x, 0, 1)
        states = tuple(None if state is None else ops.swapaxes(state, 0, 1) for state in states)
    steps, batch = ops.shape(x)[:2]
    hidden = recurrent_kernel.shape[-1]
    directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    per_direction = len(activations) // len(directions)
    sequences, finals = [], []
    for number, backwards in enumerate(directions):
        zeros = ops.zeros((batch, hidden), dtype=x.dtype)
        current = tuple(zeros if state is None else state[number] for state in states)
        weights = (
            kernel[number],
            recurrent_kernel[number],
            ops.zeros((2 * kernel.shape[1],), dtype=x.dtype) if bias is None else bias[number],
            ops.zeros((3 * hidden,), dtype=x.dtype) if peepholes is None else peepholes[number],
        )
        functions = [
            lambda value, chosen=chosen: activated_by(value, *chosen)
            for chosen in activations[number * per_direction : (number + 1) * per_direction]
        ]
        outputs = [zeros] * steps
        for time in reversed(range(steps)) if backwards else range(steps):
            new = step(x[time], current, weights, functions, clip, options)
            if lengths is not None:
                inside = (time < lengths)[:, None]
                new = tuple(ops.where(inside, after, before) for after, before in zip(new, current, strict=True))
                outputs[time] = ops.where(inside, new[0], zeros)
            else:
                outputs[time] = new[0]
            current = new
        sequences.append(ops.stack(outputs))
        finals.append(current)
    y = ops.stack(sequences, axis=1)
    last = [ops.stack([final[place] for final in finals]) for place in range(len(states))]
    if batch_first:
        y, last = ops.transpose(y, (2, 0, 1, 3)), [ops.swapaxes(state, 0, 1) for state in last]
    return (y, *last)
