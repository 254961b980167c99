"""Gradients of written JAX code with respect to its inputs, for the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def gradients(
    function: Callable[..., Any], inputs: Sequence[Any], places: Sequence[int], seeds: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The gradient of the sum of all outputs, each multiplied by its seed, with respect to the inputs at `places`."""

    def total(leaves: list[Any]) -> Any:
        given = list(inputs)
        for place, leaf in zip(places, leaves, strict=True):
            given[place] = leaf
        outputs = function(*given)
        listed = outputs if isinstance(outputs, tuple) else (outputs,)
        terms = [jnp.sum(output * seed) for output, seed in zip(listed, seeds, strict=True) if seed is not None]
        return sum(terms[1:], terms[0])

    found = jax.grad(total)([inputs[place] for place in places])
    return [np.asarray(slope) for slope in found]
