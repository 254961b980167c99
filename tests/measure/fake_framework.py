"""A framework of NumPy alone, for testing workers: softmax regression with dropout and a running mean.

A package is a folder with `weights.npz` and `fake.json`, which may tell it to misbehave:

    {"at": "train_step", "do": "kill", "mode": "eager", "after": 3}

`at`: import (of the package), predict, gradients, train_step, state, wait; `do`: see `misbehave`; `after`: calls that
go well before; `dtype`: only in that type. `seconds`: how long a call takes, by mode.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.frameworks.base import DropoutSample, Gradients, Span

RATE = 0.5
_compiled = 0
_leaked: list[bytes] = []


def misbehave(what: str) -> None:
    """Does to this process what a framework may do to it."""
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        print("the last thing it said", flush=True)
        os._exit(3)
    elif what == "hang":
        time.sleep(3600)
    elif what == "spin":
        while True:
            pass
    elif what == "raise":
        raise ValueError("this fails:\n  because it was told to\nand more")
    elif what == "garbage":
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"\x00\xffnot json\n")
            except OSError:
                continue
    elif what == "chatter":
        print("words on standard output " * 100)
        print("and on standard error", file=sys.stderr)
    elif what == "leak":
        _leaked.append(b"\1" * 30_000_000)  # written to, so that it takes memory
        time.sleep(0.05)
    elif what == "leak on":
        while True:
            misbehave("leak")
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "helper":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    elif what == "daemon":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)


class Session:
    """See `assay.frameworks.base.Session`."""

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        self.mode, self.dtype = mode, np.dtype(dtype)
        self.plans = json.loads((folder / "fake.json").read_text())
        self.seconds = self.plans.get("seconds", {}).get(mode, 0.0)
        self.seen: dict[str, int] = {}
        self._note("import")
        with np.load(folder / "weights.npz") as file:
            self.arrays = {name: file[name].astype(self.dtype) for name in file.files}
        self.dropout = True
        self.rate = 0.1

    def _note(self, point: str) -> None:
        """Misbehaves here if the package says so."""
        plan = self.plans.get("misbehave", {})
        if plan.get("at") != point or plan.get("mode", self.mode) != self.mode:
            return
        if plan.get("dtype", self.dtype.name) != self.dtype.name:
            return
        self.seen[point] = self.seen.get(point, 0) + 1
        if self.seen[point] > plan.get("after", 0):
            misbehave(plan["do"])

    def _work(self) -> None:
        """Takes the time that the package says, busily, as a real step does."""
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass

    def state(self) -> dict[str, np.ndarray]:
        self._note("state")
        return {name: array.copy() for name, array in self.arrays.items()}

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return iter(self.state().items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self.arrays[name] = np.array(array, self.dtype)

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(array.astype(self.dtype) if array.dtype.kind == "f" else array for array in arrays)

    def predict(self, inputs: Sequence[Any]) -> Any:
        self._note("predict")
        self._work()
        return inputs[0] @ self.arrays["layer/kernel"] + self.arrays["layer/bias"]

    def _loss(self, inputs: Sequence[Any], targets: Any) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        features = inputs[0]
        logits = features @ self.arrays["layer/kernel"] + self.arrays["layer/bias"]
        shifted = logits - logits.max(-1, keepdims=True)
        probabilities = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
        rows = np.arange(len(targets))
        loss = float(-np.log(probabilities[rows, targets]).mean())
        slope = probabilities.copy()
        slope[rows, targets] -= 1
        slope /= len(targets)
        self.arrays["mean"] = 0.9 * self.arrays["mean"] + 0.1 * features.mean(0)
        gradients = {"layer/kernel": features.T @ slope, "layer/bias": slope.sum(0)}
        return loss, gradients, slope @ self.arrays["layer/kernel"].T

    def gradients(self, inputs: Sequence[Any], targets: Any) -> Gradients:
        self._note("gradients")
        loss, gradients, input_gradient = self._loss(inputs, targets)
        return Gradients(loss, gradients, (input_gradient,))

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        self.rate = (constants or {}).get("LEARNING_RATE", 0.1)

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        global _compiled
        self._note("train_step")
        self._work()
        if self.plans.get("compiles_at") == self.seen.setdefault("steps", 0):
            _compiled += 1
        self.seen["steps"] += 1
        loss, gradients, _ = self._loss(inputs, targets)
        for name, gradient in gradients.items():
            self.arrays[name] -= self.dtype.type(self.rate) * gradient
        return np.asarray(loss, self.dtype)

    def wait(self, value: Any) -> None:
        self._note("wait")

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return (np.asarray(value),)

    def set_dropout(self, enabled: bool) -> None:
        self.dropout = enabled

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        keep = np.random.default_rng(0).random(shape) >= RATE
        ones = np.ones(shape, self.dtype)
        return [DropoutSample("drop", RATE, keep / (1 - RATE) * ones, ones)]

    def compile_count(self) -> int:
        return _compiled

    def cache_lookups(self) -> tuple[int, int]:
        found, missed = self.plans.get("cache", {}).get(self.mode, (0, 0))
        return found * self.seen.get("steps", 0), missed * self.seen.get("steps", 0)

    def device(self) -> str:
        return str(self.plans.get("device", "cpu"))

    def save(self, folder: Path, inputs: Sequence[Any]) -> str:
        self._note("save")
        (folder / "model.fake").write_bytes(b"1234")
        return "fake"

    def profile(self, action: Callable[[], None]) -> list[Span]:
        self._note("profile")
        began = time.perf_counter()
        action()
        seconds = time.perf_counter() - began
        return [Span("main", "MatMul", began, seconds / 2, True), Span("main", "wait", began, seconds, False)]

    def device_memory(self) -> int | None:
        return self.plans.get("device_memory")

    def arithmetic(self) -> str:
        return f"NumPy's {self.dtype.name}"
