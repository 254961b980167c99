"""Whole runs over fake packages: what is recorded, and that each contestant fails alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measure_bench import FAST, HERE, Bench, none_left

from assay.errors import DataError, NotFoundError, OutputError, WorkerError
from assay.frameworks.base import Contestant
from assay.measure import LATER, Curve, Plan, ProofResult, Record, Task, measure, read_record
from assay.measure import events as tell


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


def test_a_run(bench: Bench, tmp_path: Path) -> None:
    entries = [
        bench.entry("pytorch:eager"),
        bench.entry("jax:jit", seconds={"jit": 0.0005}),
        bench.entry("jax:eager", seconds={"eager": 0.004}, misbehave={"at": "train_step", "do": "chatter"}),
    ]
    order = tmp_path / "order.npz"
    np.savez(order, rows=np.arange(30).reshape(6, 5))
    curve = Curve(order, {"LEARNING_RATE": 0.1}, truth=("jax:jit",), batch=5, examples=10)
    seen: list[tell.Event] = []
    plan = bench.plan(*entries, first_wave=("jax:jit", "pytorch:eager"), baseline="jax:jit", curve=curve)
    record = measure(plan, equal, seen.append)
    assert record == read_record(plan.folder / "record.jsonl")
    assert not record.interrupted and not record.failures
    check_facts(record)
    check_samples(record)
    check_events(seen)
    with np.load(record.outputs[0].arrays) as file:  # float32, with the weights it started from
        expected = np.load(bench.proof_arrays)["inputs_0"] @ bench.weights["layer/kernel"]
        assert file["output/0"].dtype == np.float32
        np.testing.assert_allclose(file["output/0"], expected, rtol=1e-5, atol=1e-6)


def check_facts(record: Record) -> None:
    names = {"pytorch:eager", "jax:jit", "jax:eager"}
    assert {proof.contestant: proof.status for proof in record.proofs} == dict.fromkeys(names, "equal")
    assert all(Path(proof.arrays or "").exists() for proof in record.proofs)
    assert {cold.contestant for cold in record.colds} == {one.contestant for one in record.outputs} == names
    assert len(record.first_calls) == len(record.warmups) == 6
    curves = {(curve.contestant, curve.dtype): curve.losses for curve in record.curves}
    assert set(curves) == {*((name, "float32") for name in names), ("jax:jit", "float64")}
    for curve in record.curves:
        if curve.dtype == "float32":
            with np.load(curve.outputs or "") as file:
                assert file["output/0"].shape == (10, 3)
    for losses in curves.values():
        np.testing.assert_allclose(losses, curves["jax:jit", "float64"], rtol=1e-5)
    for measurement in record.measurements:
        assert measurement.status == "ok" and measurement.median_s is not None, measurement
        assert measurement.label == "indicative: one process per contestant"
        assert measurement.first_call_s is not None and measurement.peak_memory_bytes is not None
    assert record.header.tasks == (("train", 8), ("infer", 1)) and record.header.twin_of == "jax:jit"
    assert any("calls per sample" in decision.text for decision in record.decisions)


def check_samples(record: Record) -> None:
    """Every block is one round of one task: each arm at most once, the twin among them, one sample at a time."""
    blocks: dict[int, list[Any]] = {}
    for sample in record.samples:
        blocks.setdefault(sample.block, []).append(sample)
    for samples in blocks.values():
        arms = [(sample.contestant, sample.twin) for sample in samples]
        assert len(arms) == len(set(arms)) and ("jax:jit", True) in arms and ("jax:jit", False) in arms
        assert len({(sample.task, sample.wave, sample.round) for sample in samples}) == 1
        assert [sample.position for sample in samples] == list(range(len(samples)))
    first = {sample.contestant for sample in record.samples if sample.wave == 0}
    last = {sample.contestant for sample in record.samples if sample.wave == 1}
    rounds = [{sample.round for sample in record.samples if sample.wave == wave} for wave in (0, 1)]
    assert rounds == [{0, 1}, {0, 1, 2}]
    assert first == {"jax:jit", "pytorch:eager"} and last == {*first, "jax:eager"}
    spans = sorted((sample.began_ns, sample.began_ns + sample.wall_ns) for sample in record.samples)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def check_events(seen: list[tell.Event]) -> None:
    states: dict[str, list[str]] = {}
    for event in seen:
        if isinstance(event, tell.StateChanged):
            states.setdefault(event.contestant, []).append(event.state)
    for path in states.values():
        order = [tell.WAITING, tell.PROVING, tell.PROVED, tell.IMPORTING, tell.BUILDING, tell.COMPILING, tell.READY]
        assert list(dict.fromkeys(path)) == [*order, tell.WARMING, tell.TIMING, tell.DONE]
    rows = [event for event in seen if isinstance(event, tell.RowsReady)]
    assert [event.final for event in rows] == [False, True]
    early = {m.contestant for m in rows[0].measurements if m.status == "ok"}
    assert early == {"jax:jit", "pytorch:eager"}
    last = [event for event in seen if isinstance(event, tell.SampleTaken)][-1]
    assert last.done == last.expected


def test_each_contestant_fails_alone(bench: Bench) -> None:
    def prove(contestant: Contestant, result: ProofResult) -> str | None:
        if contestant.name == "keras/jax:jit":
            return "gradient of layer/kernel is off by 3e-02"
        return "; ".join(f"{stage}: {text}" for stage, text in result.errors.items()) or None

    entries = [
        bench.entry("pytorch:eager"),
        bench.entry("jax:jit", misbehave={"at": "gradients", "do": "segfault"}),
        bench.entry("jax:eager", misbehave={"at": "train_step", "do": "kill", "dtype": "float32", "after": 40}),
        bench.entry("keras/jax:jit"),
        bench.entry("tensorflow:graph", misbehave={"at": "import", "do": "raise"}),
        bench.entry("tensorflow:eager", misbehave={"at": "wait", "do": "hang", "dtype": "float32"}),
        bench.entry("tensorflow:xla", compiles_at=60),
    ]
    limits = replace(FAST.limits, compile=0.5)
    plan = bench.plan(*entries, effort=replace(FAST, limits=limits, slots=3), tasks=(Task("train", 8),))
    record = measure(plan, prove)
    status = {m.contestant: (m.status, m.reason) for m in record.measurements}
    assert status["pytorch:eager"] == ("ok", None)
    proofs = {proof.contestant: proof.status for proof in record.proofs}
    assert proofs["jax:jit"] == "not-run" and "SIGSEGV" in str(status["jax:jit"])
    assert proofs["jax:eager"] == "equal" and "SIGKILL" in str(status["jax:eager"])
    assert proofs["keras/jax:jit"] == "different"
    assert status["keras/jax:jit"] == ("failed", "gradient of layer/kernel is off by 3e-02")
    assert "open: ValueError: this fails: because it was told to" in str(status["tensorflow:graph"])
    assert "did not answer within 0.5 s" in str(status["tensorflow:eager"])
    assert {name for name, (state, _) in status.items() if state == "ok"} >= {"pytorch:eager", "tensorflow:xla"}
    void = [sample for sample in record.samples if sample.void is not None]
    if void:  # a compilation during the warm-up is legal, one during a sample voids it and it is taken again
        assert {sample.contestant for sample in void} == {"tensorflow:xla"}
    assert not record.interrupted and none_left(f"TEST_RUN={bench.folder}")


def test_proofs_that_need_each_other(bench: Bench) -> None:
    seen: list[str] = []

    def prove(contestant: Contestant, result: ProofResult) -> Any:
        seen.append(contestant.name)
        return None if contestant.name == "jax:jit" or "jax:jit" in seen else LATER

    entries = [bench.entry("pytorch:eager"), bench.entry("jax:eager"), bench.entry("jax:jit")]
    record = measure(bench.plan(*entries, tasks=()), prove)
    assert {proof.contestant for proof in record.proofs if proof.status == "equal"} == {e.name for e in entries}
    assert record.measurements == () and not record.failures
    lonely = bench.plan(entries[0], tasks=(), folder=bench.folder / "other")
    record = measure(lonely, lambda contestant, result: LATER)
    assert "nothing to compare it with" in str(record.proofs[0].reason)


def test_without_a_proof_and_with_several_processes(bench: Bench) -> None:
    effort = replace(FAST, name="two", processes=2, rounds=2, fewest_rounds=2)
    plan = bench.plan(bench.entry("jax:jit"), proving=None, effort=effort, tasks=(Task("infer", 1),))
    record = measure(plan)
    assert record.proofs[0].status == "not-run" and record.measurements[0].status == "ok"
    assert record.measurements[0].label == "indicative: 2 processes per contestant"
    assert {sample.process for sample in record.samples} == {cold.process for cold in record.colds} == {0, 1}
    with pytest.raises(OutputError, match="exists already"):
        measure(plan)


def test_plans_that_make_no_sense(bench: Bench) -> None:
    entry = bench.entry("jax:jit")
    with pytest.raises(DataError, match="no entries"):
        bench.plan()
    with pytest.raises(DataError, match="given twice: jax:jit"):
        bench.plan(entry, entry)
    with pytest.raises(NotFoundError, match="'jax:eager' is not among"):
        bench.plan(entry, baseline="jax:eager")
    with pytest.raises(NotFoundError, match="unknown task 'fly'"):
        Task("fly", 1)
    with pytest.raises(DataError, match="batch size of 0"):
        Task("train", 0)


RUN = """
    import sys
    sys.path.insert(0, {here!r})
    from pathlib import Path
    from measure_bench import Bench
    from assay.measure import measure
    bench = Bench(Path({folder!r}))
    entries = [bench.entry("jax:jit", seconds={{"jit": 0.001}}), bench.entry("jax:eager", **{behaviour!r})]
    record = measure(bench.plan(*entries, proving=None))
    print("interrupted" if record.interrupted else "finished", len(record.samples))
