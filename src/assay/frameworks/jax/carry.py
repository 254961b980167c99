"""Weights into a live Flax NNX module, and out of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from assay.frameworks.carrying import check


def native_state(model: nnx.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The weights of a written model by their paths."""
    wanted = set(names)
    return {name: array for name, array in state(model).items() if name in wanted}


def load_into(module: nnx.Module, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Updates a module (`nnx.update`) with weights by the paths of its variables; returns the paths left as they were.

    Types stay the module's. Raises `ModelError`, before anything is changed, unless each path is the module's, with the
    same shape.
    """
    whole = nnx.state(module)
    variables = dict(_variables(whole))
    shapes = {name: tuple(item[...].shape) for name, item in variables.items()}
    check(arrays, shapes, type(module).__name__, "variable")
    for name, array in arrays.items():
        variables[name][...] = jnp.asarray(array, variables[name][...].dtype)
    nnx.update(module, whole)
    return tuple(name for name in variables if name not in arrays)


def state(module: nnx.Module) -> dict[str, np.ndarray]:
    """The variables of a module by path, but for random keys and counts."""
    return {name: np.asarray(variable[...]) for name, variable in _variables(nnx.state(module))}


def _variables(state: Any) -> list[tuple[str, Any]]:
    return [
        (".".join(map(str, path)), item)
        for path, item in nnx.to_flat_state(state)
        if isinstance(item, nnx.Variable) and not isinstance(item, nnx.RngState)
    ]
