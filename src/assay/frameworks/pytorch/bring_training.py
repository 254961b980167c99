"""PyTorch's losses and optimizers as assay's, whose meaning is PyTorch's own almost everywhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn as torch_nn

from assay.errors import ModelError
from assay.nn import losses, optimizers

Loss = tuple[losses.Loss, tuple[str, ...]]
Optimizer = tuple[optimizers.Optimizer, tuple[str, ...]]


def loss(found: Any) -> Loss:
    """The loss that a module of torch.nn is, and what of it is lost. Raises `ModelError` for one that averages otherwise, or weighs."""
    _require_mean(found)
    match found:
        case torch_nn.CrossEntropyLoss():
            _refuse(found, "weight", found.weight is not None)
            _refuse(found, "label_smoothing", found.label_smoothing != 0)
            return losses.CrossEntropy(), _ignored(found)
        case torch_nn.BCEWithLogitsLoss():
            _refuse(found, "weight", found.weight is not None)
            _refuse(found, "pos_weight", found.pos_weight is not None)
            return losses.BinaryCrossEntropy(), ()
        case torch_nn.MSELoss():
            return losses.MeanSquaredError(), ()
        case torch_nn.L1Loss():
            return losses.MeanAbsoluteError(), ()
        case torch_nn.HuberLoss():
            return losses.Huber(found.delta), ()
        case torch_nn.SmoothL1Loss() if found.beta == 1:
            return losses.Huber(1.0), ()
    raise ModelError(
        f"the loss {type(found).__name__} has no counterpart: expected CrossEntropyLoss, BCEWithLogitsLoss, MSELoss, L1Loss, "
        "HuberLoss or SmoothL1Loss(beta=1)"
    )


def _require_mean(found: Any) -> None:
    if getattr(found, "reduction", "mean") != "mean":
        raise ModelError(f"{type(found).__name__} has reduction={found.reduction!r}: expected 'mean'")


def _refuse(found: Any, name: str, present: bool) -> None:
    if present:
        raise ModelError(f"{type(found).__name__} with {name} cannot be written yet: leave {name} out")


def _ignored(found: torch_nn.CrossEntropyLoss) -> tuple[str, ...]:
    return (
        ()
        if found.ignore_index < 0
        else (f"targets of {found.ignore_index} count in the loss: ignore_index is not kept",)
    )


def optimizer(found: Any) -> Optimizer:
    """The optimizer that one of torch.optim is, with its numbers, and what of it is lost. Raises `ModelError` for what cannot be said."""
    if not isinstance(found, torch.optim.Optimizer):
        raise ModelError(f"{type(found).__name__} is no optimizer of torch.optim")
    groups = found.param_groups
    numbers = [{name: value for name, value in group.items() if name != "params"} for group in groups]
    if any(other != numbers[0] for other in numbers[1:]):
        raise ModelError(
            f"{type(found).__name__} has {len(groups)} groups of parameters with different numbers: expected one"
        )
    make = _OPTIMIZERS.get(type(found))
    if make is None:
        known = ", ".join(kind.__name__ for kind in _OPTIMIZERS)
        raise ModelError(f"the optimizer {type(found).__name__} has no counterpart: expected {known}")
    group = numbers[0]
    for name in ("amsgrad", "maximize", "centered"):
        _refuse(found, name, bool(group.get(name)))
    if group.get("initial_lr") not in (None, group["lr"]):
        return make(group), ("the learning rate is the present one; its schedule is not brought",)
    return make(group), ()


def _sgd(group: dict[str, Any]) -> optimizers.Optimizer:
    if group["dampening"]:
        raise ModelError("SGD with dampening cannot be written yet: leave dampening out")
    return optimizers.SGD(
        float(group["lr"]), momentum=group["momentum"], nesterov=group["nesterov"], weight_decay=group["weight_decay"]
    )


def _adam(group: dict[str, Any]) -> optimizers.Optimizer:
    if group["weight_decay"]:
        raise ModelError("Adam with coupled weight_decay cannot be written yet: use AdamW, whose decay is decoupled")
    first, second = group["betas"]
    return optimizers.Adam(float(group["lr"]), first, second, group["eps"])


def _adamw(group: dict[str, Any]) -> optimizers.Optimizer:
    first, second = group["betas"]
    return optimizers.AdamW(float(group["lr"]), first, second, group["eps"], weight_decay=group["weight_decay"])


def _rmsprop(group: dict[str, Any]) -> optimizers.Optimizer:
    if group["momentum"] or group["weight_decay"]:
        raise ModelError("RMSprop with momentum or weight_decay cannot be written yet: leave them out")
    return optimizers.RMSprop(float(group["lr"]), rho=group["alpha"], epsilon=group["eps"])


_OPTIMIZERS: dict[type, Any] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adamw,
    torch.optim.RMSprop: _rmsprop,
}
