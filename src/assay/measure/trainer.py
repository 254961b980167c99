"""Training a written package in a worker: `assay train`, and the loss curves that prove training equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.measure import devices
from assay.measure.arrays import save_arrays
from assay.measure.crew import Crew
from assay.measure.effort import Limits
from assay.measure.plan import Entry, allowed_cpus
from assay.measure.process import WorkerProcess

_CHECKPOINT = 60.0  # seconds between saved states
_STOPPING = 60.0  # seconds that a training may take to end after Ctrl-C


@dataclass(frozen=True)
class TrainingRun:
    """What to train on: `rows[k]` are the training examples of step k. `predict`: the split to predict afterwards."""

    rows: np.ndarray  # int (steps, batch)
    constants: Mapping[str, Any] = field(default_factory=dict)  # of train.py
    dropout: bool = True
    dtype: str = "float32"
    predict: str | None = "test"
    predict_batch: int = 256
    start: Mapping[str, np.ndarray] | None = None  # weights by native path; None: the package's own


@dataclass(frozen=True)
class Trained:
    """What came of it. `state` (native path → array) and `outputs` (`output/<i>`) are .npz files."""

    losses: tuple[float, ...]
    seconds: float
    stopped: bool  # by Ctrl-C, after the steps that `losses` has
    state: Path
    outputs: Path | None


def train(
    entry: Entry,
    folder: Path,
    run: TrainingRun,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
    threads: int = 0,
    environment: Mapping[str, str] | None = None,
    sessions: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    device: str = devices.CPU,
) -> Trained:
    """Trains a package in a process of its own; logs and arrays go to `folder`.

    `on_progress` gets `step`, `of`, `loss` and `seconds` about five times a second. Ctrl-C ends the training after its
    current step, and what was learnt is returned with `stopped`; a second Ctrl-C gives it up. The state is also saved
    once a minute, so that a crash loses no more.

    Raises WorkerError if the worker fails.
    """
    limits = limits or Limits()
    name = entry.name.replace("/", "-").replace(":", "-")
    folder = folder.absolute()
    state, outputs = folder / "arrays" / f"{name}-trained.npz", folder / "arrays" / f"{name}-predicted.npz"
    order = folder / "arrays" / f"{name}-order.npz"
    with Crew(folder, threads or len(allowed_cpus()), environment, sessions, limits, device=device) as crew:
        save_arrays(order, {"rows": run.rows})
        worker = _open(crew, entry, run, state, limits)
        data = str(entry.data_file.absolute())
        worker.send(
            "train",
            max(limits.compile, limits.train_step),
            data=data,
            order=str(order),
            constants=dict(run.constants),
            dropout=run.dropout,
            save=str(state),
            checkpoint_seconds=_CHECKPOINT,
        )
        try:
            reply = crew.answer(worker, on_progress)
        except KeyboardInterrupt:
            worker.ask_to_stop(_STOPPING)
            reply = crew.answer(worker)
        if run.predict is not None:
            fields = {"data": data, "split": run.predict, "batch_size": run.predict_batch, "save": str(outputs)}
            crew.call(worker, "predict", limits.compile, **fields)
    return Trained(
        tuple(reply["losses"]),
        reply["seconds"],
        reply["stopped"],
        state,
        outputs if run.predict is not None else None,
    )


def _open(crew: Crew, entry: Entry, run: TrainingRun, state: Path, limits: Limits) -> WorkerProcess:
    """A worker with the package open, with the weights to start from."""
    worker = crew.start("training", entry.contestant)
    crew.answer(worker)
    crew.call(worker, "load", limits.load)
    package, mode = str(entry.folder.absolute()), entry.contestant.mode
    crew.call(worker, "open", limits.load, folder=package, mode=mode, dtype=run.dtype)
    if run.start is not None:
        save_arrays(state, run.start)
        crew.call(worker, "restore", limits.call, arrays=str(state))
    return worker
