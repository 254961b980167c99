"""The fixture of tests that run workers over packages of the fake framework."""

from __future__ import annotations

from pathlib import Path

import pytest
from measure_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
