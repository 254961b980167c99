"""Training in a worker: what is learnt is kept, also after Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measure_bench import HERE, Bench, none_left

from assay.errors import WorkerError
from assay.measure.trainer import Trained, TrainingRun, train


def go(bench: Bench, folder: Path, steps: int, on_progress: Any = None, start: Any = None, **behaviour: Any) -> Trained:
    entry = bench.entry("jax:jit", **behaviour)
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 100, (steps, 16))
    run = TrainingRun(rows, constants={"LEARNING_RATE": 0.5}, dtype="float64", start=start)
    sessions = {"jax": "fake_framework:Session"}
    environment = {"PYTHONPATH": str(HERE), "TEST_RUN": str(bench.folder)}
    return train(entry, folder, run, on_progress, 1, environment, sessions)


def test_training(bench: Bench, tmp_path: Path) -> None:
    told: list[Any] = []
    trained = go(bench, tmp_path / "run", 60, told.append, seconds={"jit": 0.01})
    assert len(trained.losses) == 60 and not trained.stopped
    assert np.mean(trained.losses[-10:]) < trained.losses[0]
    assert told and told[0]["of"] == 60 and 0 < told[0]["step"] < 60
    with np.load(trained.state) as file:
        assert set(file.files) == set(bench.weights)
        weights = dict(file)
    assert trained.outputs is not None
    with np.load(trained.outputs) as file, np.load(bench.data) as data:
        expected = data["test_inputs_0"].astype(np.float64) @ weights["layer/kernel"] + weights["layer/bias"]
        np.testing.assert_allclose(file["output/0"], expected, rtol=1e-12)
    again = go(Bench(tmp_path / "other"), tmp_path / "again", 60)
    assert again.losses == trained.losses
    further = go(Bench(tmp_path / "third"), tmp_path / "further", 5, start=weights)
    assert further.losses[0] < trained.losses[0]


def test_ctrl_c_keeps_what_was_learnt(bench: Bench, tmp_path: Path) -> None:
    def interrupt(progress: Any) -> None:
        if progress["step"] >= 10 and not pressed:
            pressed.append(progress["step"])
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    pressed: list[int] = []
    trained = go(bench, tmp_path / "run", 10_000, interrupt, seconds={"jit": 0.01})
    assert trained.stopped and 10 <= len(trained.losses) < 1000
    with np.load(trained.state) as file:
        assert not np.array_equal(file["layer/kernel"], bench.weights["layer/kernel"])


def test_a_worker_that_dies_while_training(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"SIGKILL.* during 'train'"):
        go(bench, tmp_path / "run", 50, misbehave={"at": "train_step", "do": "kill", "after": 20})
    assert none_left(f"TEST_RUN={bench.folder}")
