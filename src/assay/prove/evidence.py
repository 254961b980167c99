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

LARGE = 20_000_000  # parameters; larger models are proven on fewer examples
FEW = 2
_AVERAGED = 8  # numbers that a batch normalisation must have to average, or rounding is most of its gradient
_BLOCK = 1 << 20  # elements of a weight that are disturbed at a time

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
    reduced: str | None = None  # in a phrase, what is smaller than usual because the model is large

    def save(self, path: Path) -> None:
        """The .npz file that workers read."""
        arrays: dict[str, Any] = {f"inputs_{i}": array for i, array in enumerate(self.inputs)}
        if self.targets is not None:
            arrays["targets"] = self.targets
        for number, (inputs, targets) in enumerate(self.steps):
            arrays |= {f"step_{number}_inputs_{i}": array for i, array in enumerate(inputs)}
            arrays[f"step_{number}_targets"] = targets
        np.savez(path, **arrays)


def gather(model: Model, seed: int = 0, batch: int | None = None, steps: int = STEPS) -> Evidence:
    """Random evidence for a model: normal floats (no ties, no zeros), integers within the tables that they index.

    Sizes that the model leaves open are `batch`. By default they are `BATCH`, and of a large model the examples are `FEW`.
    """
    sizes = _Sizes(batch or BATCH)
    reduced = _reduced(model, sizes) if batch is None else None
    generator = np.random.Generator(np.random.Philox(key=[seed, 0xA55A]))
    inputs = _inputs(model, generator, sizes)
    if model.training is None:
        return Evidence(inputs, None, (), reduced)
    later = tuple((_inputs(model, generator, sizes), _targets(model, generator, sizes)) for _ in range(steps))
    return Evidence(inputs, _targets(model, generator, sizes), later, reduced)


class _Sizes(dict[str, int]):
    """The sizes of open axes by name; those that have none of their own are all the same."""

    def __init__(self, usual: int) -> None:
        self._usual = usual

    def __missing__(self, name: str) -> int:
        return self._usual

    def of(self, value: ir.Value) -> list[int]:
        return [self[size] if isinstance(size, str) else size for size in shape_of(value)]


def _reduced(model: Model, sizes: _Sizes) -> str | None:
    """Makes the examples of a large model fewer, where that is open, and says so."""
    parameters = sum(array.size for array in model.weights().values())
    first = {shape_of(value)[0] for value in model.graph.inputs if value.shape is not None and len(value.shape)}
    names = [name for name in first if isinstance(name, str)]
    if parameters < LARGE or not names or not _few_suffice(model):
        return None
    sizes.update(dict.fromkeys(names, FEW))
    return (
        f"proven on {FEW} examples instead of {BATCH}, because the model is large ({parameters / 1e6:.0f} M parameters)"
    )


def _few_suffice(model: Model) -> bool:
    """Whether every batch normalisation still averages over enough numbers: of two it makes -1 and 1, whatever they are."""
    for node in model.graph:
        if node.op_type == "BatchNormalization":
            value = node.inputs[0]
            if value is None or value.shape is None:
                return False
            known = [size for size in shape_of(value)[2:] if isinstance(size, int)]
            if FEW * math.prod(known) < _AVERAGED:
                return False
    return True


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


def _inputs(model: Model, generator: np.random.Generator, sizes: _Sizes) -> tuple[np.ndarray, ...]:
    found = []
    for value in model.graph.inputs:
        _check(value)
        shape = sizes.of(value)
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


def _targets(model: Model, generator: np.random.Generator, sizes: _Sizes) -> np.ndarray:
    assert model.training is not None
    shape = sizes.of(model.graph.outputs[0])
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
        statistic = model.role(model.graph.initializers[name]) == "statistic"
        spread = 0.0 if statistic or not array.size else float(array.std())
        arrays[name] = np.empty(array.shape, array.dtype)
        old, new = array.reshape(-1), arrays[name].reshape(-1)
        for start in range(0, old.size, _BLOCK):  # the noise is in float64, and would be two more weights' worth
            part = old[start : start + _BLOCK]
            noise = generator.standard_normal(part.shape)
            if statistic:
                new[start : start + _BLOCK] = np.abs(part) * 0.5 + 0.25 + np.abs(noise) * 0.25
            else:
                new[start : start + _BLOCK] = part + 0.1 * (spread or 1.0) * noise
    return model.with_weights(arrays)
