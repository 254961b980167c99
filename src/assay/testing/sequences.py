"""Embeddings, recurrent layers of one and two layers and directions, attention."""

from __future__ import annotations

from itertools import product
from typing import Any

from assay import nn
from assay.testing.case import SERIES, STEPS, Case, Net, chain

_TOKENS = (5, 12)
_KINDS: tuple[type[nn.LSTM] | type[nn.GRU], ...] = (nn.LSTM, nn.GRU)


def _recurrent(kind: type[nn.LSTM] | type[nn.GRU], layers: int, both: bool, result: int) -> Case:
    """All steps (result 0) or the final state (1) of a recurrent layer."""
    directions, what = "both" if both else "one", ("steps", "final")[result]
    return Case(
        f"{kind.__name__.lower()}-{layers}layer-{directions}-{what}",
        lambda: Net(lambda net, x: net.recurrent(x)[result], recurrent=kind(4, 5, layers, both)),
        STEPS,
    )


def _steps_and_final(net: Any, x: nn.Tensor) -> nn.Tensor:
    steps, final = net.recurrent(x)
    return nn.concat([nn.mean(steps, 1), final], 1)


def _attention(name: str, **options: bool) -> Case:
    return chain(f"attention-{name}", lambda: [nn.MultiHeadAttention(12, 3, **options)], _TOKENS)


CASES: tuple[Case, ...] = (
    chain("embedding", lambda: [nn.Embedding(90, 6), nn.Linear(6, 3)], (7,), "int64"),
    *(
        _recurrent(kind, layers, both, result)
        for kind, layers, both, result in product(_KINDS, (1, 2), (False, True), (0, 1))
    ),
    Case("lstm-steps_and_final", lambda: Net(_steps_and_final, recurrent=nn.LSTM(4, 5, 1, True)), STEPS),
    Case("gru-steps_and_final", lambda: Net(_steps_and_final, recurrent=nn.GRU(4, 5, 1, True)), STEPS),
    _attention("self"),
    _attention("causal", causal=True),
    _attention("no_bias", bias=False),
    Case(
        "attention-cross",
        lambda: Net(
            lambda net, x: net.attention(x, net.memory(x)),
            attention=nn.MultiHeadAttention(12, 3, cross=True),
            memory=nn.Linear(12, 12),
        ),
        _TOKENS,
    ),
    Case(
        "series-convolution_between_transposes",
        lambda: Net(
            lambda net, x: net.linear(nn.transpose(nn.relu(net.conv(nn.transpose(x, (0, 2, 1)))), (0, 2, 1))),
            conv=nn.Conv1d(5, 6, 3, padding=1),
            linear=nn.Linear(6, 2),
        ),
        (7, 5),
    ),
    Case(
        "series-convolution_then_lstm",
        lambda: Net(
            lambda net, x: net.recurrent(nn.transpose(net.conv(x), (0, 2, 1)))[1],
            conv=nn.Conv1d(4, 6, 3),
            recurrent=nn.LSTM(6, 5),
        ),
        SERIES,
    ),
)
