"""Weights into the variables of a live `tf.Module`, and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from assay.errors import ModelError
from assay.frameworks.carrying import check


def native_state(model: tf.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The weights of a written model by their paths."""
    return {name: _at(model, name).numpy() for name in names}


def _at(model: tf.Module, path: str) -> Any:
    found: Any = model
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    return found


def load_into(module: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Assigns weights by the paths of the module's variables; returns the paths left as they were.

    Raises `ModelError`, before anything is changed, unless each path is the module's, with the same shape.
    """
    title = type(module).__name__
    if not isinstance(module, tf.Module):
        raise ModelError(f"{title} holds no variables of its own: give the tf.Module that holds them")
    variables = _variables(module)
    check(arrays, {name: tuple(item.shape) for name, item in variables.items()}, title, "variable")
    for name, array in arrays.items():
        variables[name].assign(tf.cast(array, variables[name].dtype))
    return tuple(name for name in variables if name not in arrays)


def state(module: tf.Module) -> dict[str, np.ndarray]:
    """The variables of a module by the path that leads to them."""
    return {name: variable.numpy() for name, variable in _variables(module).items()}


def _variables(module: tf.Module) -> dict[str, Any]:
    """Each variable once, under the first path that leads to it, as when the module is brought."""
    found: dict[str, Any] = {}
    for path, item in module._flatten(predicate=lambda item: isinstance(item, tf.Variable), with_path=True):
        if all(item is not other for other in found.values()):
            found[".".join(map(str, path))] = item
    return found
