"""Running one case in one framework: written, saved, loaded, and held against the truth.

A session imports its framework, so a process runs one framework (on one backend) only.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from assay.errors import AssayError
from assay.frameworks import Target
from assay.frameworks.base import Gradients, Session
from assay.graph.calls import calls_of
from assay.model import Model
from assay.prove import tolerance
from assay.prove.evidence import disturbed, gather
from assay.prove.oracle import evaluate
from assay.prove.results import deviation
from assay.testing.case import Case
from assay.testing.gaps import Fault
from assay.write import Package, write

FLOAT32_OUTPUTS = 1e-5
FINITE_DIFFERENCE = 1e-6  # relative error of a central difference with a step of as much
DIRECTIONS = 2  # random ones, in the space of all parameters and the input

Arrays = dict[str, np.ndarray]


def session_class(target: Target) -> type[Session]:
    """The framework's session; imports the framework."""
    found: type[Session] = importlib.import_module(f"assay.frameworks.{target.framework}.run").Session
    return found


def faults_of(case: Case, target: Target, modes: Sequence[str], folder: Path) -> list[Fault]:
    """Everything that is wrong with a case on a target; its package is saved under `folder`."""
    model = disturbed(case.model())
    try:
        package = write(model, target.name)
        place = package.save(folder / case.name)
    except AssayError as error:
        return [Fault("write", None, str(error))]
    faults = [Fault("weights", None, text) for text in lost_weights(package)]
    trial = _Trial.of(model, package, target, place)
    for mode in modes:
        faults += trial.faults_in(mode)
    return faults


def lost_weights(package: Package) -> list[str]:
    """Weights that do not come back from the native ones exactly, into a model that has zeros in their place."""
    weights = package.model.weights()
    empty = replace(
        package, model=package.model.with_weights({name: np.zeros_like(array) for name, array in weights.items()})
    )
    back = empty.model_with(package.native_weights).weights()
    return [
        f"{name} does not come back from the native weights"
        for name, array in weights.items()
        if not np.array_equal(back[name], array)
    ]


