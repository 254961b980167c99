"""Pools after a convolution, so that channels-last frameworks read them in their own order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay import nn
from assay.testing.case import IMAGE, SERIES, Case, chain

_POOLS2D: Mapping[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "max_overlapping": lambda: nn.MaxPool2d(3, 2, 1),
    "max_uneven": lambda: nn.MaxPool2d((2, 3), (2, 1), (1, 1)),
    "average": lambda: nn.AveragePool2d(2),
    "average_padded": lambda: nn.AveragePool2d(3, 2, 1),
    "average_uneven": lambda: nn.AveragePool2d((3, 2), 1, (1, 0)),
    "global_average": lambda: nn.GlobalAveragePool(),
    "global_max": lambda: nn.GlobalMaxPool(),
    "adaptive_average": lambda: nn.AdaptiveAveragePool2d((3, 4)),
    "adaptive_average_uneven": lambda: nn.AdaptiveAveragePool2d((4, 3)),
    "adaptive_max": lambda: nn.AdaptiveMaxPool2d(1),
    "adaptive_max_uneven": lambda: nn.AdaptiveMaxPool2d((4, 3)),
}

_POOLS1D: Mapping[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool1d(2),
    "max_padded": lambda: nn.MaxPool1d(3, 2, 1),
    "average": lambda: nn.AveragePool1d(2),
    "average_padded": lambda: nn.AveragePool1d(3, 2, 1),
    "global_average": lambda: nn.GlobalAveragePool(),
    "global_max": lambda: nn.GlobalMaxPool(),
    "adaptive_average_uneven": lambda: nn.AdaptiveAveragePool1d(4),
    "adaptive_max_uneven": lambda: nn.AdaptiveMaxPool1d(3),
}


def _image(name: str, pool: Callable[[], nn.Module]) -> Case:
    return chain(f"pool2d-{name}", lambda: [nn.Conv2d(4, 6, 3, padding=1), pool()], IMAGE)


def _series(name: str, pool: Callable[[], nn.Module]) -> Case:
    return chain(f"pool1d-{name}", lambda: [nn.Conv1d(4, 6, 3, padding=1), pool()], SERIES)


CASES: tuple[Case, ...] = (
    *(_image(name, pool) for name, pool in _POOLS2D.items()),
    *(_series(name, pool) for name, pool in _POOLS1D.items()),
)
