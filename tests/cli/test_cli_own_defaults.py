"""`assay compare --out-of-the-box`: each framework with its own defaults, measured beside the model's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from assay.cli import main


def test_own_defaults_are_measured_and_not_ranked(tmp_path: Path, need: Callable[..., None]) -> None:
    need("torch", "jax")
    file, page, kept = tmp_path / "c.json", tmp_path / "c.html", tmp_path / "kept"
    options = ["--frameworks", "pytorch,jax", "--modes", "default", "--task", "infer", "--no-curves"]
    result = CliRunner().invoke(
        main,
        [
            *("compare", "outcome-mlp", *options, "--out-of-the-box"),
            *("--json", str(file), "--html", str(page), "--keep", str(kept)),
        ],
    )
    assert result.exit_code == 0, result.output
    plain = json.loads(file.read_text())
    assert plain["contestants"] == ["pytorch:eager", "jax:jit"]
    same, other = plain["own_defaults"]
    assert (same["contestant"], same["changes"]) == ("pytorch+own:eager", [])
    assert (other["contestant"], other["beside"]) == ("jax+own:jit", "jax:jit")
    assert "LayerNormalization: epsilon 1e-06" in other["changes"]
    assert other["proof"]["status"] == "equal" and other["proof"]["contestant"] == "jax+own:jit"
    assert {speed["task"] for speed in other["speeds"]} == {"infer"} and all(s["ratio"] > 0 for s in other["speeds"])
    assert "+own" not in json.dumps([plain["verdict"], plain["measurements"], plain["code"], plain["proofs"]])
    assert "Out of the box" in result.output and "jax+own:jit: LayerNormalization" in page.read_text()
    assert "epsilon=1e-6" not in (kept / "packages" / "jax" / "model.py").read_text()
    assert (kept / "packages" / "jax+own" / "model.py").exists()
