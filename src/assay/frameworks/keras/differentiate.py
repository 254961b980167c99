"""Gradients of written Keras code with respect to its inputs, for the conformance suite; Keras leaves them to its backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np


def gradients(
    function: Callable[..., Any], inputs: Sequence[Any], places: Sequence[int], seeds: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The gradient of the sum of all outputs, each multiplied by its seed, with respect to the inputs at `places`."""
    return _BACKENDS[keras.backend.backend()](function, list(inputs), list(places), list(seeds))


def _total(outputs: Any, seeds: Sequence[np.ndarray | None]) -> Any:
    listed = outputs if isinstance(outputs, tuple) else (outputs,)
    terms = [
        keras.ops.sum(output * keras.ops.convert_to_tensor(seed))
        for output, seed in zip(listed, seeds, strict=True)
        if seed is not None
    ]
    return sum(terms[1:], terms[0])


def _by_tensorflow(
    function: Callable[..., Any], inputs: list[Any], places: list[int], seeds: list[np.ndarray | None]
) -> list[np.ndarray]:
    tf = importlib.import_module("tensorflow")
    leaves = [inputs[place] for place in places]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(leaves)
        total = _total(function(*inputs), seeds)
    found = tape.gradient(total, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(slope).numpy() for slope in found]


def _by_jax(
    function: Callable[..., Any], inputs: list[Any], places: list[int], seeds: list[np.ndarray | None]
) -> list[np.ndarray]:
    jax = importlib.import_module("jax")

    def total(leaves: list[Any]) -> Any:
        given = list(inputs)
        for place, leaf in zip(places, leaves, strict=True):
            given[place] = leaf
        return _total(function(*given), seeds)

    return [np.asarray(slope) for slope in jax.grad(total)([inputs[place] for place in places])]


def _by_torch(
    function: Callable[..., Any], inputs: list[Any], places: list[int], seeds: list[np.ndarray | None]
) -> list[np.ndarray]:
    torch = importlib.import_module("torch")
    for place in places:
        inputs[place] = inputs[place].detach().clone().requires_grad_()
    leaves = [inputs[place] for place in places]
    total = _total(function(*inputs), seeds)
    if not total.requires_grad:  # a result that nothing changes smoothly
        return [np.zeros(tuple(leaf.shape)) for leaf in leaves]
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [
        np.zeros(tuple(leaf.shape)) if slope is None else slope.numpy()
        for leaf, slope in zip(leaves, found, strict=True)
    ]


_BACKENDS: dict[str, Callable[..., list[np.ndarray]]] = {
    "tensorflow": _by_tensorflow,
    "jax": _by_jax,
    "torch": _by_torch,
}
