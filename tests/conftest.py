"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator

import pytest

# A shell that starts the tests in the background ignores Ctrl-C for them and all their children; some test just that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew, to be read and committed"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True, scope="session")
def _a_data_folder_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests compare is not kept among the user's own runs."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_STORE", str(folder / "runs.sqlite"))
        patch.setenv("ASSAY_RUNS", str(folder / "runs"))
        yield


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
