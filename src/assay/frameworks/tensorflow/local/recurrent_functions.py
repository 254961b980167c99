"""Recurrent operators as functions of their weights; see `assay.frameworks.tensorflow.local`.

Sequences are (time, batch, features). Gates lie as in ONNX: input, output, forget, cell; update, reset, content.
"""

from collections.abc import Callable

import tensorflow as tf

RECURRENT_ACTIVATIONS = {
    "Sigmoid": lambda x, alpha, beta: tf.sigmoid(x),
    "Tanh": lambda x, alpha, beta: tf.tanh(x),
    "Relu": lambda x, alpha, beta: tf.nn.relu(x),
    "Softsign": lambda x, alpha, beta: tf.nn.softsign(x),
    "Softplus": lambda x, alpha, beta: tf.nn.softplus(x),
    "Affine": lambda x, alpha, beta: (1 if alpha is None else alpha) * x + (beta or 0),
    "LeakyRelu": lambda x, alpha, beta: tf.where(x >= 0, x, (0.01 if alpha is None else alpha) * x),
    "ThresholdedRelu": lambda x, alpha, beta: tf.where(x >= (1 if alpha is None else alpha), x, tf.zeros_like(x)),
    "ScaledTanh": lambda x, alpha, beta: (1 if alpha is None else alpha) * tf.tanh((1 if beta is None else beta) * x),
    "HardSigmoid": lambda x, alpha, beta: tf.clip_by_value(
        (0.2 if alpha is None else alpha) * x + (0.5 if beta is None else beta), 0, 1
    ),
    "Elu": lambda x, alpha, beta: tf.where(x >= 0, x, (1 if alpha is None else alpha) * (tf.exp(x) - 1)),
}

Activations = list[tuple[str, float | None, float | None]]
Advance = Callable[..., tuple[tf.Tensor, ...]]


