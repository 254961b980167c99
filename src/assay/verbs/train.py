"""`train`: a workload trained natively in one framework; the weights come back as a model for every framework."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import DataError, unknown
from assay.frameworks import Contestant, require
from assay.frameworks import target as find_target
from assay.measure import Entry, devices
from assay.model import Model
from assay.verbs.curves import order_of_batches
from assay.workloads import WORKLOADS


@dataclass(frozen=True)
class TrainedModel:
    """The result of a training: the model with the trained weights, and how it went."""

    model: Model
    contestant: str
    losses: tuple[float, ...]  # of every step
    metric: str
    score: float  # on the test set
    goal: float
    reached: bool
    seconds: float
    stopped: bool  # by Ctrl-C

    def describe(self) -> str:
        """The result in one line."""
        sign = "reaches" if self.reached else "does not reach"
        stopped = ", stopped early" if self.stopped else ""
        return (
            f"{self.contestant}: {len(self.losses)} steps in {self.seconds:.1f} s{stopped}, loss {self.losses[-1]:.4f}, "
            f"test {self.metric} {self.score:.4f}, {sign} the goal of {self.goal:g}"
        )


def train(
    model: Model,
    target: str,
    *,
    mode: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    threads: int = 0,
    device: str = devices.CPU,
    seed: int = 0,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainedModel:
    """Trains a workload's model in a process of its own with the written package's training step.

    `target`: `pytorch`, `keras/jax` …; `mode`: the target's default unless given; `device`: "cpu", "cuda", or "auto" for
    cuda where there is one. `on_progress` gets `step`, `of`, `loss`, `seconds`. Ctrl-C ends it after the current step and
    keeps what was learnt. Raises `DataError` for a model without data or a batch size that does not fit,
    `FrameworkMissing`, and `WorkerError` if the process fails.
    """
    from assay.measure.trainer import TrainingRun
    from assay.measure.trainer import train as run
    from assay.workloads.data import save_arrays
    from assay.workloads.metrics import find_metric

    if model.training is None or model.dataset not in WORKLOADS:
        raise DataError(f"{model.name} has no training and data: give a built-in workload ({', '.join(WORKLOADS)})")
    chosen = find_target(target)
    require(chosen)
    where = devices.choose(device, devices.cards())
    mode = mode or chosen.modes[0]
    if mode not in chosen.modes:
        raise unknown(f"mode of {chosen.name}", mode, chosen.modes)
    workload = WORKLOADS[model.dataset]
    dataset, training = workload.data(), model.training
    batch = batch_size or training.batch_size
    if not 1 <= batch <= len(dataset.train):
        raise DataError(
            f"a batch size of {batch} does not fit: expected 1 to {len(dataset.train)}, the training examples"
        )
    steps = (epochs or training.epochs) * (len(dataset.train) // batch)
    package = model.write(chosen.name)
    with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
        folder = Path(temporary)
        data = folder / "data.safetensors"
        save_arrays(dataset, data)
        place = package.save(folder / "package", data)
        entry = Entry(Contestant(chosen.framework, mode, chosen.backend), place, data)
        rows = order_of_batches(len(dataset.train), batch, steps, seed)
        result = run(entry, folder / "run", TrainingRun(rows), on_progress, threads, device=where)
        with np.load(result.state, allow_pickle=False) as file:
            native = {name: file[name] for name in file.files}
        assert result.outputs is not None
        with np.load(result.outputs, allow_pickle=False) as file:
            outputs = file["output/0"]
    metric = find_metric(training.metric)
    score = metric.compute(outputs, dataset.test.targets)
    reached = score >= workload.goal if metric.higher_is_better else score <= workload.goal
    return TrainedModel(
        package.model_with(native),
        entry.name,
        result.losses,
        training.metric,
        score,
        workload.goal,
        reached,
        result.seconds,
        result.stopped,
    )
