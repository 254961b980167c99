"""The command line as a user runs it: processes of its own, real frameworks, real data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from assay.show import Comparison

ASSAY = [sys.executable, "-m", "assay.cli"]
SCHEMA = Path(sys.modules["assay.show"].__file__ or "").parent / "schema" / "comparison.schema.json"


def assay(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ASSAY, *arguments], capture_output=True, text=True, timeout=timeout)


def leftovers() -> list[str]:
    """Worker processes of this environment that are still alive."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if line.startswith(sys.executable) and "assay.measure.worker" in line]


def test_every_framework_is_proven_equal_in_its_default_mode(tmp_path: Path) -> None:
    report = tmp_path / "proofs.json"
    done = assay("prove", "digits-cnn", "-m", "default", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    proofs = json.loads(report.read_text())["proofs"]
    assert {proof["contestant"].partition(":")[0] for proof in proofs} == {
        "pytorch", "tensorflow", "keras/tensorflow", "keras/jax", "keras/torch", "jax",
    }  # fmt: skip
    for proof in proofs:
        assert proof["status"] == "equal"
        checks = {check["check"]: check for check in proof["checks"]}
        assert set(checks) == {"outputs", "loss", "gradients", "statistics", "steps", "dropout"}
        assert checks["gradients"]["tensors"] == 9  # eight parameters and the images
        assert checks["outputs"]["error"] < 1e-10


def test_compare_two_frameworks(tmp_path: Path) -> None:
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    done = assay("compare", "-f", "pytorch,jax", "-m", "default", "--json", str(report), "--html", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    plain = json.loads(report.read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(plain)
    found = Comparison.from_dict(plain)
    assert [proof.status for proof in found.proofs] == ["equal", "equal"]
    assert {(m.contestant, m.task, m.batch_size) for m in found.measurements if m.status == "ok"} == {
        (name, task, size)
        for name in ("pytorch:eager", "jax:jit")
        for task, size in (("train", 64), ("infer", 1), ("infer", 64))
    }
    assert all(m.median_s and m.samples_s and m.first_call_s for m in found.measurements)
    assert found.training is not None
    assert [curve.status for curve in found.training.curves] == ["equal", "equal"]
    assert len(found.training.truth) == 50
    assert {code.target for code in found.code} == {"pytorch", "jax"}
    assert "indicative" in found.effort.label
    assert "pytorch:eager" in done.stdout and "jax:jit" in done.stdout
    assert page.stat().st_size > 10_000
    assert leftovers() == []


def test_a_written_package_trains_alone(tmp_path: Path) -> None:
    out = tmp_path / "package"
    done = assay("write", "digits-cnn", "--to", "jax", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "proven equal in float64 (jax:jit, jax:eager)" in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "README.md", "assay.json", "data.safetensors", "model.py", "train.py", "weights.safetensors",
    }  # fmt: skip
    blocked = (
        "import sys, runpy; sys.modules['assay'] = None; sys.argv = ['train.py', '--epochs', '2']; "
        "runpy.run_path('train.py', run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", blocked],
        cwd=out,
        env=os.environ | {"PYTHONPATH": str(out)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout.split("accuracy ")[-1].split(",")[0]) > 0.8


def test_a_trained_model_goes_to_another_framework(tmp_path: Path) -> None:
    trained = tmp_path / "trained.onnx"
    done = assay("train", "digits-cnn", "-f", "jax", "--epochs", "2", "--out", str(trained))
    assert done.returncode == 0, done.stderr
    assert "test accuracy 0.9" in done.stdout
    proof = assay("prove", str(trained), "-f", "pytorch,jax", "-m", "default")
    assert proof.returncode == 0, proof.stdout + proof.stderr


def test_an_interrupted_comparison_keeps_what_it_has(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = subprocess.Popen(
        [
            *ASSAY,
            "compare",
            "-f",
            "pytorch,tensorflow",
            "-m",
            "default",
            "--json",
            str(report),
            "--keep",
            str(tmp_path / "run"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    record = tmp_path / "run" / "run" / "record.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and '"kind": "proof"' not in (record.read_text() if record.exists() else ""):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    found = Comparison.from_json(report.read_text())
    assert found.interrupted
    assert any(proof.status == "equal" for proof in found.proofs)
    assert leftovers() == []


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["workloads"]])
def test_help_is_there(arguments: list[str]) -> None:
    assert assay(*arguments).returncode == 0
