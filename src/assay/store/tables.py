"""The tables of the result store. `migrations/` makes them; a test holds the two against each other.

JSON is kept as text that we wrote ourselves: it comes back as it was, also numbers that are not finite, in every database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA = "0001"  # the newest migration, which these tables are

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)

_ID, _DIGEST, _NAME = String(32), String(64), String(200)


def _of_run() -> Column[str]:
    return Column("run", _ID, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)


# A machine with its software, once for all runs on it: everything about it as JSON, and what one asks for.
ENVIRONMENT = Table(
    "environment",
    METADATA,
    Column("digest", _DIGEST, primary_key=True),
    Column("content", Text, nullable=False),
    Column("cpu", Text, nullable=False),
    Column("operating_system", Text, nullable=False),
    Column("python", Text, nullable=False),
)
VERSION = Table(
    "version",
    METADATA,
    Column("environment", _DIGEST, ForeignKey("environment.digest", ondelete="CASCADE"), primary_key=True),
    Column("distribution", _NAME, primary_key=True),
    Column("version", Text, nullable=False),
)
RUN = Table(
    "run",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("started", String(40), nullable=False),  # ISO 8601 in UTC: sorts as it reads
    Column("status", String(16), nullable=False),  # finished, interrupted or killed
    Column("assay", String(40), nullable=False),
    Column("model", Text, nullable=False),
    Column("reference", Text),  # what the user called the model
    Column("model_digest", _DIGEST),
    Column("command", Text, nullable=False),
    Column("effort", _NAME, nullable=False),
    Column("threads", Integer),
    Column("seed", BigInteger),
    Column("seconds", Float),
    Column("recommended", _NAME),  # the contestant to take, where that is settled
    Column("environment", _DIGEST, ForeignKey("environment.digest")),
    Column("description", Text, nullable=False),  # JSON: how it was called, digests of the packages
    Column("facts", Text),  # JSON of the comparison, the written files left out; None if the run was killed
    Column("facts_digest", _DIGEST),
    Index("ix_run_started", "started"),
    Index("ix_run_model", "model"),
    Index("ix_run_facts_digest", "facts_digest"),
)
CONTESTANT = Table(
    "contestant",
    METADATA,
    _of_run(),
    Column("name", _NAME, primary_key=True),
    Column("position", Integer, nullable=False),  # in the run's order
    Column("framework", _NAME, nullable=False),
    Column("proof", String(16), nullable=False),  # equal, different or not-run
    Column("reason", Text),
    Index("ix_contestant_framework", "framework"),
)
MEASUREMENT = Table(
    "measurement",
    METADATA,
    _of_run(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("contestant", _NAME, nullable=False),
    Column("task", String(40), nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("condition", Text, nullable=False),  # JSON: threads, precision and what else was varied
    Column("status", String(16), nullable=False),
    Column("median_s", Float),
    Column("low_s", Float),
    Column("high_s", Float),
)
# The lines of the raw record, in order; samples are in a table of their own.
LINE = Table(
    "line",
    METADATA,
    _of_run(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(40), nullable=False),
    Column("content", Text, nullable=False),
)
SAMPLE = Table(
    "sample",
    METADATA,
    _of_run(),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of its line in the record
    Column("contestant", _NAME, nullable=False),
    Column("twin", Boolean, nullable=False),
    Column("process", Integer, nullable=False),
    Column("task", String(40), nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("cpu_ns", BigInteger, nullable=False),
    Column("void", Text),
    Column("more", Text, nullable=False),  # JSON: the line's other fields
)
# A written file, once for all runs that have the same.
SOURCE = Table(
    "source",
    METADATA,
    Column("digest", _DIGEST, primary_key=True),
    Column("content", Text, nullable=False),
)
WRITTEN = Table(
    "written",
    METADATA,
    _of_run(),
    Column("target", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("digest", _DIGEST, ForeignKey("source.digest"), nullable=False),
    Index("ix_written_digest", "digest"),
)

SAMPLE_COLUMNS = tuple(
    column.name for column in SAMPLE.columns if column.name not in ("run", "number", "more")
)  # named like the fields of a sample in the record
