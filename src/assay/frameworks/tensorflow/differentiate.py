"""Gradients of written TensorFlow code with respect to its inputs, for the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def gradients(
    function: Callable[..., Any], inputs: Sequence[Any], places: Sequence[int], seeds: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The gradient of the sum of all outputs, each multiplied by its seed, with respect to the inputs at `places`."""
    leaves = [inputs[place] for place in places]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(leaves)
        outputs = function(*inputs)
        listed = outputs if isinstance(outputs, tuple) else (outputs,)
        terms = [tf.reduce_sum(output * seed) for output, seed in zip(listed, seeds, strict=True) if seed is not None]
        total = tf.add_n(terms)
    found = tape.gradient(total, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(slope).numpy() for slope in found]
