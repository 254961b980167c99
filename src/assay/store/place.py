"""Where runs are kept: the database that holds them, and the folder for those that are going on."""

from __future__ import annotations

import os
import re
from pathlib import Path

from assay.errors import StoreError

STORE = "ASSAY_STORE"  # the database, as `--store` takes it
RUNS = "ASSAY_RUNS"  # the folder for runs that are going on or were cut short

_SCHEMES = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def data_folder() -> Path:
    """The user's folder for data of assay; it need not exist."""
    from platformdirs import user_data_path

    return user_data_path("assay", appauthor=False)


def runs_folder() -> Path:
    """Where runs are kept while they go on; `$ASSAY_RUNS`, or in the user's data folder."""
    return Path(os.environ[RUNS]).absolute() if os.environ.get(RUNS) else data_folder() / "runs"


def store_url(given: str | None = None) -> str:
    """The database's URL, for SQLAlchemy: what is given, else `$ASSAY_STORE`, else a file in the user's data folder.

    A path means an SQLite file. Raises `StoreError` for databases other than SQLite and PostgreSQL.
    """
    wanted = given or os.environ.get(STORE) or str(data_folder() / "runs.sqlite")
    scheme, separator, rest = wanted.partition("://")
    if not separator:
        return f"sqlite:///{Path(wanted).expanduser().absolute()}"
    if scheme.lower() not in _SCHEMES:
        raise StoreError(
            f"a result store cannot be at {shown(wanted)}: expected the path of an SQLite file, sqlite:///FILE or "
            "postgresql://USER@HOST/DATABASE"
        )
    chosen = _SCHEMES[scheme.lower()]
    if chosen == "sqlite" and rest.strip("/") in ("", ":memory:"):
        raise StoreError(f"{wanted} names no file: a store in memory would be gone at once; give sqlite:///FILE")
    return f"{chosen}://{rest}"


def shown(url: str) -> str:
    """A URL without its password; of an SQLite file, its path."""
    url = re.sub(r"(?<=[?&])(password|passfile|sslkey)=[^&]*", r"\1=***", url)
    url = re.sub(r"^([^:/]+://[^:/@]*):[^/]*@", r"\1:***@", url).replace("postgresql+psycopg://", "postgresql://")
    return url.removeprefix("sqlite:///")
