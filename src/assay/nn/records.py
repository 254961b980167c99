"""A `Training` as plain data and back: what travels in files, which may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from assay.nn import losses, optimizers
from assay.nn.losses import Loss
from assay.nn.optimizers import Optimizer, Schedule, Training

_LOSSES = (
    losses.CrossEntropy,
    losses.BinaryCrossEntropy,
    losses.MeanSquaredError,
    losses.MeanAbsoluteError,
    losses.Huber,
)
_OPTIMIZERS = (optimizers.SGD, optimizers.Adam, optimizers.AdamW, optimizers.RMSprop)
_SCHEDULES = (optimizers.Constant, optimizers.Cosine, optimizers.Step, optimizers.Warmup)
_METRICS = ("accuracy", "auc", "bits-per-character", "r2", "loss")


def to_data(training: Training) -> dict[str, Any]:
    """Loss, optimizer and schedule by the names of their classes, with their numbers."""
    return {
        **{item.name: getattr(training, item.name) for item in fields(training)},
        "loss": _named(training.loss),
        "optimizer": {**_named(training.optimizer), "schedule": _named(training.optimizer.schedule)},
    }


def from_data(found: Any) -> Training:
    """What `to_data` gave. Raises `ValueError` for anything else: nothing is called but the classes of `assay.nn`."""
    values = dict(_mapping(found, "training"))
    optimizer = dict(_mapping(values.get("optimizer"), "optimizer"))
    schedule = _made(optimizer.pop("schedule", None), _SCHEDULES, "schedule")
    values["optimizer"] = _made({**optimizer, "schedule": schedule}, _OPTIMIZERS, "optimizer")
    values["loss"] = _made(values.get("loss"), _LOSSES, "loss")
    if values.get("metric") not in _METRICS:
        raise ValueError(f"{values.get('metric')!r} is no metric: expected one of {', '.join(_METRICS)}")
    training: Training = _filled(Training, values, "training")
    return training


def _named(item: Any) -> dict[str, Any]:
    own = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "schedule"}
    return {"kind": type(item).__name__, **own}


def _mapping(found: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ValueError(f"the {what} is {found!r}: expected its kind and its numbers")
    return found


def _made(found: Any, kinds: tuple[type, ...], what: str) -> Any:
    values = dict(_mapping(found, what))
    name = values.pop("kind", None)
    known = {kind.__name__: kind for kind in kinds}
    if name not in known:
        raise ValueError(f"{name!r} is no {what}: expected one of {', '.join(known)}")
    return _filled(known[name], values, what)


def _filled(kind: Any, values: Mapping[str, Any], what: str) -> Any:
    """An object of a class, each of whose fields has a value of its type."""
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"the {what} has {name!r}, which {kind.__name__} has not: expected {', '.join(known)}")
        if not _fits(str(known[name].type), value):
            raise ValueError(f"{name} of the {what} is {value!r}: expected {known[name].type}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"the {what} is not whole: {error}") from error


def _fits(annotation: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    match annotation:
        case "int":
            return whole and value >= 0
        case "float":
            return whole or (isinstance(value, float) and math.isfinite(value))
        case "float | None":
            return value is None or _fits("float", value)
        case "bool":
            return isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "Schedule":
            return isinstance(value, Schedule)
        case "Optimizer":
            return isinstance(value, Optimizer)
    return isinstance(value, Loss)
