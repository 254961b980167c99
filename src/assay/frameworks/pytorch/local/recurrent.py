"""Recurrent layers as functions, with all of ONNX's options: any activations, clipping, peepholes, lengths."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def activation_of(name: str, alpha: float | None = None, beta: float | None = None) -> Callable[[Tensor], Tensor]:
    """An activation by ONNX's name for it."""

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    known: dict[str, Callable[[Tensor], Tensor]] = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": F.relu,
        "softsign": F.softsign,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        "affine": lambda x: given(alpha, 1.0) * x + given(beta, 0.0),
        "leakyrelu": lambda x: F.leaky_relu(x, given(alpha, 0.01)),
        "thresholdedrelu": lambda x: F.threshold(x, given(alpha, 1.0), 0.0),
        "scaledtanh": lambda x: given(alpha, 1.0) * torch.tanh(given(beta, 1.0) * x),
        "hardsigmoid": lambda x: torch.clamp(given(alpha, 0.2) * x + given(beta, 0.5), 0, 1),
        "elu": lambda x: F.elu(x, given(alpha, 1.0)),
    }
    return known[name]


def activations_of(
    names: Sequence[str], place: int, alphas: Sequence[float] = (), betas: Sequence[float] = ()
) -> list[Callable[[Tensor], Tensor]]:
    """The activations of one direction; numbers for them are given in the order in which activations need any."""
    found = []
    taken_alphas, taken_betas = list(alphas), list(betas)
    for name in names:
        alpha = taken_alphas.pop(0) if name in WITH_ALPHA and taken_alphas else None
        beta = taken_betas.pop(0) if name in WITH_BETA and taken_betas else None
        found.append(activation_of(name, alpha, beta))
    count = len(names) // 2 if place >= 0 else len(names)
    return found[place * count : (place + 1) * count] if place >= 0 else found


WITH_ALPHA = ("affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu")
WITH_BETA = ("affine", "scaledtanh", "hardsigmoid")


def run_directions(
    step: Callable, x: Tensor, states: list[Tensor], lengths: Tensor | None, direction: str, batch_first: bool
) -> tuple[Tensor, ...]:
    """Runs a step over the time of (time, batch, features), in one direction or both.

    `step(direction, x, states)` gives new states, of which the first is the output. Past the end of a sequence its
    states stay and its outputs are zero; backwards it begins at its end.
    """
    x = x.transpose(0, 1) if batch_first else x
    states = [state.transpose(0, 1) if batch_first else state for state in states]
    total, batch = x.shape[:2]
    ends = torch.full((batch,), total, device=x.device) if lengths is None else lengths
    sequences, finals = [], []
    for place in range(2 if direction == "bidirectional" else 1):
        backwards = direction == "reverse" or place == 1
        current = [state[place] for state in states]
        outputs = [torch.zeros_like(current[0])] * total
        for time in reversed(range(total)) if backwards else range(total):
            inside = (time < ends).unsqueeze(1)
            new = step(place, x[time], current)
            current = [torch.where(inside, one, old) for one, old in zip(new, current, strict=True)]
            outputs[time] = torch.where(inside, current[0], torch.zeros_like(current[0]))
        sequences.append(torch.stack(outputs))
        finals.append(current)
    y = torch.stack(sequences, 1)  # (time, direction, batch, hidden)
    last = [torch.stack(parts) for parts in zip(*finals, strict=True)]
    if batch_first:
        y, last = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in last]
    return y, *last


def start_of(x: Tensor, recurrence: Tensor, batch_first: bool) -> Tensor:
    """A state of zeros, (direction, batch, hidden), or (batch, direction, hidden)."""
    batch = x.shape[0 if batch_first else 1]
    sizes = (batch, recurrence.shape[0]) if batch_first else (recurrence.shape[0], batch)
    return torch.zeros(*sizes, recurrence.shape[2], dtype=x.dtype, device=x.device)


def clip_to(x: Tensor, clip: float) -> Tensor:
    """x within ±clip; no limit if that is 0."""
    return x.clamp(-clip, clip) if clip else x


