"""A few cases of the suite in each framework, as `python -m assay.testing` runs them: in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.frameworks import Target, frameworks

# One of each kind of difficulty: shapes of a strided kernel, statistics, gates, masks, axes, and an image made flat.
CASES = (
    "conv2d-groups2_stride2",
    "transposed2d-stride23",
    "norm-batch-image",
    "gru-1layer-both-final",
    "attention-causal",
    "layout-flatten_two_heads",
)
TARGETS = [framework.targets[0] for framework in frameworks().values()]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_representative_cases(target: Target, tmp_path: Path, need: Callable[..., None]) -> None:
    need(*target.modules)
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "assay.testing", "layers", "-f", target.name, "-m", target.modes[0]]
    chosen = [option for name in CASES for option in ("--case", name)]
    done = subprocess.run([*command, *chosen, "--json", str(result)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    assert sorted(case["name"] for case in found["cases"]) == sorted(CASES)
    assert found["counts"]["failure"] == 0


def test_what_the_command_refuses_is_said_in_one_line() -> None:
    for arguments, message in (
        (["layers", "-f", "jaxx"], "did you mean jax"),
        (["layers", "-f", "jax", "-m", "fast"], "known: jit, eager"),
        (["layers", "-f", "jax", "--case", "nothing"], "no case matches"),
    ):
        done = subprocess.run([sys.executable, "-m", "assay.testing", *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