def run_rnn(
    x: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    lengths: tf.Tensor | None = None,
    hidden: tf.Tensor | None = None,
    direction: str = "forward",
    activations: Activations | None = None,
    clip: float | None = None,
    batch_first: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A simple recurrent network in one or both directions: outputs and last states."""

    def make(place: int, functions: list[Callable[[tf.Tensor], tf.Tensor]]) -> Advance:
        (activate,) = functions
        weights, recurrent, shift = weights_of(place, kernel, recurrent_kernel, bias)

        def advance(part: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor]:
            total = part @ weights + state @ recurrent
            return (activate(total if shift is None else total + sum(tf.split(shift, 2))),)

        return advance

    chosen = chosen_activations(activations or [("Tanh", None, None)] * 2, 1, clip)
    return run_directions(make, chosen, x, [hidden], recurrent_kernel, lengths, direction, batch_first)


def run_gru(
    x: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    lengths: tf.Tensor | None = None,
    hidden: tf.Tensor | None = None,
    direction: str = "forward",
    activations: Activations | None = None,
    clip: float | None = None,
    batch_first: bool = False,
    reset_after: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A GRU in one or both directions: outputs and last states."""

    def make(place: int, functions: list[Callable[[tf.Tensor], tf.Tensor]]) -> Advance:
        gate, activate = functions
        weights, recurrent, shift = weights_of(place, kernel, recurrent_kernel, bias)
        units = recurrent.shape[0]
        gates, content = recurrent[:, : 2 * units], recurrent[:, 2 * units :]
        shifts = tf.zeros(6 * units, x.dtype) if shift is None else shift
        own, inner = tf.split(shifts, 2)

        def advance(part: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor]:
            given = part @ weights + own
            update, reset = tf.split(gate(given[:, : 2 * units] + state @ gates + inner[: 2 * units]), 2, axis=-1)
            remembered = (state if reset_after else reset * state) @ content + inner[2 * units :]
            remembered = reset * remembered if reset_after else remembered
            return ((1 - update) * activate(given[:, 2 * units :] + remembered) + update * state,)

        return advance

    chosen = chosen_activations(activations or [("Sigmoid", None, None), ("Tanh", None, None)] * 2, 2, clip)
    return run_directions(make, chosen, x, [hidden], recurrent_kernel, lengths, direction, batch_first)


def run_lstm(
    x: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    lengths: tf.Tensor | None = None,
    hidden: tf.Tensor | None = None,
    cell: tf.Tensor | None = None,
    peepholes: tf.Tensor | None = None,
    direction: str = "forward",
    activations: Activations | None = None,
    clip: float | None = None,
    batch_first: bool = False,
    coupled: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """An LSTM in one or both directions: outputs, last states, last cells. `coupled`: it forgets what it replaces."""

    def make(place: int, functions: list[Callable[[tf.Tensor], tf.Tensor]]) -> Advance:
        gate, activate, show = functions
        weights, recurrent, shift = weights_of(place, kernel, recurrent_kernel, bias)
        peeks = [0, 0, 0] if peepholes is None else tf.split(peepholes[place], 3)

        def advance(part: tf.Tensor, state: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            total = part @ weights + state @ recurrent
            total = total if shift is None else total + sum(tf.split(shift, 2))
            admit, output, keep, content = tf.split(total, 4, axis=-1)
            admit = gate(admit + peeks[0] * cell)
            keep = 1 - admit if coupled else gate(keep + peeks[2] * cell)
            cell = keep * cell + admit * activate(content)
            return gate(output + peeks[1] * cell) * show(cell), cell

        return advance

    default: Activations = [("Sigmoid", None, None), ("Tanh", None, None), ("Tanh", None, None)] * 2
    chosen = chosen_activations(activations or default, 3, clip)
    return run_directions(make, chosen, x, [hidden, cell], recurrent_kernel, lengths, direction, batch_first)


def weights_of(
    place: int, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """The weights of one direction, to be multiplied from the right."""
    shift = None if bias is None else bias[place]
    return tf.transpose(kernel[place]), tf.transpose(recurrent_kernel[place]), shift


def chosen_activations(
    activations: Activations, count: int, clip: float | None
) -> list[list[Callable[[tf.Tensor], tf.Tensor]]]:
    """For each direction the functions of its gates; what goes in is clipped first."""

    def bind(name: str, alpha: float | None, beta: float | None) -> Callable[[tf.Tensor], tf.Tensor]:
        def activate(x: tf.Tensor) -> tf.Tensor:
            x = x if clip is None else tf.clip_by_value(x, -clip, clip)
            return RECURRENT_ACTIVATIONS[name](x, alpha, beta)

        return activate

    bound = [bind(*activation) for activation in activations]
    return [bound[start : start + count] for start in range(0, len(bound), count)]


def run_directions(
    make: Callable[..., Advance],
    functions: list[list[Callable[[tf.Tensor], tf.Tensor]]],
    x: tf.Tensor,
    states: list[tf.Tensor | None],
    recurrent_kernel: tf.Tensor,
    lengths: tf.Tensor | None,
    direction: str,
    batch_first: bool,
) -> tuple[tf.Tensor, ...]:
    """Runs forward, in reverse or both.

    Returns outputs (time, directions, batch, units) and last states (directions, batch, units).
    """
    x = tf.transpose(x, (1, 0, 2)) if batch_first else x
    count, _, units = recurrent_kernel.shape
    outputs, finals = [], []
    for place in range(count):
        zeros = tf.zeros((tf.shape(x)[1], units), x.dtype)
        own = [zeros if state is None else state[:, place] if batch_first else state[place] for state in states]
        reverse = direction == "reverse" or place == 1
        results, final = run_steps(make(place, functions[place]), x, own, lengths, reverse)
        outputs.append(results)
        finals.append(final)
    if batch_first:
        outputs = [tf.transpose(part, (1, 0, 2)) for part in outputs]
        return tf.stack(outputs, 2), *[tf.stack(parts, 1) for parts in zip(*finals, strict=True)]
    return tf.stack(outputs, 1), *[tf.stack(parts) for parts in zip(*finals, strict=True)]


def run_steps(
    advance: Advance, x: tf.Tensor, state: list[tf.Tensor], lengths: tf.Tensor | None, reverse: bool
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """state = advance(x[step], *state): all first parts, and the last state. After a sequence's end nothing changes."""
    turn = tf.identity
    if reverse and lengths is None:
        turn = lambda values: tf.reverse(values, [0])  # noqa: E731
    elif reverse:
        turn = lambda values: tf.reverse_sequence(values, lengths, 0, 1)  # noqa: E731
    outputs = []
    for step, part in enumerate(tf.unstack(turn(x))):
        new = list(advance(part, *state))
        output = new[0]
        if lengths is not None:
            runs = (step < lengths)[:, tf.newaxis]
            output = tf.where(runs, output, 0)
            new = [tf.where(runs, after, before) for after, before in zip(new, state, strict=True)]
        state = new
        outputs.append(output)
    return turn(tf.stack(outputs)), state
