"""A connection to the store: made, brought to the newest schema, and its errors in plain words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, text
from sqlalchemy.engine import make_url

from assay.errors import StoreError
from assay.store.place import shown
from assay.store.tables import SCHEMA

_PATIENCE = 10.0  # seconds to wait for another program that writes
_LOCK = 0x61737361  # PostgreSQL's advisory lock while the schema is made
_MIGRATING = threading.Lock()  # Alembic keeps the migration that goes on in a global of the process
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """One store. Connections are made when they are needed and closed afterwards."""

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        self.url = url
        self._patience = patience
        self._engine: Engine | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """A connection to look things up; None where there is no store yet."""
        with self._told():
            if self._is_file and not self._file.exists():
                yield None
                return
            with self._connected(writing=False) as connection:
                behind = self._revision(connection) != SCHEMA
            if behind:
                self.migrate()
            with self._connected(writing=False) as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes are made all together when the block ends, or not at all."""
        with self._told():
            self.migrate()
            with self._connected(writing=True) as connection:
                _alone(connection)
                yield connection

    def migrate(self) -> None:
        """Makes the tables, or brings them to the newest schema; a store of a newer assay is refused, untouched."""
        with self._told():
            if self._is_file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._connected(writing=True) as connection:
                _alone(connection)
                found = self._revision(connection)
                if found == SCHEMA:
                    return
                self._check(connection, found)
                _upgrade(connection)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @property
    def name(self) -> str:
        """How messages call it: without a password."""
        return shown(self.url)

    @property
    def _is_file(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def _file(self) -> Path:
        return Path(make_url(self.url).database or "")

    def _revision(self, connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return str(found) if found else None

    def _check(self, connection: Connection, found: str | None) -> None:
        if found is not None and found not in revisions():
            raise StoreError(
                f"the store {self.name} was made by a newer assay (schema {found}; this one knows {SCHEMA}): update "
                "assay, or take another store with --store"
            )
        tables = set(inspect(connection).get_table_names())
        if found is None and tables & {"run", "sample", "environment"}:
            raise StoreError(
                f"the database {self.name} has tables of something else ({', '.join(sorted(tables)[:5])}): give the "
                "store a database of its own"
            )

    @contextmanager
    def _connected(self, writing: bool) -> Iterator[Connection]:
        if self._engine is None:
            self._engine = _engine(self.url, self._patience)
        with self._engine.connect().execution_options(assay_writes=writing) as connection, connection.begin():
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database as `StoreError`s that say what is wrong with which store."""
        try:
            yield
        except ModuleNotFoundError as error:
            raise StoreError(
                f"a store at {self.name} needs {error.name}, which is not installed: run  pip install 'assay[postgres]'"
            ) from error
        except exc.SQLAlchemyError as error:
            raise StoreError(f"the store {self.name} cannot be used: {_plainly(error)}") from error
        except OSError as error:
            raise StoreError(f"the store {self.name} cannot be used: {error.strerror or error}") from error


def _engine(url: str, patience: float) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": patience})
        event.listen(engine, "connect", _take_transactions)
        event.listen(engine, "begin", _begin)
        return engine
    arguments = {"connect_timeout": max(1, int(patience)), "options": f"-c lock_timeout={int(patience * 1000)}"}
    return create_engine(url, connect_args=arguments)


def _take_transactions(connection: Any, _: Any) -> None:
    """Python's driver begins transactions late and not around schema changes: SQLAlchemy does it, by `_begin`."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("assay_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _alone(connection: Connection) -> None:
    """One writer at a time until the transaction ends; SQLite sees to that itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def revisions() -> list[str]:
    """Every schema that this assay knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [item.revision for item in ScriptDirectory.from_config(_config()).walk_revisions()]


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    with _MIGRATING:
        command.upgrade(config, "head")


def _plainly(error: exc.SQLAlchemyError) -> str:
    """What a database's driver says, in one line, with what to do about the usual things."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    hints = {
        "database is locked": "another program holds it; try again when it has finished",
        "lock timeout": "another program holds it; try again when it has finished",
        "unable to open database file": "its folder is not there or may not be written",
        "readonly database": "it may not be written",
        "file is not a database": "it is something else; take another file",
        "disk is full": "free some space",
        "No space left": "free some space",
        "disk image is malformed": "it is damaged; move it away, and a new one is made",
    }
    hint = next((hint for text, hint in hints.items() if text in said), None)
    said = said if len(said) <= 200 else said[:199] + "…"
    return f"{said} ({hint})" if hint else said
