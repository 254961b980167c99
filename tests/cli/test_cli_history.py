"""`assay history` on the command line: lists, shows, exports, imports, deletes; bad input gets one message."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import main
from assay.show import Comparison


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a comparison, and an empty store."""
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    made_up = Path(__file__).parent.parent / "show" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_up_comparisons", made_up)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path / "report.json"
    path.write_text(module.build().to_json())
    return path


def test_a_run_from_import_to_deletion(report: Path, tmp_path: Path) -> None:
    assert run("history") == (0, f"no runs in {tmp_path}/runs.sqlite\n")
    status, output = run("history", "--import", str(report))
    name = output.split()[0]
    assert (status, output) == (0, f"{name}  added\n")
    assert run("history", "--import", str(tmp_path)) == (0, f"{name}  was there already\n")
    status, output = run("history")
    assert status == 0 and name in output and "digits-cnn" in output and "finished" in output
    (listed,) = json.loads(run("history", "--json", "-f", "jax", "--since", "2025-11-22", "--until", "2025-11-22")[1])
    assert listed["id"] == name and listed["recommended"] == "tensorflow:graph"
    assert json.loads(run("history", "--json", "--model", "mnist-cnn")[1]) == []
    for which in ([], ["last"], [name[:5]], [str(report)]):
        status, output = run("history", "show", *which)
        assert status == 0 and name in output and "tensorflow:graph" in output and "Recommendation" in output
    exported, page = tmp_path / "exported.json", tmp_path / "page.html"
    assert run("history", "export", name, "--json", str(exported), "--html", str(page)) == (0, "")
    assert Comparison.from_json(exported.read_text()) == Comparison.from_json(report.read_text())
    assert "<html" in page.read_text()
    assert run("history", "delete", name[:6]) == (0, f"{name}  deleted\n")
    assert run("history", "--json")[1] == "[]\n"


def test_another_store(report: Path, tmp_path: Path) -> None:
    other = str(tmp_path / "other.sqlite")
    name = run("history", "--store", other, "--import", str(report))[1].split()[0]
    assert run("history", "--json")[1] == "[]\n"
    assert name in run("history", "--store", other, "show", "last")[1]
    assert name in run("history", "show", "last", "--store", other)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "there is no run 'last': the store"),
        (["show", "abcdef"], "there is no run 'abcdef'"),
        (["show", "no/such/folder"], "there is no file or folder no/such/folder"),
        (["show", "missing.json"], "there is no file or folder missing.json"),
        (["export", "last"], "nothing to export to: give --json FILE"),
        (["delete", "last"], "there is no run"),
        (["--since", "yesterday"], "'yesterday' is no date: expected one as 2026-11-22"),
        (["--import", "missing"], "there is no file or folder missing"),
        (["--import", "/proc/self"], "holds no run"),
        (["--import", __file__], "is not JSON"),
        (["--store", "redis://x"], "expected the path of an SQLite file"),
        (["--store", "postgresql://x@127.0.0.1:1/none"], "the store postgresql://x@127.0.0.1:1/none cannot be used"),
        (["--model", "x", "show"], "options for the list stand alone"),
    ],
)
def test_bad_input(report: Path, arguments: list[str], message: str) -> None:
    status, output = run("history", *arguments)
    assert status == 2 and message in output and "Traceback" not in output


def test_a_json_that_is_something_else(report: Path, tmp_path: Path) -> None:
    for number, content in enumerate(("[1]", "{}", '{"format": 99}', "{", "\0")):
        path = tmp_path / f"other{number}.json"
        path.write_text(content)
        status, output = run("history", "--import", str(path))
        assert status == 2 and output.startswith("error: ") and "Traceback" not in output
    assert json.loads(run("history", "--json")[1]) == []


def test_compare_refuses_a_store_that_cannot_be_one_before_it_measures(report: Path) -> None:
    status, output = run("compare", "--store", "redis://x")
    assert status == 2 and "expected the path of an SQLite file" in output
