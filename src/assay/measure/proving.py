"""What a written package computes in float64, for the prove stage to compare. Runs in the worker."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from assay.frameworks.base import Session
from assay.measure.arrays import ArrayFile, Shelf, array_file, numbered

__all__ = ["numbered", "run"]


class _Proof:
    """Writes the arrays of one contestant, stage by stage, as they are computed; a stage that fails leaves its reason, and
    nothing that may be read.

    All is in float64, and a model may be large: besides what the framework itself holds, one array is in memory at a time.
    The initial state, and the sums of the steps, are on shelves.
    """

    def __init__(
        self, make: Callable[[], Session], given: Mapping[str, np.ndarray], file: ArrayFile, aside: Path
    ) -> None:
        self._make = make
        self._given = given
        self._file = file
        self._session: Session | None = None
        self._initial = Shelf(aside)
        self._sums = Shelf(aside)
        self.errors: dict[str, str] = {}
        self.layers: list[tuple[str, float]] = []

    def close(self) -> None:
        self._initial.close()
        self._sums.close()

    def stage(self, name: str, action: Callable[[], None]) -> bool:
        """Runs one stage; its traceback goes to the worker's log."""
        try:
            action()
        except Exception as error:
            traceback.print_exc()
            self.errors[name] = summary(error)
            return False
        return True

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    def open(self) -> None:
        self._session = self._make()
        self.session.set_dropout(False)
        self._initial.update(self.session.variables())

    def outputs(self) -> None:
        placed = self.session.place(numbered(self._given, "inputs_"))
        for index, array in enumerate(self.session.numpy(self.session.predict(placed))):
            self._file.add(f"output/{index}", array)

    def gradients(self) -> None:
        inputs = numbered(self._given, "inputs_")
        *placed, targets = self.session.place([*inputs, self._given["targets"]])
        found = self.session.gradients(tuple(placed), targets)
        self._file.add("loss", np.asarray(found.loss, np.float64))
        self._file.update((f"gradient/{path}", array) for path, array in found.parameters.items())
        for index, array in enumerate(found.inputs):
            if array is not None:
                self._file.add(f"input_gradient/{index}", array)
        del found
        for path, array in self.session.variables():
            if not np.array_equal(array, self._initial[path]):
                self._file.add(f"gradient_state/{path}", array)
        self.session.set_state(self._initial)

    def steps(self, count: int, constants: Mapping[str, Any]) -> None:
        """The losses, and what all steps together added to each parameter and statistic.

        Each step but the last starts from the initial state, which only the optimizer's own memory outlives. Left to run, a
        deep network without its schedule is chaotic: ResNet-50 multiplies a difference in the last digit by some hundred
        at every step, so that after five of them two equal programs agree in their first digits only.
        """
        self.session.set_state(self._initial)
        self.session.begin_training(constants)
        losses = []
        for step in range(count):
            if 0 < step < count - 1:
                self.session.set_state(self._initial)
            losses.append(self._step(step))
            if step + 1 < count - 1:  # the last step's state holds what the one before it added, too
                self._sums.update(self._added())
        self._file.add("losses", np.array(losses, np.float64))
        self._file.update((f"update/{path}", total) for path, total in self._added())

    def _step(self, number: int) -> float:
        """The loss of one step of the optimizer."""
        inputs = numbered(self._given, f"step_{number}_inputs_")
        *placed, targets = self.session.place([*inputs, self._given[f"step_{number}_targets"]])
        loss = self.session.train_step(tuple(placed), targets)
        self.session.wait(loss)
        return float(self.session.numpy(loss)[0])

    def _added(self) -> Iterator[tuple[str, np.ndarray]]:
        """How far each parameter and statistic is from its initial value, and what it had been before, together."""
        for path, array in self.session.variables():
            if np.issubdtype(array.dtype, np.floating):
                moved = self._initial[path]
                np.subtract(array, moved, out=moved)
                del array
                if path in self._sums:
                    moved += self._sums[path]
                yield path, moved

    def dropout(self, shape: Sequence[int]) -> None:
        self.session.set_state(self._initial)
        self.session.set_dropout(True)
        for index, layer in enumerate(self.session.dropout_samples(tuple(shape))):
            self.layers.append((layer.path, float(layer.rate)))
            self._file.add(f"dropout/{index}/trained", np.asarray(layer.trained))
            self._file.add(f"dropout/{index}/evaluated", np.asarray(layer.evaluated))


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
    with array_file(save) as written, closing(_Proof(make, given, written, save.parent)) as proof:
        if proof.stage("open", proof.open):
            proof.stage("outputs", proof.outputs)
            if training:
                proof.stage("gradients", proof.gradients)
                proof.stage("steps", lambda: proof.steps(steps, constants))
            if dropout_shape is not None:
                proof.stage("dropout", lambda: proof.dropout(dropout_shape))
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
