"""Running one official case in one framework: brought from its file, written, loaded natively, run, held against the expected.

A case is run as it comes, its weights among its inputs, and (where its operator owns weights) once more with the weights
in the model, as a layer.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from assay.bring.onnx import load_onnx
from assay.errors import AssayError
from assay.frameworks import Target
from assay.model import Model
from assay.testing.gaps import Fault
from assay.testing.official import Data, OfficialCase
from assay.write import Package, write

ROUNDINGS = 2  # units in the last place


@dataclass
class Trial:
    """What happened to a case: its faults, and how long its steps took."""

    faults: list[Fault] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # "bring", "write", "load", "run"
    slopes: list[list[Any]] = field(
        default_factory=list
    )  # of its gradient: verdict, claimed, left, right; in float64: verdict


def try_case(case: OfficialCase, target: Target) -> Trial:
    """Runs a case in both forms. Faults of the layer form are of stages that begin with `layer-`."""
    trial = Trial()
    _try_form(case, target, trial, "")
    layers = case.as_layers()
    if layers is not None:
        _try_form(layers, target, trial, "layer-")
    return trial


class _Failed(Exception):
    """A step failed; its fault is recorded."""


def _try_form(case: OfficialCase, target: Target, trial: Trial, prefix: str) -> None:
    step = _Steps(trial, prefix)
    with contextlib.suppress(_Failed):
        model: Model = step("bring", lambda: bring(case))
        package: Package = step("write", lambda: write(model, target.name))
        native: Any = step("load", package.load)
        values = importlib.import_module(f"assay.frameworks.{target.framework}.values")
        types = [value["dtype"] for value in package.manifest()["outputs"]]
        for inputs, expected in case.data:
            actual = step("run", partial(_run, native, inputs, values, types))
            if case.is_random:
                expected = tuple(None if item is None else np.asarray(item) for item in expected)
            wrong = differences(actual, expected, case.rtol, case.atol, case.is_random)
            trial.faults.extend(Fault(f"{prefix}outputs", None, text) for text in wrong)


@dataclass
class _Steps:
    trial: Trial
    prefix: str

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return work()
        except Exception as error:  # whatever a framework raises is a fault of the case
            if not isinstance(error, AssayError):
                traceback.print_exc()
            text = " ".join(str(error).split())[:300]
            self.trial.faults.append(Fault(f"{self.prefix}{stage}", None, f"{type(error).__name__}: {text}"))
            raise _Failed from error
        finally:
            spent = self.trial.seconds.get(stage, 0.0) + time.perf_counter() - started
            self.trial.seconds[stage] = spent


def bring(case: OfficialCase) -> Model:
    with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
        path = Path(temporary) / f"{case.name.removeprefix('test_')}.onnx"
        onnx.save(case.model, path)
        return load_onnx(path)


def _run(native: Any, inputs: tuple[Data, ...], values: Any, types: list[str]) -> tuple[Data, ...]:
    with values.inference():
        found = native(*[values.to_native(item) for item in inputs])
    outputs = found if isinstance(found, tuple) else (found,)
    if len(outputs) != len(types):
        raise ValueError(f"{len(outputs)} outputs, {len(types)} expected")
    return tuple(values.to_numpy(item, kind) for item, kind in zip(outputs, types, strict=True))


def differences(actual: Any, expected: Any, rtol: float, atol: float, only_kind: bool = False) -> list[str]:
    """What is wrong with outputs: number, type, shape or values, by ONNX's own measure."""
    return list(_differences(actual, expected, rtol, atol, only_kind, "output"))


def _differences(actual: Any, expected: Any, rtol: float, atol: float, only_kind: bool, what: str) -> Iterator[str]:
    if isinstance(expected, (list, tuple)):
        if not isinstance(actual, (list, tuple)) or len(actual) != len(expected):
            found = len(actual) if isinstance(actual, (list, tuple)) else type(actual).__name__
            yield f"{what}: {found} where {len(expected)} were expected"
            return
        for place, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from _differences(one, other, rtol, atol, only_kind, f"{what} {place}")
    elif expected is None or actual is None:
        if actual is not expected:
            yield f"{what}: {'nothing' if actual is None else 'something'} where the opposite was expected"
    else:
        yield from _array_differences(actual, np.asarray(expected), rtol, atol, only_kind, what)


def _array_differences(
    actual: np.ndarray, expected: np.ndarray, rtol: float, atol: float, only_kind: bool, what: str
) -> Iterator[str]:
    if actual.dtype != expected.dtype:
        yield f"{what} is of type {actual.dtype}, {expected.dtype} expected"
    elif actual.shape != expected.shape:
        yield f"{what} has shape {actual.shape}, {expected.shape} expected"
    elif not only_kind and not _close(actual, expected, rtol, atol):
        kind = "differs by rounding" if _is_rounding(actual, expected) else "has wrong values"
        yield f"{what} {kind}: {_shown(actual)}; expected {_shown(expected)}"


def _close(actual: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> bool:
    if expected.dtype.kind in "OSUb":
        return bool(np.array_equal(actual, expected))
    if expected.dtype.kind not in "fciu":  # bfloat16, float8, int4 …: types of ml_dtypes
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    if expected.dtype.kind in "iu":
        return bool(np.array_equal(actual, expected))
    return bool(np.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True))


def _is_rounding(actual: np.ndarray, expected: np.ndarray) -> bool:
    """Whether a float result is as near as its type can tell: a few units in the last place of the largest value.

    ONNX's tolerance is the same for bfloat16 as for float32, and near 0 it is absolute: it asks for the reference's own
    order of rounding there. Such a case does not pass, and is no wrong answer either.
    """
    if expected.dtype.kind in "OSUbciu" or not expected.size:
        return False
    places = ml_dtypes.finfo(expected.dtype).eps  # type: ignore[no-untyped-call]
    one, other = actual.astype(np.float64), expected.astype(np.float64)
    same = np.array_equal(np.isfinite(one), np.isfinite(other))
    finite = np.isfinite(one) & np.isfinite(other)
    away = np.abs(one - other)[finite].max(initial=0.0)
    return bool(same and away <= ROUNDINGS * float(places) * np.abs(other[finite]).max(initial=0.0))


def _shown(array: np.ndarray) -> str:
    return " ".join(np.array2string(array.reshape(-1)[:6], precision=7).split())
