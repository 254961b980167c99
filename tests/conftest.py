"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew, to be read and committed"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def need() -> Callable[..., None]:
    """Skips a test whose framework is not installed here; in CI, where all are, that is a failure."""

    def check(*modules: str) -> None:
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        if absent and os.environ.get("CI"):
            pytest.fail(f"not installed: {', '.join(absent)}; CI needs assay[test]")
        if absent:
            pytest.skip(f"not installed: {', '.join(absent)}; pip install 'assay[all]'")

    return check
