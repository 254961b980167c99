"""What may go wrong around a measurement: each costs what it must, says so, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from measure_bench import FAST, HERE, Bench, none_left

from assay.frameworks import installed_versions
from assay.frameworks.base import Contestant
from assay.judge import judge
from assay.measure import ProofResult, Task, measure, read_record
from assay.measure.effort import Limits
from assay.measure.host import memory_bytes, resident_bytes, resident_bytes_of
from assay.measure.moments import Moment, now, remarks
from assay.measure.past import Past


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


@pytest.mark.parametrize("stage", ["timing", "proof"])
def test_a_worker_that_leaks_is_ended_at_its_limit(bench: Bench, stage: str) -> None:
    """In the timing process, or in one whose gradients hang and take more and more memory."""
    point, dtype = ("train_step", "float32") if stage == "timing" else ("gradients", "float64")
    leaks = {"misbehave": {"at": point, "do": "leak" if stage == "timing" else "leak on", "dtype": dtype}}
    limits = replace(FAST.limits, memory_bytes=400_000_000, call=120, compile=120, prove=120)
    effort = replace(FAST, limits=limits, warmup_calls=1000, warmup_seconds=30.0, restarts=0)
    entries = [bench.entry("jax:jit", **leaks)]
    record = measure(bench.plan(*entries, effort=effort, tasks=(Task("train", 8),)), equal)
    (failure,) = record.failures
    assert "GB of memory, more than the 0.40 GB that a worker may have, and was ended" in failure.reason
    assert all(m.status == "failed" for m in record.measurements)
    assert none_left(f"TEST_RUN={bench.folder}")


def test_the_limit_of_memory_is_that_of_the_machine_or_its_control_group(tmp_path: Path) -> None:
    whole = memory_bytes(tmp_path)
    assert whole is not None and whole > 100_000_000
    (tmp_path / "memory.max").write_text("123456789\n")
    assert memory_bytes(tmp_path) == 123456789
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == whole
    assert Limits().memory_bytes is None
    own, seen = resident_bytes(), resident_bytes_of(os.getpid())
    assert own is not None and seen is not None and abs(own - seen) < 50_000_000
    assert resident_bytes_of(2**22 + 1) is None


def test_a_clock_that_was_set_is_noticed() -> None:
    began = Moment(wall=1_000.0, boot=50.0, running=40.0)
    assert list(remarks(began, Moment(1_100.5, 150.0, 140.0))) == []  # half a second is a time service
    (said,) = remarks(began, Moment(1_100.0 + 3_600, 150.0, 140.0))
    assert "set forward by 3,600 s" in said and "durations do not use that clock" in said
    (said,) = remarks(began, Moment(1_100.0 - 60, 150.0, 140.0))
    assert "set back by 60 s" in said
    (said,) = remarks(began, Moment(1_100.0, 150.0, 100.0))
    assert "slept for 40 s" in said
    assert list(remarks(now(), now())) == []


def test_a_run_whose_clock_is_set(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall's clock jumps back by a day at every look at it: no duration changes, and the record says so."""
    really, looks = now(), iter(range(10**9))

    def jumping() -> float:
        return really.wall - 86_400 * next(looks)

    monkeypatch.setattr("time.time", jumping)
    record = measure(bench.plan(bench.entry("jax:jit")), equal)
    assert any("set back by" in remark.text for remark in record.remarks)
    assert any("set back by" in note for note in judge(record).notes)
    assert record.end is not None and 0 < record.end.seconds < 300 and not record.failures
    assert all(0 < sample.wall_ns < 10**10 for sample in record.samples)


def test_durations_do_not_use_the_wall_clock() -> None:
    """The only looks at it are for dates, and to see whether it was set."""
    source = Path(sys.modules["assay.measure"].__file__ or "").parent
    users = {path.name for path in source.glob("*.py") if "time.time()" in path.read_text()}
    assert users == {"moments.py"}


def test_a_framework_that_is_upgraded_during_a_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []

    def upgraded_later(names: Sequence[str]) -> dict[str, str]:
        looks.append(None)
        found = dict(installed_versions(list(names)))
        return found | {"jax": "99.0"} if len(looks) > 1 else found

    monkeypatch.setattr("assay.measure.manager.installed_versions", upgraded_later)
    entries = [bench.entry("pytorch:eager"), bench.entry("tensorflow:graph"), bench.entry("jax:jit")]
    effort = replace(FAST, processes=3, most_processes=3)
    record = measure(bench.plan(*entries, effort=effort), equal)
    (failure,) = record.failures
    assert (failure.contestant, failure.stage) == ("jax:jit", "upgrade")
    assert "jax was" in failure.reason and "is 99.0 now" in failure.reason
    status = {(m.contestant, m.status) for m in record.measurements}
    assert status == {("pytorch:eager", "ok"), ("tensorflow:graph", "ok"), ("jax:jit", "failed")}
    ranked = {standing.contestant for task in judge(record).tasks for standing in task.ranking}
    assert ranked == {"pytorch:eager", "tensorflow:graph"}  # no figure of the one of which two versions were measured
    assert any(sample.contestant == "jax:jit" for sample in record.samples)  # which are kept


FULL = """
    import resource, sys
    sys.path.insert(0, {here!r})
    from pathlib import Path
    from test_measure_faults import *
    bench = Bench(Path({folder!r}))
    plan = bench.plan(bench.entry("pytorch:eager"), bench.entry("jax:jit"))
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    try:
        measure(plan, equal)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_disk_that_fills_up_while_recording(tmp_path: Path) -> None:
    """A file may not grow beyond a limit, which is what a full disk is to a program; then there is space again."""
    source = str(Path(sys.modules["assay"].__file__ or "").parent.parent)
    environment = os.environ | {"PYTHONPATH": source, "TEST_RUN": str(tmp_path)}
    text = textwrap.dedent(FULL).format(here=str(HERE), folder=str(tmp_path), limit=14_000)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OutputError cannot write") and "what came before is kept" in done.stdout, done.stdout
    assert none_left(f"TEST_RUN={tmp_path}")
    path = tmp_path / "run" / "record.jsonl"
    before = path.read_bytes()
    assert before.endswith(b"\n") and 3_000 < len(before) <= 14_000  # whole lines
    record = read_record(path)
    assert record.interrupted and record.first_calls
    record = measure(a_plan_over(Bench(tmp_path), tmp_path), equal, past=Past(read_record(path)))
    assert path.read_bytes().startswith(before)
    assert not record.interrupted and all(m.status == "ok" for m in record.measurements)


def a_plan_over(bench: Bench, folder: Path) -> Any:
    """The plan of `FULL`, over the packages that it made."""
    from assay.measure import Entry

    entries = [
        Entry(Contestant(*name.split(":")), folder / "packages" / name.replace(":", "-"), bench.data)
        for name in ("pytorch:eager", "jax:jit")
    ]
    return bench.plan(*entries)
