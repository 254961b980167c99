"""Stores of both kinds, and made-up runs to put into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_postgres import server

from assay.store import open_store
from assay.store.runs import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server; skips where it is not installed."""
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "runs.sqlite")
    from sqlalchemy import create_engine, text

    server_url: str = request.getfixturevalue("postgres")
    engine = create_engine(server_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    name = f"store_{abs(hash(str(tmp_path))):x}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server_url.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder that is empty."""
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "data" / "runs.sqlite"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "data" / "runs"))
    return tmp_path / "data"
