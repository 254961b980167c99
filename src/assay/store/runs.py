"""`Store`: runs put into a database, listed, taken out again and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Select, delete, insert, select

from assay.errors import DataError, NotFoundError
from assay.show.runs import RunSummary
from assay.store import rows
from assay.store.contents import KILLED, Contents
from assay.store.database import Database
from assay.store.tables import CONTESTANT, ENVIRONMENT, LINE, MEASUREMENT, RUN, SAMPLE, SOURCE, VERSION, WRITTEN

ADDED, UPDATED, UNCHANGED = "added", "updated", "unchanged"

_SHORTEST = 4  # characters of a run's name that are enough, if they are


@dataclass(frozen=True)
class Filter:
    """Which runs to list. `since` and `until` are ISO 8601 dates or times in UTC; `until` is left out itself."""

    model: str | None = None  # its name, what it was called, or the beginning of its digest
    framework: str | None = None  # pytorch, keras, keras/jax, jax:jit
    since: str | None = None
    until: str | None = None


class Store:
    """The runs in one database. Each method is one transaction; `StoreError` says why a store cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = database.name

    def add(self, run: Contents) -> tuple[str, str]:
        """Puts a run into the store: its name there, and `added`, `updated` if less of it was there, or `unchanged`.

        A comparison from the file of `--json` whose run is there already keeps that run's name.
        """
        made = rows.rows_of(run)
        with self._database.writing() as connection:
            known, outcome = self._known(connection, made.run, len(run.lines))
            if outcome == UNCHANGED:
                return known, outcome
            _remove(connection, run.id)
            _insert_new(connection, ENVIRONMENT, made.environments, "digest")
            _insert_new(connection, VERSION, made.versions, "environment")
            _insert_new(connection, SOURCE, made.sources, "digest")
            connection.execute(insert(RUN), made.run)
            for table, content in (
                (CONTESTANT, made.contestants),
                (MEASUREMENT, made.measurements),
                (LINE, made.lines),
                (SAMPLE, made.samples),
                (WRITTEN, made.written),
            ):
                if content:
                    connection.execute(insert(table), list(content))
            return run.id, outcome

    def runs(self, wanted: Filter | None = None) -> list[RunSummary]:
        """The runs that fit, the newest first."""
        wanted = wanted or Filter()
        with self._database.reading() as connection:
            if connection is None:
                return []
            query = select(RUN).order_by(RUN.c.started.desc(), RUN.c.id)
            if wanted.model is not None:
                query = query.where(
                    (RUN.c.model == wanted.model)
                    | (RUN.c.reference == wanted.model)
                    | RUN.c.model_digest.startswith(wanted.model, autoescape=True)
                )
            if wanted.framework is not None:
                named = select(CONTESTANT.c.run).where(
                    (CONTESTANT.c.framework == wanted.framework)
                    | (CONTESTANT.c.name == wanted.framework)
                    | CONTESTANT.c.name.startswith(f"{wanted.framework}:", autoescape=True)
                )
                query = query.where(RUN.c.id.in_(named))
            if wanted.since is not None:
                query = query.where(RUN.c.started >= wanted.since)
            if wanted.until is not None:
                query = query.where(RUN.c.started < wanted.until)
            found = _rows(connection, query)
            return [_summary(row, who) for row, who in zip(found, _contestants(connection, found), strict=True)]

    def find(self, name: str) -> str:
        """The id of a run from its beginning, or `last` for the newest. `NotFoundError` if none or several fit."""
        with self._database.reading() as connection:
            if connection is None:
                raise NotFoundError(f"there is no run {name!r}: the store {self.name} is empty")
            return _find(connection, name, self.name)

    def get(self, run: str) -> Contents:
        """Everything of a run, by its id."""
        with self._database.reading() as connection:
            row = _one(connection, run) if connection is not None else None
            if connection is None or row is None:
                raise NotFoundError(f"there is no run {run!r} in the store {self.name}: `assay history` lists them")
            files = (
                select(WRITTEN.c.target, WRITTEN.c.name, SOURCE.c.content)
                .join(SOURCE, SOURCE.c.digest == WRITTEN.c.digest)
                .where(WRITTEN.c.run == run)
            )
            return rows.contents_of(
                row,
                _rows(connection, select(LINE).where(LINE.c.run == run)),
                _rows(connection, select(SAMPLE).where(SAMPLE.c.run == run)),
                _rows(connection, files),
            )

    def delete(self, run: str) -> None:
        """Takes a run out, with the sources and environments that no other run has."""
        with self._database.writing() as connection:
            if _one(connection, run) is None:
                raise NotFoundError(f"there is no run {run!r} in the store {self.name}: `assay history` lists them")
            _remove(connection, run)
            connection.execute(delete(SOURCE).where(SOURCE.c.digest.not_in(select(WRITTEN.c.digest))))
            used = select(RUN.c.environment).where(RUN.c.environment.is_not(None))
            connection.execute(delete(ENVIRONMENT).where(ENVIRONMENT.c.digest.not_in(used)))

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _known(self, connection: Connection, new: dict[str, Any], count: int) -> tuple[str, str]:
        """The name of a run in the store, and what adding it comes to; `count`: lines of its record."""
        name, digest = new["id"], new["facts_digest"]
        old = _one(connection, name)
        if old is None:
            same = select(RUN.c.id).where(RUN.c.facts_digest == digest)
            found = connection.execute(same).scalar() if digest else None
            return (name, ADDED) if found is None else (str(found), UNCHANGED)
        if digest is not None and old["facts_digest"] == digest:
            return name, UNCHANGED
        lines = max(_numbers(connection, name), default=-1) + 1
        if lines > count:
            raise DataError(
                f"run {name} in the store {self.name} has {lines} lines of record, this one {count}: it is an older "
                "state of the same run, and nothing is changed"
            )
        return name, UNCHANGED if lines == count and digest is None else UPDATED


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _numbers(connection: Connection, run: str) -> list[int]:
    found = [
        connection.execute(select(table.c.number).where(table.c.run == run).order_by(table.c.number.desc())).scalar()
        for table in (LINE, SAMPLE)
    ]
    return [number for number in found if number is not None]


