"""Sessions of real frameworks that take longer by a known fraction: `pytorch_0`, `pytorch_5`, `jax_10` …

Each call is waited for, and then the process spins for the given per cent of the time that the call took. `pytorch_0` waits too
and spins for nothing, so that only the fraction differs. They are found by name, so that a worker imports its framework alone.
"""

from __future__ import annotations

import importlib
import time
from typing import Any


def slowed(base: type[Any], fraction: float) -> type[Any]:
    """The session class `base` with every timed call made longer by this fraction of itself."""

    class Slowed(base):  # type: ignore[misc]
        def train_step(self, inputs: Any, targets: Any) -> Any:
            began = time.perf_counter()
            value = super().train_step(inputs, targets)
            self.wait(value)
            _spin(began, fraction)
            return value

        def predict(self, inputs: Any) -> Any:
            began = time.perf_counter()
            value = super().predict(inputs)
            self.wait(value)
            _spin(began, fraction)
            return value

    return Slowed


def _spin(began: float, fraction: float) -> None:
    now = time.perf_counter()
    until = now + (now - began) * fraction
    while now < until:
        now = time.perf_counter()


def __getattr__(name: str) -> type[Any]:
    framework, _, per_cent = name.partition("_")
    if framework not in ("pytorch", "jax") or not per_cent.isdigit():
        raise AttributeError(f"no session {name!r}: expected pytorch_0, jax_5 …")
    base = importlib.import_module(f"assay.frameworks.{framework}.run").Session
    return slowed(base, int(per_cent) / 100)
