"""The loss, optimizer and schedule of a compiled Keras model, in assay's terms; what has none is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.errors import ModelError
from assay.nn import losses
from assay.nn.losses import Loss
from assay.nn.optimizers import SGD, Adam, AdamW, Constant, Cosine, Optimizer, RMSprop, Schedule, Step, Training

_BATCH_SIZE = 32  # that of Model.fit, if none is given there


def training_of(model: Any, notes: list[str], endings: Mapping[int, str]) -> Training | None:
    """How a compiled model is trained; None where it is not compiled, or where its loss or optimizer has no counterpart.

    `endings`: place of an output → the activation that makes it.
    """
    if not getattr(model, "compiled", False) or getattr(model, "loss", None) is None:
        return None
    if len(endings) != 1:
        notes.append("the loss of a model with several outputs is not brought")
        return None
    loss = _loss(model.loss, endings.get(0, ""), notes)
    optimizer = _optimizer(model.optimizer, notes)
    if loss is None or optimizer is None:
        return None
    classes = isinstance(loss, losses.CrossEntropy)
    return Training(loss, optimizer, batch_size=_BATCH_SIZE, epochs=1, metric="accuracy" if classes else "loss")


def loss(found: Any) -> tuple[Loss, tuple[str, ...]]:
    """The loss that an object of keras.losses is, and what of it is lost. Raises `ModelError` for one without a counterpart."""
    return _or_refuse(_loss, found, "")


def optimizer(found: Any) -> tuple[Optimizer, tuple[str, ...]]:
    """The optimizer that an object of keras.optimizers is, and what of it is lost; `ModelError` for one without a counterpart."""
    return _or_refuse(_optimizer, found)


def _or_refuse(translate: Any, found: Any, *more: Any) -> tuple[Any, tuple[str, ...]]:
    notes: list[str] = []
    value = translate(found, *more, notes)
    if value is None:
        raise ModelError(notes[-1])
    return value, tuple(notes)


# Losses ---------------------------------------------------------------------------------------------------------------

_NAMES = {
    **{"mse": "mean_squared_error", "mae": "mean_absolute_error"},
    **{"MeanSquaredError": "mean_squared_error", "MeanAbsoluteError": "mean_absolute_error", "Huber": "huber"},
    "BinaryCrossentropy": "binary_crossentropy",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
}


def _loss(given: Any, ending: str, notes: list[str]) -> Loss | None:
    name = given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
    name = _NAMES.get(name, name)
    config = {**getattr(given, "_fn_kwargs", {}), **(given.get_config() if hasattr(given, "get_config") else {})}
    if config.get("reduction", "sum_over_batch_size") not in ("sum_over_batch_size", "mean"):
        notes.append(f"the loss {name} is not brought: its reduction is {config['reduction']!r}, not the mean")
        return None
    if name == "mean_squared_error":
        return losses.MeanSquaredError()
    if name == "mean_absolute_error":
        return losses.MeanAbsoluteError()
    if name == "huber":
        return losses.Huber(float(config.get("delta", 1.0)))
    if name not in ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"):
        notes.append(f"the loss {name} has no counterpart here and is not brought")
        return None
    if not config.get("from_logits", False):
        notes.append(
            f"the loss {name} reads probabilities ({ending or 'the output'}), and losses here read logits: it is not brought; "
            "leave the last activation out of the model and give from_logits=True"
        )
        return None
    if config.get("label_smoothing", 0):
        notes.append(f"the loss {name} is not brought: it smooths its labels")
        return None
    if name == "binary_crossentropy":
        return losses.BinaryCrossEntropy()
    if config.get("axis", -1) != -1 or config.get("ignore_class") is not None:
        notes.append(f"the loss {name} is not brought: its classes are not on the last axis, or one is ignored")
        return None
    if name == "categorical_crossentropy":
        notes.append(
            "the loss takes class numbers here, where the source takes vectors with a one (categorical_crossentropy)"
        )
    return losses.CrossEntropy()


# Optimizers -----------------------------------------------------------------------------------------------------------


def _optimizer(given: Any, notes: list[str]) -> Optimizer | None:
    kind = type(given).__name__
    config = given.get_config()
    refused = [name for name in ("amsgrad", "centered", "use_ema") if config.get(name)]
    if kind == "RMSprop" and config.get("momentum"):
        refused.append("momentum")
    if kind not in ("SGD", "Adam", "AdamW", "RMSprop") or refused:
        what = f" with {', '.join(refused)}" if refused else ""
        notes.append(f"the optimizer {kind}{what} has no counterpart here: training is not brought")
        return None
    rate, schedule = _schedule(given, notes)
    shared: dict[str, Any] = {"schedule": schedule, "clip": config.get("global_clipnorm")}
    for option in ("clipnorm", "clipvalue"):
        if config.get(option):
            notes.append(f"the optimizer's {option}={config[option]} is not brought; global_clipnorm would be")
    decay = config.get("weight_decay")
    if kind == "SGD":
        return _sgd(rate, config, decay, schedule, shared, notes)
    if kind == "RMSprop":
        notes.append(
            f"RMSprop of Keras adds epsilon={config['epsilon']:g} under the root; here it stands outside: a little "
            "different where gradients are tiny"
        )
        _lost_decay(decay, notes)
        return RMSprop(rate, float(config["rho"]), float(config["epsilon"]), **shared)
    notes.append(
        f"{kind} of Keras adds epsilon={config['epsilon']:g} before the bias correction; here it stands after: a little "
        "different in the first steps"
    )
    betas: dict[str, Any] = {
        "beta_1": float(config["beta_1"]),
        "beta_2": float(config["beta_2"]),
        "epsilon": float(config["epsilon"]),
    }
    if decay:
        if getattr(given, "_exclude_from_weight_decay", None):
            notes.append("variables that the source leaves out of weight decay decay here")
        return AdamW(rate, **betas, weight_decay=float(decay), **shared)
    return Adam(rate, **betas, **shared)


def _sgd(
    rate: float, config: Mapping[str, Any], decay: Any, schedule: Schedule, shared: dict[str, Any], notes: list[str]
) -> SGD:
    momentum = float(config.get("momentum", 0.0))
    if momentum and not isinstance(schedule, Constant):
        notes.append(
            "momentum of Keras gathers steps of the rate at that time; here the rate multiplies the velocity when it is used"
        )
    _lost_decay(decay, notes)
    return SGD(rate, momentum=momentum, nesterov=bool(config.get("nesterov", False)), **shared)


def _lost_decay(decay: Any, notes: list[str]) -> None:
    if decay:
        notes.append(f"the decoupled weight decay of {decay:g} is not brought; AdamW has it")


def _schedule(given: Any, notes: list[str]) -> tuple[float, Schedule]:
    """The learning rate and what becomes of it."""
    rate = getattr(given, "_learning_rate", None)
    name = type(rate).__name__
    if not hasattr(rate, "get_config") or not callable(rate):
        return _decimal(float(given.learning_rate)), Constant()
    config = rate.get_config()
    start = float(config.get("initial_learning_rate", 0.0))
    if name == "CosineDecay" and not config.get("warmup_steps"):
        return start, Cosine(int(config["decay_steps"]), final=float(config["alpha"]))
    if name == "ExponentialDecay" and config["staircase"]:
        return start, Step(int(config["decay_steps"]), float(config["decay_rate"]))
    notes.append(f"the schedule {name} has no counterpart here: the learning rate stays as it is at the first step")
    return _decimal(float(rate(0))), Constant()


def _decimal(number: float) -> float:
    """The decimal that a float32 was made from."""
    from assay.model import intended

    return intended(number)
