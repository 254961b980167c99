"""Every case in every framework's code, linted, and every weight there and back: no framework is needed for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assay.frameworks import frameworks
from assay.prove.evidence import disturbed
from assay.testing.cases import LAYERS
from assay.testing.gaps import load_gaps
from assay.testing.run import lost_weights
from assay.write import write


@pytest.mark.parametrize("framework", list(frameworks()))
def test_every_case_is_written_and_its_weights_come_back(framework: str, tmp_path: Path) -> None:
    refused = [gap for gap in load_gaps(framework) if gap.stage == "write"]
    for case in LAYERS:
        if any(gap.matches(case.name) for gap in refused):
            continue
        package = write(disturbed(case.model()), framework)
        assert lost_weights(package) == [], case.name
        (tmp_path / f"{case.name.replace('-', '_')}.py").write_text(package.files["model.py"], encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", str(tmp_path)]
    linted = subprocess.run([*ruff, "check", "--select", "E,F,I,UP,B", *options], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    formatted = subprocess.run([*ruff, "format", "--diff", *options], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stdout