def recurrent_rnn(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: Tensor | None = None,
    hidden: Tensor | None = None,
    direction: str = "forward",
    batch_first: bool = False,
    activations: Sequence[str] = ("tanh",),
    alphas: Sequence[float] = (),
    betas: Sequence[float] = (),
    clip: float = 0.0,
) -> tuple[Tensor, ...]:
    """A simple recurrent layer: all outputs, the last state."""
    hidden = start_of(x, recurrence, batch_first) if hidden is None else hidden
    both = direction == "bidirectional" and len(activations) == 2

    def step(place: int, now: Tensor, states: list[Tensor]) -> list[Tensor]:
        function = activations_of(activations, place if both else -1, alphas, betas)[0]
        total = now @ weight[place].T + states[0] @ recurrence[place].T
        if bias is not None:
            total = total + bias[place].unflatten(0, (2, -1)).sum(0)
        return [function(clip_to(total, clip))]

    return run_directions(step, x, [hidden], lengths, direction, batch_first)


def recurrent_gru(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: Tensor | None = None,
    hidden: Tensor | None = None,
    direction: str = "forward",
    batch_first: bool = False,
    activations: Sequence[str] = ("sigmoid", "tanh"),
    alphas: Sequence[float] = (),
    betas: Sequence[float] = (),
    clip: float = 0.0,
    reset_after: bool = False,
) -> tuple[Tensor, ...]:
    """A GRU with gates in the order update, reset, new: all outputs, the last state."""
    hidden = start_of(x, recurrence, batch_first) if hidden is None else hidden
    size = recurrence.shape[2]
    both = direction == "bidirectional" and len(activations) == 4
    bias = x.new_zeros(weight.shape[0], 6 * size) if bias is None else bias

    def step(place: int, now: Tensor, states: list[Tensor]) -> list[Tensor]:
        gate, new = activations_of(activations, place if both else -1, alphas, betas)
        before, (first, second) = states[0], bias[place].chunk(2)
        inputs = now @ weight[place].T + first
        of_gates, of_new = recurrence[place].split([2 * size, size])
        bias_of_gates, bias_of_new = second.split([2 * size, size])
        gates = inputs[:, : 2 * size] + before @ of_gates.T + bias_of_gates
        update, reset = gate(clip_to(gates, clip)).chunk(2, -1)
        if reset_after:
            candidate = inputs[:, 2 * size :] + reset * (before @ of_new.T + bias_of_new)
        else:
            candidate = inputs[:, 2 * size :] + (reset * before) @ of_new.T + bias_of_new
        return [(1 - update) * new(clip_to(candidate, clip)) + update * before]

    return run_directions(step, x, [hidden], lengths, direction, batch_first)


def recurrent_lstm(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: Tensor | None = None,
    hidden: Tensor | None = None,
    cell: Tensor | None = None,
    peepholes: Tensor | None = None,
    direction: str = "forward",
    batch_first: bool = False,
    activations: Sequence[str] = ("sigmoid", "tanh", "tanh"),
    alphas: Sequence[float] = (),
    betas: Sequence[float] = (),
    clip: float = 0.0,
    input_forget: bool = False,
) -> tuple[Tensor, ...]:
    """An LSTM with gates in the order input, output, forget, cell: all outputs, the last state and cell."""
    hidden = start_of(x, recurrence, batch_first) if hidden is None else hidden
    cell = start_of(x, recurrence, batch_first) if cell is None else cell
    size = recurrence.shape[2]
    both = direction == "bidirectional" and len(activations) == 6
    peepholes = x.new_zeros(weight.shape[0], 3 * size) if peepholes is None else peepholes

    def step(place: int, now: Tensor, states: list[Tensor]) -> list[Tensor]:
        gate, new, out = activations_of(activations, place if both else -1, alphas, betas)
        before, memory = states
        total = now @ weight[place].T + before @ recurrence[place].T
        if bias is not None:
            total = total + bias[place].unflatten(0, (2, -1)).sum(0)
        enter, leave, forget, candidate = total.chunk(4, -1)
        see_enter, see_leave, see_forget = peepholes[place].chunk(3)
        enter = gate(clip_to(enter + see_enter * memory, clip))
        forget = 1 - enter if input_forget else gate(clip_to(forget + see_forget * memory, clip))
        memory = forget * memory + enter * new(clip_to(candidate, clip))
        leave = gate(clip_to(leave + see_leave * memory, clip))
        return [leave * out(memory), memory]

    return run_directions(step, x, [hidden, cell], lengths, direction, batch_first)
