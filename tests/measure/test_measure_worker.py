"""One worker at a time: what it answers, how it dies, and that nothing of it remains."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measure_bench import HERE, Bench, comes_to, none_left

from assay.errors import NotFoundError, OutputError, WorkerError
from assay.frameworks.base import Contestant
from assay.measure.crew import Crew, session_module
from assay.measure.effort import Limits
from assay.measure.process import WorkerProcess, innermost_frame, last_words

FAKE = Contestant("jax", "eager")


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    sessions = {"jax": "fake_framework:Session"}
    with Crew(tmp_path / "run", 1, {"PYTHONPATH": str(HERE)}, sessions, Limits(start=20)) as crew:
        yield crew
    assert none_left(crew.mark), "a process was left behind"


def opened(crew: Crew, bench: Bench, **behaviour: Any) -> WorkerProcess:
    """A worker that has a fake package open, with batches placed."""
    worker = crew.start("test", FAKE)
    crew.answer(worker)
    folder = bench.package(f"package-{worker.pid}", **behaviour)
    crew.call(worker, "open", 10, folder=str(folder), mode="eager", dtype="float32")
    tasks = [("train", 8), ("infer", 1)]
    crew.call(worker, "place", 10, data=str(bench.data), tasks=tasks, count=8, constants={"LEARNING_RATE": 1e-9})
    return worker


def test_a_worker_measures(crew: Crew, bench: Bench) -> None:
    worker = opened(crew, bench, seconds={"eager": 0.001}, misbehave={"at": "predict", "do": "chatter"})
    first = crew.call(worker, "first", 10, task="infer/1")
    assert [call["compiles"] for call in first["calls"]] == [0, 0, 0]
    assert first["high_water_bytes"] > 1_000_000
    warm = crew.call(worker, "warm", 10, task="train/8", calls=10, seconds=5.0)
    assert len(warm["times_ns"]) >= 10 and min(warm["times_ns"]) > 1_000_000
    sample = crew.call(worker, "sample", 10, task="train/8", calls=5, run_in=0.001, start=3)
    assert sample["calls"] == 5 and sample["wall_ns"] > 5_000_000
    assert sample["cpu_ns"] > 0 and sample["waited_ns"] >= 0 and sample["switches"] >= 0
    assert sample["compiles"] == 0
    assert sample["ended_ns"] - sample["began_ns"] == sample["wall_ns"]
    assert "words on standard output" in worker.log.read_text()
    crew.call(worker, "close", 10)
    assert worker.pending is None


def test_an_idle_worker_uses_no_cpu(crew: Crew, bench: Bench) -> None:
    worker = opened(crew, bench)

    def ticks() -> int:
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, manager = ticks(), time.process_time()
    assert crew.wait(timeout=0.5) == []
    assert ticks() - before <= 1
    assert time.process_time() - manager < 0.05  # nor does the manager that waits for it


def test_an_exception_is_told_in_one_line_and_the_worker_lives(crew: Crew, bench: Bench) -> None:
    worker = opened(crew, bench, misbehave={"at": "train_step", "do": "raise", "after": 0})
    with pytest.raises(WorkerError) as caught:
        crew.call(worker, "first", 10, task="train/8")
    message = str(caught.value)
    assert message.startswith("jax:eager: first failed: ValueError: this fails: because it was told to")
    assert "\n" not in message and str(worker.log) in message
    assert "Traceback" in worker.log.read_text()
    assert crew.call(worker, "memory", 10)["resident_bytes"] > 0


def test_requests_in_the_wrong_order_or_unknown(crew: Crew) -> None:
    worker = crew.start("test", FAKE)
    crew.answer(worker)
    with pytest.raises(WorkerError, match="no package is open"):
        crew.call(worker, "state", 10, save="x")
    with pytest.raises(WorkerError, match="unknown request 'dance'"):
        crew.call(worker, "dance", 10)
    with pytest.raises(WorkerError, match="unknown request '__init__'"):
        crew.call(worker, "__init__", 10)
    with pytest.raises(WorkerError, match="has to come first"):
        crew.call(worker, "sample", 10, task="train/8", calls=1, run_in=0, start=0)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ("kill", "was killed by SIGKILL"),
        ("segfault", "was killed by SIGSEGV.*Fatal Python error: Segmentation fault"),
        ("exit", "exited with status 3.*the last thing it said"),
        ("garbage", "answered nonsense on its pipe"),
        ("hang", r"did not answer within 0.3 s \(it was at .*fake_framework.py, line \d+ in misbehave\)"),
        ("spin", "did not answer within 0.3 s"),
    ],
)
def test_a_worker_that_fails(crew: Crew, bench: Bench, do: str, message: str) -> None:
    worker = opened(crew, bench, misbehave={"at": "train_step", "do": do})
    with pytest.raises(WorkerError, match=message) as caught:
        crew.call(worker, "first", 0.3 if do in ("hang", "spin") else 10, task="train/8")
    assert "during 'first'" in str(caught.value) and "\n" not in str(caught.value)
    assert comes_to(crew.mark, 1)  # the janitor
    with pytest.raises(WorkerError):
        crew.call(worker, "memory", 10)


def test_death_while_idle_is_noticed_and_helpers_die_too(crew: Crew, bench: Bench) -> None:
    worker = opened(crew, bench, misbehave={"at": "train_step", "do": "helper"})
    crew.call(worker, "first", 10, task="train/8")  # three calls, three helpers, which hold no pipe of ours
    assert comes_to(crew.mark, 5)
    os.kill(worker.pid, 9)
    ((who, error),) = crew.wait(timeout=5)
    assert who is worker and isinstance(error, WorkerError) and "SIGKILL" in str(error)
    assert comes_to(crew.mark, 1)


def test_processes_that_leave_their_group_are_ended_too(tmp_path: Path, bench: Bench) -> None:
    sessions = {"jax": "fake_framework:Session"}
    with Crew(tmp_path / "run", 1, {"PYTHONPATH": str(HERE)}, sessions) as crew:
        worker = opened(crew, bench, misbehave={"at": "predict", "do": "daemon"})
        crew.call(worker, "first", 10, task="infer/1")
        # The worker, three of its children, each in a session of its own, and the janitor.
        assert comes_to(crew.mark, 5)
    assert none_left(crew.mark)


def test_no_other_worker_runs_while_one_is_timed(crew: Crew, bench: Bench) -> None:
    timed = opened(crew, bench)
    busy = opened(crew, bench, misbehave={"at": "train_step", "do": "spin"})
    busy.send("first", 0.5, task="train/8")
    time.sleep(0.1)

    def ticks() -> int:
        fields = Path(f"/proc/{busy.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    with crew.still(except_for=[timed]):
        before = ticks()
        assert busy.is_stopped() and not timed.is_stopped()
        crew.call(timed, "warm", 10, task="train/8", calls=10, seconds=3.0)
        time.sleep(0.6)  # longer than it may take, but stopped time does not count
        assert ticks() == before
    assert busy.dead is None
    assert busy.paused_ns(0, time.perf_counter_ns()) > 600_000_000
    ((who, error),) = crew.wait(timeout=5, only=busy)
    assert who is busy and "did not answer within 0.5 s" in str(error)


def test_a_proof(crew: Crew, bench: Bench, tmp_path: Path) -> None:
    worker = crew.start("proof", FAKE)
    crew.answer(worker)
    folder, save = bench.package("proved"), tmp_path / "arrays" / "proof.npz"
    fields: dict[str, Any] = {
        "folder": str(folder),
        "mode": "eager",
        "dtype": "float64",
        "save": str(save),
        "arrays": str(bench.proof_arrays),
        "constants": {"LEARNING_RATE": 0.25},
        "steps": 5,
        "dropout_shape": [8, 8],
        "training": True,
    }
    reply = crew.call(worker, "prove", 10, **fields)
    assert reply["errors"] == {} and reply["dropout"] == [["drop", 0.5]]
    with np.load(save) as file:
        arrays = dict(file)
    given = np.load(bench.proof_arrays)
    np.testing.assert_array_equal(arrays["output/0"], given["inputs_0"] @ bench.weights["layer/kernel"])
    assert arrays["losses"].shape == (5,) and arrays["losses"].dtype == np.float64
    assert set(arrays) == {
        *(f"update/{name}" for name in bench.weights),
        "output/0",
        "loss",
        "gradient/layer/kernel",
        "gradient/layer/bias",
        "input_gradient/0",
        "gradient_state/mean",
        "losses",
        "dropout/0/trained",
        "dropout/0/evaluated",
    }
    # The statistics that the gradients moved were put back before the steps, and before each of them but the last: all of
    # their batches but that one start from zero.
    means = [given[f"step_{step}_inputs_0"].mean(0) for step in range(5)]
    moved = 0.1 * (means[0] + means[1] + means[2] + 0.9 * means[3] + means[4])
    np.testing.assert_allclose(arrays["update/mean"], moved, rtol=1e-12)
    again = bench.package("half", misbehave={"at": "gradients", "do": "raise"})
    reply = crew.call(worker, "prove", 10, **(fields | {"folder": str(again)}))
    assert list(reply["errors"]) == ["gradients"] and "because it was told to" in reply["errors"]["gradients"]
    with np.load(save) as file:
        assert "output/0" in file and "losses" in file and "loss" not in file


def test_data_that_does_not_fit(crew: Crew, bench: Bench) -> None:
    worker = opened(crew, bench)
    for tasks, message in (([("train", 101)], "a batch of 101 examples for train, but the data has 100"),):
        with pytest.raises(WorkerError, match=message):
            crew.call(worker, "place", 10, data=str(bench.data), tasks=tasks, count=8, constants={})
    with pytest.raises(WorkerError, match="no data at"):
        crew.call(worker, "place", 10, data="nowhere.npz", tasks=[("train", 1)], count=8, constants={})


def test_an_interpreter_without_the_session(tmp_path: Path) -> None:
    with Crew(tmp_path / "run", 1, sessions={"jax": "no_such_module:Session"}) as crew:
        worker = crew.start("test", FAKE)
        crew.answer(worker)
        with pytest.raises(WorkerError, match="load failed: ModuleNotFoundError: No module named 'no_such_module'"):
            crew.call(worker, "load", 10)
        with pytest.raises(NotFoundError, match="unknown framework 'jx': did you mean jax"):
            crew.start("test", Contestant("jx", "jit"))


def test_a_run_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"), Crew(tmp_path / "file" / "run", 1):
        pass


def test_where_a_session_lives() -> None:
    assert session_module("keras") == "assay.frameworks.keras.run"


def test_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == "" and innermost_frame(log, 0) == ""
    log.write_text("hello\n\nFatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n  File x\n")
    assert last_words(log) == "Fatal Python error: Aborted"
    assert innermost_frame(log, 0) == "x"
    log.write_bytes(b"a\nb" + b"\xff" * 500 + b"\n\n")
    assert len(last_words(log)) == 200
