"""`Case`: one small net of the conformance suite, and the ways to spell one."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from assay import nn
from assay.errors import NotFoundError
from assay.model import Model

IMAGE = (4, 9, 8)  # channels, height, width: all different, no size a multiple of another's kernel
SERIES = (4, 11)  # channels, length
STEPS = (6, 4)  # steps, features
ROW = (5,)


@dataclass(frozen=True)
class Case:
    """A net with one input, small enough to differentiate numerically."""

    name: str  # "conv2d-stride2": the layer, then what is special about it
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of the input, without the batch axis
    dtype: str = "float32"
    entries: int = 90  # integer inputs lie below this

    def model(self) -> Model:
        """The net as a model with a training, so that its package has a loss and gradients."""
        training = nn.Training(nn.MSE(), nn.Adam(1e-3), batch_size=3, epochs=1, metric="loss")
        return nn.build(self.make(), [nn.Input("x", self.shape, self.dtype)], name=self.name, training=training)


class Net(nn.Module):
    """Layers by name, and a function of them and the input."""

    def __init__(self, function: Callable[[Any, nn.Tensor], nn.Tensor], **layers: nn.Module | nn.Parameter) -> None:
        self._function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self._function(self, x)


def chain(name: str, make: Callable[[], Iterable[nn.Module]], shape: tuple[int, ...], dtype: str = "float32") -> Case:
    """Layers called one after another."""
    return Case(name, lambda: nn.Sequential(*make()), shape, dtype)


def select(cases: Iterable[Case], patterns: Sequence[str] = ()) -> list[Case]:
    """The cases whose names match any of these shell patterns, all without one. Raises `NotFoundError` for a pattern that
    matches none."""
    known = list(cases)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in known):
            raise NotFoundError(
                f"no case matches {pattern!r}: names look like {known[0].name!r}, and 'conv2d-*' matches many"
            )
    return [case for case in known if not patterns or any(fnmatch.fnmatchcase(case.name, item) for item in patterns)]
