"""What a comparison runs on: a workload's real data, or random numbers for a model that brings none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assay.errors import DataError
from assay.model import Model, shape_of
from assay.prove.evidence import gather
from assay.workloads import WORKLOADS

if TYPE_CHECKING:
    from assay.workloads.data import Dataset

BATCHES = 8  # different ones, so that nothing stays in a cache for being the same
BATCH_SIZE = 32  # where neither the user nor the model says


@dataclass(frozen=True)
class Subject:
    """The data of a comparison, and what is said of them."""

    title: str
    description: str
    dataset: Dataset
    batch_size: int
    sizes: tuple[int, ...]  # of the batches that inference is timed with
    is_real: bool  # whether there is anything to learn


def subject_of(model: Model, batch_size: int | None, seed: int) -> Subject:
    """The data for a model. Raises `DataError` for a batch size that does not fit."""
    if model.training is not None and model.dataset in WORKLOADS:
        workload = WORKLOADS[model.dataset]
        dataset = workload.data()
        batch = model.training.batch_size if batch_size is None else batch_size
        smallest = min(len(dataset.train), len(dataset.test))
        if not 1 <= batch <= smallest:
            raise DataError(
                f"a batch size of {batch} does not fit {model.name}: expected 1 to {smallest}, the size of its smaller split"
            )
        return Subject(workload.title, workload.description, dataset, batch, _sizes(1, batch), True)
    batch, sizes = _batch_of(model, batch_size)
    dataset = random_data(model, batch, seed)
    return Subject("on random numbers", "a model of your own", dataset, batch, sizes, False)


def _sizes(*sizes: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(sizes))


def _batch_of(model: Model, wanted: int | None) -> tuple[int, tuple[int, ...]]:
    """The batch size, and the sizes for inference: what the model fixes is the only one."""
    fixed = fixed_batch(model)
    if fixed is not None:
        if wanted not in (None, fixed):
            raise DataError(
                f"a batch size of {wanted} does not fit {model.name}: the model fixes it at {fixed}; bring it with another "
                "example, or with one that leaves the batch open"
            )
        return fixed, (fixed,)
    batch = wanted or (model.training.batch_size if model.training is not None else BATCH_SIZE)
    if batch < 1:
        raise DataError(f"a batch size of {batch} does not fit {model.name}: expected 1 or more")
    return batch, _sizes(1, batch)


def fixed_batch(model: Model) -> int | None:
    """The size of the batch, where the model does not leave it open.

    Raises `DataError` for a model with an input that has no batch.
    """
    shapes = {value.name: shape_of(value) for value in model.graph.inputs}
    if single := [name for name, shape in shapes.items() if not shape]:
        raise DataError(f"{model.name} cannot be timed in batches: its input {single[0]!r} is a single number")
    fixed = [shape[0] for shape in shapes.values() if isinstance(shape[0], int)]
    return fixed[0] if fixed else None


def random_data(model: Model, batch: int, seed: int = 0) -> Dataset:
    """Normal floats, whole numbers within the tables that they index, targets that the loss takes; `BATCHES` batches."""
    from assay.workloads.data import Dataset, Split

    drawn = [gather(model, seed + number, batch, steps=0) for number in range(BATCHES)]
    inputs = tuple(
        np.concatenate([evidence.inputs[place] for evidence in drawn]).astype(
            value.dtype.numpy() if value.dtype is not None else np.float32
        )
        for place, value in enumerate(model.graph.inputs)
    )
    known = [evidence.targets for evidence in drawn if evidence.targets is not None]
    targets = np.concatenate(known) if known else np.zeros(len(inputs[0]), np.int64)
    if np.issubdtype(targets.dtype, np.floating):
        targets = targets.astype(np.float32)
    split = Split(inputs, targets)
    source = f"random numbers from seed {seed}: nothing to learn, enough to measure on"
    return Dataset(split, split, "random numbers", source, "nobody's", "")
