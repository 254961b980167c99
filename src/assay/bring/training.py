"""How a brought model is trained: a loss and an optimizer, from text or from a framework's own objects."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, fields
from typing import Any

from assay.errors import ModelError, unknown
from assay.frameworks import frameworks
from assay.nn.losses import BinaryCrossEntropy, CrossEntropy, Huber, Loss, MeanAbsoluteError, MeanSquaredError
from assay.nn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, Training

LOSSES: dict[str, type[Loss]] = {
    "cross-entropy": CrossEntropy,
    "binary-cross-entropy": BinaryCrossEntropy,
    "mean-squared-error": MeanSquaredError,
    "mean-absolute-error": MeanAbsoluteError,
    "huber": Huber,
}
OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}
_SHORT = {"mse": "mean-squared-error", "mae": "mean-absolute-error", "l1": "mean-absolute-error"}
BATCH_SIZE = 32  # where nobody says


@dataclass(frozen=True)
class Brought:
    """A loss or an optimizer as assay means it, and what of the source's is not in it."""

    value: Any
    notes: tuple[str, ...] = ()


def training_of(
    loss: Any, optimizer: Any, batch_size: int = BATCH_SIZE, seed: int = 0
) -> tuple[Training, tuple[str, ...]]:
    """The training with this loss and optimizer, and notes on what is lost.

    `loss`: "cross-entropy", "huber:delta=0.5", an object of assay.nn or of a framework (torch.nn.CrossEntropyLoss()).
    `optimizer`: "adamw:learning_rate=1e-3,weight_decay=0.01", an object of assay.nn or of a framework; SGD with a rate of 0.01
    if None. Raises `NotFoundError` for an unknown name, `ModelError` for what cannot be said in all frameworks.
    """
    found_loss = _brought(loss, "loss", LOSSES, Loss)
    found_optimizer = (
        Brought(SGD(0.01)) if optimizer is None else _brought(optimizer, "optimizer", OPTIMIZERS, Optimizer)
    )
    training = Training(found_loss.value, found_optimizer.value, batch_size, epochs=1, metric="loss", seed=seed)
    return training, (*found_loss.notes, *found_optimizer.notes)


def output_of(loss: Any) -> tuple[Any, str | None]:
    """A loss without the output that it names, and that: `huber:delta=0.5,output=mask` → `huber:delta=0.5`, `mask`."""
    if not isinstance(loss, str):
        return loss, None
    name, _, rest = loss.partition(":")
    parts = [part.strip() for part in rest.split(",") if part.strip()]
    named = [part.partition("=")[2].strip() for part in parts if part.partition("=")[0].strip() == "output"]
    others = ",".join(part for part in parts if part.partition("=")[0].strip() != "output")
    return (f"{name}:{others}" if others else name), (named[-1] if named else None)


def _brought(given: Any, what: str, known: dict[str, Any], kind: type) -> Brought:
    if isinstance(given, kind):
        return Brought(given)
    if isinstance(given, str):
        return Brought(_from_text(given, what, known))
    owner = type(given).__module__.partition(".")[0]
    for framework in frameworks().values():
        if owner in framework.trains:
            module: Any = importlib.import_module(f"assay.frameworks.{framework.name}.bring_training")
            return Brought(*getattr(module, what)(given))
    raise ModelError(
        f"cannot take a {type(given).__module__}.{type(given).__qualname__} as {what}: expected one of "
        f"{', '.join(known)} (as text, with its numbers after a colon), or an object of assay.nn or PyTorch"
    )


def _from_text(text: str, what: str, known: dict[str, Any]) -> Any:
    """`adamw:learning_rate=1e-3,weight_decay=0.01` as an object."""
    name, _, rest = text.strip().partition(":")
    name = _SHORT.get(name.lower(), name.lower())
    if name not in known:
        raise unknown(what, name, known)
    options = {item.name: item for item in fields(known[name]) if item.name != "schedule"}
    values: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        key = {"lr": "learning_rate"}.get(key.strip(), key.strip())
        if key not in options:
            raise unknown(f"option of {name}", key, options)
        values[key] = _value(name, key, value.strip())
    try:
        return known[name](**values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{text!r} is no {what}: {error}") from error


def _value(name: str, key: str, text: str) -> float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.IGNORECASE):
        raise ModelError(f"{key} of {name} is {text!r}: expected a number, as in {key}=0.001")
    return float(text)


__all__ = ["BATCH_SIZE", "LOSSES", "OPTIMIZERS", "Brought", "output_of", "training_of"]