"""


def start(folder: Path, **behaviour: Any) -> subprocess.Popen[str]:
    """A manager in a process of its own, as a user's shell would start it."""
    text = textwrap.dedent(RUN).format(here=str(HERE), folder=str(folder), behaviour=behaviour)
    source = str(Path(sys.modules["assay"].__file__ or "").parent.parent)
    environment = os.environ | {"PYTHONPATH": source, "TEST_RUN": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def until_lines(folder: Path, kind: str, process: subprocess.Popen[str]) -> None:
    """Waits until the record has a fact of this kind."""
    path, until = folder / "run" / "record.jsonl", time.monotonic() + 20
    while not (path.exists() and f'"kind": "{kind}"' in path.read_text()):
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize("stage", ["preparing", "timing"])
def test_ctrl_c_keeps_what_is_there_and_leaves_no_process(tmp_path: Path, stage: str) -> None:
    hangs = {"misbehave": {"at": "train_step", "do": "hang"}} if stage == "preparing" else {"seconds": {"eager": 0.2}}
    manager = start(tmp_path, **hangs)
    until_lines(tmp_path, "first" if stage == "preparing" else "warmup", manager)
    os.killpg(manager.pid, signal.SIGINT)  # what a terminal does
    output, errors = manager.communicate(timeout=20)
    assert output.startswith("interrupted"), errors
    assert manager.returncode == 0 and not errors
    record = read_record(tmp_path / "run" / "record.jsonl")
    assert record.interrupted and record.end is not None and record.first_calls
    assert none_left(f"TEST_RUN={tmp_path}")


@pytest.mark.parametrize("stage", ["preparing", "timing"])
def test_kill_9_of_the_manager_leaves_no_process(tmp_path: Path, stage: str) -> None:
    spins = {"misbehave": {"at": "train_step", "do": "spin"}} if stage == "preparing" else {"seconds": {"eager": 0.2}}
    manager = start(tmp_path, **spins)
    until_lines(tmp_path, "first" if stage == "preparing" else "warmup", manager)
    os.kill(manager.pid, signal.SIGKILL)
    manager.wait(10)
    assert none_left(f"TEST_RUN={tmp_path}")
    record = read_record(tmp_path / "run" / "record.jsonl")
    assert record.interrupted and record.end is None and record.first_calls
    manager.communicate()


def test_stopped_workers_and_helpers_do_not_outlive_a_killed_manager(tmp_path: Path) -> None:
    """The worst moment: a worker and its helpers are stopped while another is timed, and the manager is killed."""
    text = f"""
        import sys, time
        sys.path.insert(0, {str(HERE)!r})
        from pathlib import Path
        from test_measure_worker import Crew, FAKE, Bench, opened
        bench = Bench(Path({str(tmp_path)!r}))
        sessions = {{"jax": "fake_framework:Session"}}
        with Crew(bench.folder / "run", 1, {{"PYTHONPATH": {str(HERE)!r}}}, sessions) as crew:
            busy = opened(crew, bench, misbehave={{"at": "train_step", "do": "helper"}}, seconds={{"eager": 60}})
            busy.send("first", 100, task="train/8")
            time.sleep(0.3)
            with crew.still():
                print("stopped", flush=True)
                time.sleep(60)
    """
    environment = os.environ | {"TEST_RUN": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    manager = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert manager.stdout is not None and manager.stdout.readline() == "stopped\n"
    manager.kill()
    manager.wait(10)
    manager.stdout.close()
    assert none_left(f"TEST_RUN={tmp_path}")


def test_a_wrong_callback_is_an_error_and_leaves_no_process(bench: Bench) -> None:
    def prove(contestant: Contestant, result: ProofResult) -> None:
        raise RuntimeError("a bug in the prove stage")

    plan: Plan = bench.plan(bench.entry("jax:jit"))
    with pytest.raises(RuntimeError, match="a bug"):
        measure(plan, prove)
    assert none_left(f"TEST_RUN={bench.folder}")

    def refuse(contestant: Contestant, result: ProofResult) -> None:
        raise WorkerError("cannot be compared")

    record = measure(replace(plan, folder=plan.folder.with_name("again")), refuse)
    assert record.proofs[0].reason == "cannot be compared"
