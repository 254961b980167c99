"""What a written package computes in float64, for the prove stage to compare. Runs in the worker."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.frameworks.base import Session
from assay.measure.arrays import Arrays, numbered, save_arrays

__all__ = ["numbered", "run"]


class _Proof:
    """Collects the arrays of one contestant, stage by stage; a stage that fails leaves its reason and no arrays."""

    def __init__(self, make: Callable[[], Session], given: Mapping[str, np.ndarray]) -> None:
        self._make = make
        self._given = given
        self._session: Session | None = None
        self._initial: Arrays = {}
        self.arrays: Arrays = {}
        self.errors: dict[str, str] = {}
        self.layers: list[tuple[str, float]] = []

    def stage(self, name: str, action: Callable[[], Arrays]) -> bool:
        """Runs one stage; its traceback goes to the worker's log."""
        try:
            self.arrays.update(action())
        except Exception as error:
            traceback.print_exc()
            self.errors[name] = summary(error)
            return False
        return True

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    def open(self) -> Arrays:
        self._session = self._make()
        self.session.set_dropout(False)
        self._initial = self.session.state()
        return {}

    def outputs(self) -> Arrays:
        placed = self.session.place(numbered(self._given, "inputs_"))
        return _prefixed("output", _by_number(self.session.numpy(self.session.predict(placed))))

    def gradients(self) -> Arrays:
        inputs = numbered(self._given, "inputs_")
        *placed, targets = self.session.place([*inputs, self._given["targets"]])
        found = self.session.gradients(tuple(placed), targets)
        moved = {
            path: array
            for path, array in self.session.state().items()
            if not np.array_equal(array, self._initial[path])
        }
        self.session.set_state(self._initial)
        return {
            "loss": np.asarray(found.loss, np.float64),
            **_prefixed("gradient", found.parameters),
            **{f"input_gradient/{i}": array for i, array in enumerate(found.inputs) if array is not None},
            **_prefixed("gradient_state", moved),
        }

    def steps(self, count: int, constants: Mapping[str, Any]) -> Arrays:
        """The losses, and what all steps together added to each parameter and statistic.

        Each step but the last starts from the initial state, which only the optimizer's own memory outlives. Left to run, a
        deep network without its schedule is chaotic: ResNet-50 multiplies a difference in the last digit by some hundred
        at every step, so that after five of them two equal programs agree in their first digits only.
        """
        self.session.set_state(self._initial)
        self.session.begin_training(constants)
        losses = []
        moving = [path for path, array in self._initial.items() if np.issubdtype(array.dtype, np.floating)]
        added = {path: np.zeros(self._initial[path].shape) for path in moving}
        for step in range(count):
            goes_on = step == count - 1
            if step and not goes_on:
                self.session.set_state(self._initial)
            losses.append(self._step(step))
            if step + 1 < count - 1 or goes_on:  # the last step's state holds what the one before it added, too
                state = self.session.state()
                for path in moving:
                    added[path] += state[path] - self._initial[path]
        return {"losses": np.array(losses, np.float64), **_prefixed("update", added)}

    def _step(self, number: int) -> float:
        """The loss of one step of the optimizer."""
        inputs = numbered(self._given, f"step_{number}_inputs_")
        *placed, targets = self.session.place([*inputs, self._given[f"step_{number}_targets"]])
        loss = self.session.train_step(tuple(placed), targets)
        self.session.wait(loss)
        return float(self.session.numpy(loss)[0])

    def dropout(self, shape: Sequence[int]) -> Arrays:
        self.session.set_state(self._initial)
        self.session.set_dropout(True)
        found: Arrays = {}
        for index, layer in enumerate(self.session.dropout_samples(tuple(shape))):
            self.layers.append((layer.path, float(layer.rate)))
            found[f"dropout/{index}/trained"] = np.asarray(layer.trained)
            found[f"dropout/{index}/evaluated"] = np.asarray(layer.evaluated)
        return found


def run(
    make: Callable[[], Session],
    save: Path,
    arrays: str,
    constants: Mapping[str, Any],
    steps: int,
    dropout_shape: Sequence[int] | None,
    training: bool,
) -> dict[str, Any]:
    """Every stage in turn, dropout off until its own; writes one .npz file and tells which stages failed and why."""
    with np.load(arrays, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    proof = _Proof(make, given)
    if proof.stage("open", proof.open):
        proof.stage("outputs", proof.outputs)
        if training:
            proof.stage("gradients", proof.gradients)
            proof.stage("steps", lambda: proof.steps(steps, constants))
        if dropout_shape is not None:
            proof.stage("dropout", lambda: proof.dropout(dropout_shape))
    save_arrays(save, proof.arrays)
    return {"errors": proof.errors, "dropout": proof.layers}


def summary(error: BaseException, limit: int = 300) -> str:
    """An exception in one line: its type and the lines of its message that say something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    for line in lines[1:]:
        if not text.endswith(":"):
            break
        text = f"{text} {line}"
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {f"{prefix}/{name}": np.asarray(array) for name, array in arrays.items()}


def _by_number(arrays: Sequence[np.ndarray]) -> Arrays:
    return {str(index): array for index, array in enumerate(arrays)}
