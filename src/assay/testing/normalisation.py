"""Normalisations and per-channel slopes on rows, series and images; epsilons that show when they are misplaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import nn
from assay.testing.case import IMAGE, ROW, SERIES, Case, chain

_EPSILON = 2.0**-10

_BY_CHANNEL: Mapping[str, Callable[[], nn.Module]] = {
    "batch": lambda: nn.BatchNorm(6, epsilon=_EPSILON, momentum=0.75),
    "group": lambda: nn.GroupNorm(2, 6, epsilon=_EPSILON),
    "group1": lambda: nn.GroupNorm(1, 6),
    "prelu": lambda: nn.PReLU(6),
}


def _by_channel(name: str, layer: Callable[[], nn.Module]) -> list[Case]:
    """The layer on data of two, three and four axes."""
    return [
        chain(f"norm-{name}-rows", lambda: [nn.Linear(5, 6), layer()], ROW),
        chain(f"norm-{name}-series", lambda: [nn.Conv1d(4, 6, 3, padding=1), layer()], SERIES),
        chain(f"norm-{name}-image", lambda: [nn.Conv2d(4, 6, 3, padding=1), layer()], IMAGE),
    ]


CASES: tuple[Case, ...] = (
    *(case for name, layer in _BY_CHANNEL.items() for case in _by_channel(name, layer)),
    chain("norm-layer-rows", lambda: [nn.Linear(5, 6), nn.LayerNorm(6)], ROW),
    chain("norm-layer-steps", lambda: [nn.Linear(5, 6), nn.LayerNorm(6, epsilon=_EPSILON)], (3, 5)),
    chain("norm-layer-width", lambda: [nn.Conv2d(4, 6, 3, padding=1), nn.LayerNorm(8)], IMAGE),
    chain("norm-rms-steps", lambda: [nn.Linear(5, 6), nn.RMSNorm(6, epsilon=_EPSILON)], (3, 5)),
    chain("norm-rms-width", lambda: [nn.Conv2d(4, 6, 3, padding=1), nn.RMSNorm(8)], IMAGE),
)
