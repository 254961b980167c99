"""The support page and the numbers of `assay frameworks`, from results as `conformance --json` saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import main
from assay.errors import DataError
from assay.testing.matrix import matrix, operators_of, page, read_runs, summary_of

WHY = {"kind": "upstream", "why": "no | here", "link": "https://example.org/1"}


def _case(name: str, status: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "kind": "node", "operator": operator, "types": ["float"], **more}


def _save(folder: Path, target: str, cases: list[dict[str, Any]], suite: str = "conformance") -> None:
    passes = sum(case["status"] == "pass" for case in cases)
    content = {
        "suite": suite,
        "target": target,
        "date": "2026-01-02T03:04:05",
        "versions": {"torch": "2", "onnx": "1.23"},
        "summary": {"counted": len(cases), "passes": passes, "share": passes / len(cases), "wrong": []},
        "cases": cases,
    }
    (folder / f"{suite}-{target.replace('/', '-')}.json").write_text(json.dumps(content))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    cases = [
        _case("test_relu", "pass", "Relu"),
        _case("test_relu_expanded_ver18", "pass", "relu"),
        _case("test_det_2d", "gap", "Det", gaps=[WHY], faults=["write: no"]),
        _case("test_det_nd", "pass", "Det"),
        _case("test_something", "pass", "something"),
    ]
    _save(folder, "pytorch", cases)
    _save(folder, "keras/jax", [*cases[:2], _case("test_det_2d", "failure", "Det", reasons=["run: boom"])])
    slopes = [["agrees", 1, 1, 1]], [["agrees", 1, 1, 1], ["singular", 0, 0, 1]]
    gradients = [
        _case("test_det_2d", "pass", "Det", slopes=slopes[0]),
        _case("test_det_nd", "pass", "Det", slopes=slopes[1]),
    ]
    _save(folder, "pytorch", gradients, "gradients")
    doubles = [
        _case("test_relu", "pass", "Relu", slopes=[["exact"]]),
        _case("test_det_2d", "pass", "Det", slopes=[["close"]]),
        _case("test_det_nd", "failure", "Det"),
    ]
    _save(folder, "pytorch", doubles, "double")
    return folder


def test_the_page_has_every_operator_and_every_reason(results: Path) -> None:
    text = page(read_runs(results))
    assert "| Relu | ✓ 2 64 1 | ✓ 2 |" in text
    assert "| Det | 1 of 2 [1] ∇ 1 of 2 64 0 of 2 (1 wrong) | 0 of 1 [2] |" in text
    assert "| (several operators) | ✓ 1 | – |" in text
    assert "| float | 4 of 5 | 2 of 3 |" in text
    assert "1. pytorch — upstream: no \\| here ([link](https://example.org/1))" in text
    assert "2. keras/jax — failure: run: boom" in text
    assert "| `pytorch` | 4 of 5 (80.0%) | 0 | 2026-01-02 | torch 2, onnx 1.23 |" in text


def test_an_expanded_case_is_of_the_operator_that_it_expands() -> None:
    cases = [_case("test_a_b", "pass", "AB"), _case("test_a_b_expanded", "pass", "a_b"), _case("test_c", "pass", "c")]
    assert operators_of(cases) == {
        "test_a_b": "AB",
        "test_a_b_expanded": "AB",
        "test_c": "(several operators)",
    }


def test_the_command_writes_page_and_summaries(results: Path, tmp_path: Path) -> None:
    arguments = ["--results", str(results), "--page", str(tmp_path / "s.md"), "--summaries", str(tmp_path / "data")]
    found = CliRunner().invoke(matrix, arguments)
    assert found.exit_code == 0, found.output
    assert (tmp_path / "s.md").read_text().startswith("# What is supported")
    kept = json.loads((tmp_path / "data" / "pytorch.json").read_text())
    assert kept == summary_of(read_runs(results)[0])
    assert kept["share"] == 0.8 and kept["onnx"] == "1.23"


def test_results_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no conformance-\*\.json"):
        read_runs(tmp_path)
    (tmp_path / "conformance-x.json").write_text("[")
    with pytest.raises(DataError, match="holds no results"):
        read_runs(tmp_path)


def test_frameworks_says_what_share_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"target": "jax", "share": 0.97999, "counted": 1874, "passes": 1836, "onnx": "1.23.2", "wrong": 0}
    monkeypatch.setattr("assay.testing.summaries.summaries", lambda: {"jax": found})
    result = CliRunner().invoke(main, ["frameworks"])
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if line.startswith("jax"))
    assert "onnx 97.9%" in row
    assert "1,874 cases of onnx 1.23.2" in result.output
    assert "%" not in next(line for line in result.output.splitlines() if line.startswith("pytorch"))
