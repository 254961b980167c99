"""The written code of every built-in workload, as reviewed text.

    pytest tests/write/test_write_golden.py --update-golden

writes the files anew; read the difference as a reviewer of the framework would before committing it.
"""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from assay import nn
from assay.model import Model
from assay.workloads import WORKLOADS
from assay.write import Package, write

GOLDEN = Path(__file__).parent.parent / "golden"
FRAMEWORKS = ("pytorch", "tensorflow", "keras", "jax")
MODELS = (*WORKLOADS, "tiny")


@lru_cache
def model_of(name: str) -> Model:
    if name in WORKLOADS:
        return WORKLOADS[name].model()
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    return nn.build(net, [nn.Input("x", (4,))], name="tiny")


@lru_cache
def package_of(name: str, framework: str) -> Package:
    return write(model_of(name), framework)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MODELS)
def test_written_code_is_the_reviewed_code(name: str, framework: str, update_golden: bool) -> None:
    folder = GOLDEN / name / framework
    files = package_of(name, framework).files
    if update_golden:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)
    for file, text in files.items():
        assert text == (folder / file).read_text(encoding="utf-8"), (
            f"{folder / file} differs; --update-golden writes it"
        )


def test_written_code_passes_the_linter_and_is_formatted() -> None:
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", "--config", "lint.isort.known-first-party=['model']", str(GOLDEN)]
    linted = subprocess.run([*ruff, "check", "--select", "E,F,I,UP,B", *options], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    formatted = subprocess.run([*ruff, "format", "--diff", *options], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MODELS)
def test_written_code_needs_nothing_of_assay(name: str, framework: str) -> None:
    for text in package_of(name, framework).files.values():
        assert "assay" not in text


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MODELS)
def test_every_node_has_a_line(name: str, framework: str) -> None:
    package = package_of(name, framework)
    mapped = {node for nodes in package.lines.values() for node in nodes}
    used = [
        node for node in package.model.graph if any(value.uses() or value.is_graph_output() for value in node.outputs)
    ]
    assert {node.name for node in used} <= mapped
    assert max(package.lines) <= package.files["model.py"].count("\n")


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", MODELS)
def test_weights_come_back(name: str, framework: str) -> None:
    package = package_of(name, framework)
    returned = package.model_with(package.native_weights).weights()
    expected = package.model.weights()
    assert returned.keys() == expected.keys()
    assert all((returned[key] == expected[key]).all() for key in expected)
