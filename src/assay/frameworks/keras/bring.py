"""Keras models and `.keras` files as models of assay. Keras itself is imported only where a live model is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.model import Model

__all__ = ["bring", "load_file", "set_weights"]


def bring(found: Any, inputs: Any, name: str) -> Model:
    """The model of a Keras model, followed in the process that it lives in.

    `inputs`, where it is not built: arrays, `InputSpec`s, or a dict of them by argument. The size of the batch stays open
    unless the model fixes it; what is lost is said in `Model.notes`. Raises `ModelError` for what is no model or cannot be
    followed, `UnsupportedError` with everything that has no translation.
    """
    from assay.frameworks.keras import bring_model

    return bring_model.bring(found, inputs, name)


def load_file(path: Path, name: str) -> Model:
    """The model in a `.keras` file, read in Keras' safe mode in another process after the archive was looked at."""
    from assay.frameworks.keras import bring_file

    return bring_file.read(path, name)


def set_weights(found: Any, model: Model) -> None:
    """Puts a model's weights, wherever they were trained, into the Keras model that it was brought from.

    Raises `ModelError` if it is not that model, or not of its shapes.
    """
    from assay.frameworks.keras import bring_model

    bring_model.set_weights(found, model)
