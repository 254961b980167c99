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
    batch_size: int  # the one that most is said of: the workload's, or the largest that was asked for
    sizes: tuple[int, ...]  # of the batches that inference is timed with
    train_sizes: tuple[int, ...]  # of the batches that training is timed with
    is_real: bool  # whether there is anything to learn


def subject_of(model: Model, batch_sizes: tuple[int, ...], seed: int) -> Subject:
    """The data for a model.

    `batch_sizes`: none for the model's own; one is trained with, and inferred with beside single examples; several are
    a sweep, each trained and inferred with. Raises `DataError` for a size that does not fit.
    """
    if len(set(batch_sizes)) < len(batch_sizes):
        raise DataError(f"batch sizes given twice: {', '.join(map(str, batch_sizes))}")
    if model.training is not None and model.dataset in WORKLOADS:
        workload = WORKLOADS[model.dataset]
        dataset = workload.data()
        own, smallest = model.training.batch_size, min(len(dataset.train), len(dataset.test))
        for batch in batch_sizes or (own,):
            if not 1 <= batch <= smallest:
                raise DataError(
                    f"a batch size of {batch} does not fit {model.name}: expected 1 to {smallest}, the size of its smaller split"
                )
        main = own if own in batch_sizes or not batch_sizes else max(batch_sizes)
        return Subject(workload.title, workload.description, dataset, main, *_swept(main, batch_sizes), True)
    main, sizes, train_sizes = _batches_of(model, batch_sizes)
    dataset = random_data(model, max(train_sizes), seed)
    return Subject("on random numbers", "a model of your own", dataset, main, sizes, train_sizes, False)


def _swept(main: int, wanted: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes for inference and for training."""
    if len(wanted) > 1:
        return tuple(sorted(wanted)), tuple(sorted(wanted))
    return tuple(dict.fromkeys((1, main))), (main,)


def _batches_of(model: Model, wanted: tuple[int, ...]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The main batch size, and the sizes for inference and training: what the model fixes is the only one."""
    fixed = fixed_batch(model)
    if fixed is not None:
        for batch in wanted:
            if batch != fixed:
                raise DataError(
                    f"a batch size of {batch} does not fit {model.name}: the model fixes it at {fixed}; bring it with "
                    "another example, or with one that leaves the batch open"
                )
        return fixed, (fixed,), (fixed,)
    own = model.training.batch_size if model.training is not None else BATCH_SIZE
    for batch in wanted:
        if batch < 1:
            raise DataError(f"a batch size of {batch} does not fit {model.name}: expected 1 or more")
    main = max(wanted, default=own)
    return main, *_swept(main, wanted)


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
