"""A comparison that is killed, gone on with, repeated and held against itself, as a user does it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ASSAY = [sys.executable, "-m", "assay.cli"]
COMPARE = [*ASSAY, "compare", "outcome-mlp", "-f", "jax", "-m", "jit", "--task", "infer", "--no-curves"]


def assay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ASSAY, *arguments], capture_output=True, text=True, timeout=600, check=False)


def samples_of(runs: Path) -> list[str]:
    """The samples that the one run in a folder of runs has recorded."""
    records = list(runs.glob("*/run/record.jsonl"))
    return [line for path in records for line in path.read_text().splitlines() if '"kind": "sample"' in line]


def test_a_comparison_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("ASSAY_RUNS", str(runs))
    process = subprocess.Popen(COMPARE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while len(samples_of(runs)) < 5:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    assert json.loads(assay("history", "--json").stdout) == []  # it goes on
    process.kill()
    process.wait(10)
    before = samples_of(runs)
    (killed,) = json.loads(assay("history", "--json").stdout)
    assert (killed["status"], killed["resumable"], killed["reference"]) == ("killed", True, "outcome-mlp")
    done = assay("compare", "--resume", killed["id"][:6])
    assert done.returncode == 0, done.stderr
    assert "had been cut short and went on at" in " ".join(done.stdout.split())
    (finished,) = json.loads(assay("history", "--json").stdout)
    assert (finished["id"], finished["status"]) == (killed["id"], "finished")
    assert list(runs.iterdir()) == []  # everything is in the store now
    report = tmp_path / "report.json"
    assert assay("history", "export", "last", "--json", str(report)).returncode == 0
    facts = json.loads(report.read_text())
    assert all(item["status"] == "ok" for item in facts["measurements"])
    blocks = Counter((item["batch_size"], block) for item in facts["measurements"] for block in item["blocks"])
    assert set(blocks.values()) == {1} and len(blocks) >= len([line for line in before if '"twin": false' in line])
    check_repeated(finished["id"])


def check_repeated(run: str) -> None:
    done = assay("compare", "--again", run)
    assert done.returncode == 0, done.stderr
    assert f"run {run} of" in done.stderr and "machine, versions and flags are as they were" in done.stderr
    again, first = json.loads(assay("history", "--json").stdout)
    assert first["id"] == run and again["model"] == "outcome-mlp" and again["status"] == "finished"
    found = assay("diff", run, again["id"])
    assert found.returncode == 0, found.stderr
    assert "not resolved" in found.stdout and "never measured together" in " ".join(found.stdout.split())
    assert assay("compare", "--resume", run).returncode == 2  # it came to its end


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--again", "last"], "there is no run 'last'"),
        (["--resume", "last"], "there is no run 'last'"),
        (["--resume", "abcdef"], "there is no run 'abcdef'"),
        (["--again", "x", "--resume", "y"], "exclude each other"),
        (["--again", "last", "--seed", "3"], "--again takes everything from the run: leave out --seed"),
        (["digits-cnn", "--resume", "last"], "--resume takes everything from the run: leave out MODEL"),
        (["--no-store", "--store", "redis://x", "--effort", "quik"], "unknown effort"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    from click.testing import CliRunner

    from assay.cli import main

    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 2 and message in done.output, done.output