@dataclass
class _Trial:
    """A saved package with its evidence; the first mode's gradients are what the other modes are held against."""

    make: type[Session]
    place: Path
    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray
    truth: np.ndarray
    trained: frozenset[str]  # native paths that must have a gradient
    slack: float  # what the framework's allowances add to every bound
    reference: Gradients | None = field(default=None)

    @classmethod
    def of(cls, model: Model, package: Package, target: Target, place: Path) -> _Trial:
        evidence = gather(model)
        assert evidence.targets is not None  # every case has a training
        named = {value.name or "": array for value, array in zip(model.graph.inputs, evidence.inputs, strict=True)}
        allowed = tolerance.applying(target.framework, target.backend, {call.kind for call in calls_of(model)})
        return cls(
            session_class(target),
            place,
            evidence.inputs,
            evidence.targets,
            evaluate(model, named)[0],
            frozenset(item.native for item in package.weights if item.role == "parameter"),
            sum(item.error for item in allowed),
        )

    def faults_in(self, mode: str) -> list[Fault]:
        faults: list[Fault] = []

        def stage(name: str, check: Callable[[str], list[str]]) -> None:
            try:
                texts = check(mode)
            except Exception as error:  # whatever a framework raises is this stage's fault, and the next one's chance
                traceback.print_exc()
                texts = [_one_line(error)]
            faults.extend(Fault(name, mode, text) for text in texts)

        stage("outputs", self._outputs)
        stage("gradients", self._gradients)
        stage("float32", self._float32)
        return faults

    def _open(self, mode: str, dtype: str) -> Session:
        session = self.make(self.place, mode, dtype)
        session.set_dropout(False)
        return session

    def _outputs(self, mode: str) -> list[str]:
        session = self._open(mode, "float64")
        return self._outputs_beyond(session, tolerance.OUTPUTS + self.slack)

    def _float32(self, mode: str) -> list[str]:
        return self._outputs_beyond(self._open(mode, "float32"), FLOAT32_OUTPUTS + self.slack)

    def _outputs_beyond(self, session: Session, limit: float) -> list[str]:
        found = session.numpy(session.predict(session.place(self.inputs)))[0]
        return _beyond("outputs", deviation(found, self.truth), limit)

    def _gradients(self, mode: str) -> list[str]:
        session = self._open(mode, "float64")
        start = session.state()
        *inputs, targets = session.place([*self.inputs, self.targets])
        found = session.gradients(tuple(inputs), targets)
        if missing := sorted(self.trained - set(found.parameters)):
            return [f"no gradient of {', '.join(missing)}"]
        if self.reference is not None:
            return self._against_reference(found, self.reference)
        faults = [text for seed in range(DIRECTIONS) for text in self._along_direction(session, start, found, seed)]
        if not faults:
            self.reference = found
        return faults

    def _along_direction(self, session: Session, start: Arrays, found: Gradients, seed: int) -> list[str]:
        """The slope of the loss along a random direction of all parameters and float inputs, measured and claimed."""
        generator = np.random.Generator(np.random.Philox(key=[seed, 0xD12]))
        step = max(FINITE_DIFFERENCE, self.slack ** (1 / 3))  # where rounding and curvature are about equal
        limit = max(FINITE_DIFFERENCE, 10 * self.slack ** (2 / 3))
        of_parameters = {name: generator.standard_normal(array.shape) for name, array in found.parameters.items()}
        of_inputs = [
            None if gradient is None else generator.standard_normal(gradient.shape) for gradient in found.inputs
        ]

        def loss(move: float) -> float:
            session.set_state({**start, **{name: start[name] + move * way for name, way in of_parameters.items()}})
            moved = [
                array if way is None else array + move * way for array, way in zip(self.inputs, of_inputs, strict=True)
            ]
            *inputs, targets = session.place([*moved, self.targets])
            return session.gradients(tuple(inputs), targets).loss

        measured = _slope(loss, step, wide=self.slack > 0)
        session.set_state(start)
        claimed = sum(float((found.parameters[name] * way).sum()) for name, way in of_parameters.items()) + sum(
            float((gradient * way).sum())
            for gradient, way in zip(found.inputs, of_inputs, strict=True)
            if gradient is not None and way is not None
        )
        if abs(measured - claimed) <= limit * max(1.0, abs(measured)):
            return []
        return [f"along direction {seed} the loss rises by {measured:.9g}, the gradients say {claimed:.9g}"]

    def _against_reference(self, found: Gradients, reference: Gradients) -> list[str]:
        expected, actual = _flat(reference), _flat(found)
        scale = tolerance.SMALLEST_SCALE * max(float(np.abs(array).max(initial=0.0)) for array in expected.values())
        limit = tolerance.GRADIENTS + self.slack
        return [
            text
            for name, array in expected.items()
            for text in _beyond(f"gradient of {name}", deviation(actual[name], array, scale), limit)
        ]


def _slope(function: Callable[[float], float], step: float, wide: bool) -> float:
    """The derivative at 0 by central differences; `wide`: of fourth order, where the step must be large because rounding is."""
    inner = (function(step) - function(-step)) / (2 * step)
    if not wide:
        return inner
    outer = (function(2 * step) - function(-2 * step)) / (4 * step)
    return (4 * inner - outer) / 3


def _flat(gradients: Gradients) -> Mapping[str, np.ndarray]:
    inputs = {f"input {index}": array for index, array in enumerate(gradients.inputs) if array is not None}
    return {"loss": np.asarray(gradients.loss), **gradients.parameters, **inputs}


def _beyond(what: str, error: float, limit: float) -> list[str]:
    return [] if error <= limit else [f"{what} deviate by {error:.1e}, at most {limit:.0e} expected"]


def _one_line(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= limit else text[: limit - 1] + '…'}"
