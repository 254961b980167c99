"""What a proof is made on: float64 inputs, targets, weights and optimizer constants, chosen where frameworks must agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import DataError
from assay.model import Model, shape_of
from assay.nn.losses import BinaryCrossEntropy, CrossEntropy

STEPS = 5
BATCH = 4

# Dyadic numbers: exact in float32, through which some frameworks push hyper-parameters. The warm-up ends within the steps.
DYADIC: dict[str, Any] = {
    "LEARNING_RATE": 2**-7,
    "MOMENTUM": 0.875,
    "BETA_1": 0.875,
    "BETA_2": 1 - 2**-10,
    "EPSILON": 2**-24,
    "RHO": 0.875,
    "WEIGHT_DECAY": 2**-10,
    "CLIP_NORM": 0.5,
    "WARMUP_STEPS": 3,
    "TOTAL_STEPS": 7,
    "DECAY_EVERY": 2,
    "DECAY_GAMMA": 0.5,
    "HUBER_DELTA": 0.5,
}


@dataclass(frozen=True)
class Evidence:
    """The batches of a proof: one for outputs and gradients, one for each optimizer step."""

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray | None
    steps: tuple[tuple[tuple[np.ndarray, ...], np.ndarray], ...]

    def save(self, path: Path) -> None:
        """The .npz file that workers read."""
        arrays: dict[str, Any] = {f"inputs_{i}": array for i, array in enumerate(self.inputs)}
        if self.targets is not None:
            arrays["targets"] = self.targets
        for number, (inputs, targets) in enumerate(self.steps):
            arrays |= {f"step_{number}_inputs_{i}": array for i, array in enumerate(inputs)}
            arrays[f"step_{number}_targets"] = targets
        np.savez(path, **arrays)


def gather(model: Model, seed: int = 0, batch: int = BATCH, steps: int = STEPS) -> Evidence:
    """Random evidence for a model: normal floats (no ties, no zeros), integers within the tables that they index."""
    generator = np.random.Generator(np.random.Philox(key=[seed, 0xA55A]))
    inputs = _inputs(model, generator, batch)
    if model.training is None:
        return Evidence(inputs, None, ())
    later = tuple((_inputs(model, generator, batch), _targets(model, generator, batch)) for _ in range(steps))
    return Evidence(inputs, _targets(model, generator, batch), later)


_LARGEST = 1 << 30  # elements of an input


def _check(value: ir.Value) -> None:
    """Refuses inputs that random numbers cannot stand for."""
    reason = None
    if not isinstance(value.type, ir.TensorType):
        reason = "is no tensor"
    elif value.dtype == ir.DataType.STRING:
        reason = "holds strings"
    elif value.shape is None:
        reason = "is of unknown shape"
    elif math.prod(size for size in shape_of(value) if isinstance(size, int)) > _LARGEST:
        reason = f"of shape {shape_of(value)} is too large"
    if reason is not None:
        raise DataError(f"no random data can stand for the model's inputs: {value.name!r} {reason}")


def _inputs(model: Model, generator: np.random.Generator, batch: int) -> tuple[np.ndarray, ...]:
    found = []
    for value in model.graph.inputs:
        _check(value)
        shape = [batch if isinstance(size, str) else size for size in shape_of(value)]
        dtype = value.dtype.numpy() if value.dtype is not None else np.dtype("float32")
        if np.issubdtype(dtype, np.integer):
            found.append(generator.integers(0, _entries(model, value.name), shape).astype(dtype))
        elif dtype == np.bool_:
            found.append(generator.random(shape) < 0.5)
        else:
            found.append(generator.standard_normal(shape))
    return tuple(found)


def _entries(model: Model, name: str | None) -> int:
    """How many rows the smallest table has that an integer input indexes."""
    rows = [
        int(shape_of(node.inputs[0])[0])
        for node in model.graph
        if node.op_type == "Gather"
        and node.inputs[1] is not None
        and node.inputs[1].name == name
        and node.inputs[0] is not None
        and isinstance(shape_of(node.inputs[0])[0], int)
    ]
    return min(rows, default=2)


def _targets(model: Model, generator: np.random.Generator, batch: int) -> np.ndarray:
    assert model.training is not None
    shape = [batch if isinstance(size, str) else size for size in shape_of(model.graph.outputs[0])]
    if isinstance(model.training.loss, CrossEntropy):
        return generator.integers(0, shape[-1], shape[:-1])
    if isinstance(model.training.loss, BinaryCrossEntropy):
        return (generator.random(shape) < 0.5).astype(np.float64)
    return generator.standard_normal(shape)


def disturbed(model: Model, seed: int = 0) -> Model:
    """The model with weights at which no two parts look alike: fresh biases are zero and fresh scales are one, and a
    mistake between them would not show. Noise is in proportion to a parameter's own spread, so that a deep network neither
    dies out nor explodes."""
    generator = np.random.Generator(np.random.Philox(key=[seed, 0xD157]))
    arrays = {}
    for name, array in model.weights().items():
        noise = generator.standard_normal(array.shape)
        if model.role(model.graph.initializers[name]) == "statistic":
            arrays[name] = (np.abs(array) * 0.5 + 0.25 + np.abs(noise) * 0.25).astype(array.dtype)
        else:
            spread = float(array.std()) if array.size else 0.0
            arrays[name] = (array + 0.1 * (spread or 1.0) * noise).astype(array.dtype)
    return model.with_weights(arrays)
