"""A tenth of the official cases in every framework, another tenth with every commit.

The commit is that of CI (`GITHUB_SHA`) or of the checkout; without either it is always the first tenth. `ASSAY_PART=3/10`
chooses one, `ASSAY_PART=0/1` all of them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.frameworks import target
from assay.testing.official_run import describe, run_official
from assay.testing.report import line

MODULES = {"pytorch": "torch", "tensorflow": "tensorflow", "keras": "keras", "jax": "flax"}


def part() -> tuple[int, int]:
    """Which part of the cases this commit tests, as (k, n)."""
    if given := re.fullmatch(r"(\d+)/(\d+)", os.environ.get("ASSAY_PART", "")):
        return int(given[1]), int(given[2])
    commit = os.environ.get("GITHUB_SHA", "")
    if not commit:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return (int(commit, 16) % 10 if re.fullmatch(r"[0-9a-f]{7,64}", commit) else 0), 10


@pytest.mark.parametrize("framework", MODULES)
def test_a_part_of_the_official_cases(framework: str, need: Callable[..., None], tmp_path: Path) -> None:
    need(MODULES[framework])
    found = run_official(target(framework), [], ("node",), part(), 2, tmp_path / "log")
    failures = [line(outcome) for outcome in found.ordered() if outcome.status == "failure"]
    assert not failures, "\n".join([describe(target(framework), found), *failures])
    assert len(found.outcomes) == len(found.cases) > 0


def test_the_part_follows_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_PART", raising=False)
    monkeypatch.setenv("GITHUB_SHA", "0f" * 20)
    assert part() == (int("0f" * 20, 16) % 10, 10)
    monkeypatch.setenv("GITHUB_SHA", "no commit")
    assert part() == (0, 10)
    monkeypatch.setenv("ASSAY_PART", "3/20")
    assert part() == (3, 20)