def _one(connection: Connection, run: str) -> dict[str, Any] | None:
    row = connection.execute(select(RUN).where(RUN.c.id == run)).mappings().first()
    return dict(row) if row is not None else None


def _remove(connection: Connection, run: str) -> None:
    connection.execute(delete(RUN).where(RUN.c.id == run))  # what belongs to it goes with it


def _insert_new(connection: Connection, table: Any, content: Sequence[dict[str, Any]], key: str) -> None:
    """Inserts those rows whose key is not there: what many runs share is kept once."""
    wanted = {row[key] for row in content}
    there = set(connection.execute(select(table.c[key]).where(table.c[key].in_(wanted))).scalars()) if wanted else set()
    new = [row for row in content if row[key] not in there]
    if new:
        connection.execute(insert(table), new)


def _contestants(connection: Connection, found: Iterable[dict[str, Any]]) -> Iterable[list[tuple[str, str]]]:
    """For each run its contestants with the status of their proofs."""
    by_run: dict[str, list[tuple[str, str]]] = {row["id"]: [] for row in found}
    columns = select(CONTESTANT.c.run, CONTESTANT.c.name, CONTESTANT.c.proof)
    for row in connection.execute(columns.order_by(CONTESTANT.c.run, CONTESTANT.c.position)):
        if row.run in by_run:
            by_run[row.run].append((row.name, row.proof))
    return by_run.values()


def _summary(row: dict[str, Any], contestants: Sequence[tuple[str, str]]) -> RunSummary:
    return RunSummary(
        id=row["id"],
        started=row["started"],
        status=row["status"],
        assay=row["assay"],
        model=row["model"],
        reference=row["reference"],
        command=row["command"],
        effort=row["effort"],
        seconds=row["seconds"],
        recommended=row["recommended"],
        contestants=tuple(name for name, _ in contestants),
        unequal=tuple(name for name, proof in contestants if proof != "equal" and row["status"] != KILLED),
    )


def _find(connection: Connection, name: str, where: str) -> str:
    if name == "last":
        newest = connection.execute(select(RUN.c.id).order_by(RUN.c.started.desc(), RUN.c.id)).scalar()
        if newest is None:
            raise NotFoundError(f"there is no last run: the store {where} is empty")
        return str(newest)
    fitting = list(
        connection.execute(
            select(RUN.c.id, RUN.c.started, RUN.c.model).where(RUN.c.id.startswith(name, autoescape=True))
        )
    )
    exact = [row for row in fitting if row.id == name]
    if exact or (len(fitting) == 1 and len(name) >= _SHORTEST):
        return str((exact or fitting)[0].id)
    if len(name) < _SHORTEST and fitting:
        raise NotFoundError(f"{name!r} is too short for a run: give {_SHORTEST} characters of its name or more")
    if fitting:
        said = ", ".join(f"{row.id} ({row.model}, {row.started})" for row in fitting[:5])
        raise NotFoundError(f"{len(fitting)} runs begin with {name!r}: {said}; give more of the name")
    raise NotFoundError(f"there is no run {name!r} in the store {where}: `assay history` lists them")
