"""Records: what is written comes back, cut off or not; nothing is written over; a full disk is told."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from assay.errors import DataError, OutputError
from assay.measure.environment import Environment, cpu_quota, environment
from assay.measure.record import (
    FORMAT,
    Cold,
    Decision,
    End,
    Failure,
    FirstCalls,
    Header,
    LossCurve,
    Outputs,
    Proved,
    Sample,
    Warmup,
)
from assay.measure.record_file import RecordFile, read_record
from assay.measure.summary import median_interval

HEADER = Header(
    format=FORMAT,
    assay="0.1.0",
    started="2026-01-01T00:00:00+00:00",
    contestants=("pytorch:eager", "jax:jit"),
    tasks=(("train", 8), ("infer", 1)),
    twin_of="pytorch:eager",
    threads=2,
    seed=0,
    proving=True,
    effort={"name": "quick", "label": "indicative", "indicative": True, "fewest_rounds": 5},
    constants={"LEARNING_RATE": 1e-9},
)
MACHINE = environment(2, (0, 1))


def sample(contestant: str = "pytorch:eager", block: int = 0, seconds: float = 0.01, **changes: Any) -> Sample:
    facts: dict[str, Any] = {
        "contestant": contestant,
        "twin": False,
        "process": 0,
        "task": "train",
        "batch_size": 8,
        "wave": 0,
        "round": block,
        "block": block,
        "position": 0,
        "calls": 10,
        "wall_ns": int(seconds * 1e10),
        "cpu_ns": int(seconds * 2e10),
        "switches": 0,
        "steal_ticks": 0,
        "waited_ns": 0,
        "compiles": 0,
        "began_ns": 1,
    }
    return Sample(**(facts | changes))


FACTS = [
    Proved("pytorch:eager", "equal", None, "a.npz", {}, (("drop", 0.5),), 1.5),
    Proved("jax:jit", "different", "gradient of w is off by 0.1"),
    LossCurve("pytorch:eager", "float32", (1.5, float("inf"), 0.5), 2.0),
    Cold("pytorch:eager", 0, 1.1, 1.0, 0.2, 0.2, 100_000, False),
    FirstCalls("pytorch:eager", 0, "train", 8, (3.0, 0.02, 0.01), (2.9, 0.02, 0.01), (1, 0, 0), 350_000, True, False),
    Warmup("pytorch:eager", 0, "train", 8, (0.01, 0.02), 0, "too short to tell"),
    *(sample(block=block, seconds=0.01 + 0.001 * block) for block in range(5)),
    sample(block=5, compiles=1, void="something was compiled while it was timed"),
    sample(block=6, twin=True),
    Outputs("pytorch:eager", 0, "o.npz", 0, 0),
    Decision("5 calls"),
    Failure("jax:jit", "prove", "gradient of w is off by 0.1"),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = RecordFile(tmp_path / "run" / "record.jsonl")
    for fact in [HEADER, MACHINE, *FACTS, End(12.5, False)]:
        file.write(fact)
    file.close()
    return file.path


def test_everything_comes_back(written: Path) -> None:
    record = read_record(written)
    assert record.header == HEADER and record.environment == MACHINE
    found = [
        *record.proofs,
        *record.curves,
        *record.colds,
        *record.first_calls,
        *record.warmups,
        *record.samples,
        *record.outputs,
        *record.decisions,
        *record.failures,
    ]
    assert found == FACTS
    assert record.end == End(12.5, False) and not record.interrupted


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_cut_off_line_costs_itself_alone(written: Path, cut: int) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[:-cut])
    record = read_record(written)
    assert record.interrupted
    assert record.samples == tuple(fact for fact in FACTS if isinstance(fact, Sample))


def test_measurements(written: Path) -> None:
    trained, inferred, different, _ = read_record(written).measurements
    assert trained.status == "ok" and trained.void_samples == 1
    assert trained.samples_s == pytest.approx((0.010, 0.011, 0.012, 0.013, 0.014))
    assert trained.blocks == (0, 1, 2, 3, 4)
    assert trained.median_s == pytest.approx(0.012) and trained.interval_s == pytest.approx((0.010, 0.014))
    assert trained.samples_per_s == pytest.approx(8 / 0.012)
    assert trained.first_call_s == 3.0 and trained.third_call_s == 0.01
    assert trained.peak_memory_bytes == 250_000
    assert trained.cpu_per_wall == pytest.approx(2.0)
    assert trained.label == "indicative: one process per contestant"
    assert inferred.status == "not-run" and inferred.median_s is None
    assert different.status == "failed" and different.reason == "gradient of w is off by 0.1"


def test_a_record_is_never_written_over(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        RecordFile(written)
    assert written.read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        RecordFile(tmp_path / "file" / "record.jsonl")


@pytest.mark.parametrize("half", [True, False])
def test_a_full_disk_is_told_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    file = RecordFile(tmp_path / "record.jsonl")
    for fact in (HEADER, MACHINE, sample()):
        file.write(fact)
    really = os.write

    def full(descriptor: int, data: bytes) -> int:
        if not half:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutputError, match="what came before is kept"):
            file.write(sample(block=1))
    assert len(read_record(file.path).samples) == 1
    file.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin like a record"),
        (b"hello\n", "line 1: not a record"),
        (b'{"kind": "sample"}\n', "line 1: not a record"),
        (b'{"kind": "nonsense"}\n', "line 1: not a record"),
        (b'{"kind": "end", "seconds": 1, "interrupted": false}\n', "does not begin like a record"),
        (b"[1, 2]\n", "line 1: not a record"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_record(path)
    with pytest.raises(DataError, match="cannot read"):
        read_record(tmp_path / "missing.jsonl")


def test_another_format_is_refused(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    lines[0] = json.dumps(json.loads(lines[0]) | {"format": FORMAT + 1}) + "\n"
    written.write_text("".join(lines))
    with pytest.raises(DataError, match="record format 2"):
        read_record(written)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 9, 14, 40, 101, 999, 1000, 5000])
def test_the_interval_of_the_median_covers_what_it_says(size: int) -> None:
    low, high, confidence = median_interval([float(value) for value in range(size)])
    assert low + high == size - 1  # symmetric ranks
    exact = 1 - 2 * stats.binom.cdf(int(low), size, 0.5)  # the value is the rank, counted from 0
    assert confidence == pytest.approx(max(0.0, exact), abs=1e-12 if size < 1000 else 0.005)
    assert confidence >= 0.949 or size < 6
    if 9 <= size < 1000:  # no wider than needed
        assert 1 - 2 * stats.binom.cdf(int(low) + 1, size, 0.5) < 0.95


def test_no_interval_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


def test_the_environment_is_described() -> None:
    assert isinstance(MACHINE, Environment)
    assert MACHINE.used == (0, 1) and MACHINE.threads == 2 and MACHINE.cpus >= 1
    assert MACHINE.python.startswith("CPython 3")
    assert "numpy" in MACHINE.versions
    wanted = {"PATH": "x", "OMP_NUM_THREADS": "3", "HOME": "y", "XLA_FLAGS": "--a", "TORCHINDUCTOR_CACHE_DIR": "z"}
    flags = environment(2, (), wanted).flags
    assert flags["XLA_FLAGS"] == "--a" and flags["OMP_NUM_THREADS"] == "3"
    assert "PATH" not in flags and "HOME" not in flags


def test_the_quota_of_a_container(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cpu_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert cpu_quota(tmp_path) == 0.5


def test_flags_are_those_that_change_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "somebody's Terraform")
    flags = environment(1).flags
    assert flags["TF_ENABLE_ONEDNN_OPTS"] == "0" and "TF_CLI_CONFIG_FILE" not in flags
