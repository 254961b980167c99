"""What goes into a store comes out of it, in SQLite and in PostgreSQL; nothing is lost, nothing is there twice."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, inspect, select
from store_runs import FACTS, comparison, contents, run_folder

from assay.errors import DataError, NotFoundError
from assay.measure import read_record
from assay.store import open_store, tables
from assay.store.contents import KILLED, read_contents
from assay.store.database import Database, revisions
from assay.store.place import store_url
from assay.store.runs import Filter, Store


def count(url: str, table: str) -> int:
    engine = create_engine(store_url(url))
    with engine.connect() as connection:
        found = connection.execute(select(func.count()).select_from(tables.METADATA.tables[table])).scalar_one()
    engine.dispose()
    return int(found)


def test_everything_comes_back(store: Store, tmp_path: Path) -> None:
    run = contents(tmp_path)
    assert store.add(run) == (run.id, "added")
    found = store.get(run.id)
    assert found == run  # every line of the record, every fact, every written file
    folder = tmp_path / run.id
    assert found.record == read_record(folder / "run" / "record.jsonl")
    assert found.comparison == comparison()
    (row,) = store.runs()
    assert (row.id, row.status, row.model, row.effort, row.seconds) == (run.id, "finished", "digits-cnn", "quick", 12.5)
    assert row.contestants == ("pytorch:eager", "jax:jit") and row.started == "2026-01-01T00:00:00+00:00"
    assert row.recommended == "pytorch:eager" and row.command == comparison().command


def test_a_run_is_there_once(store: Store, url: str, tmp_path: Path) -> None:
    run = contents(tmp_path)
    assert [store.add(run)[1] for _ in range(3)] == ["added", "unchanged", "unchanged"]
    report = tmp_path / "report.json"
    report.write_text(comparison().to_json())
    assert store.add(read_contents(report)) == (run.id, "unchanged")  # the same run, from its JSON
    samples = sum(type(fact).__name__ == "Sample" for fact in FACTS)
    assert count(url, "sample") == samples and count(url, "line") == len(run.lines) - samples
    other = contents(tmp_path, "bbbb00000002", started="2026-01-02T00:00:00+00:00")
    other = dataclasses.replace(other, facts=comparison(date="2026-01-02T00:00:00+00:00").to_dict())
    assert store.add(other)[1] == "added"
    assert count(url, "environment") == 1  # one machine, two runs
    assert count(url, "source") == len({file.text for code in comparison().code for file in code.files})
    assert count(url, "written") == 2 * 4


def test_a_killed_run_grows(store: Store, url: str, tmp_path: Path) -> None:
    killed = contents(tmp_path / "1", ended=False)
    assert killed.status == KILLED and store.add(killed)[1] == "added"
    assert store.get(killed.id) == killed and store.runs()[0].status == KILLED
    assert killed.description["code"][0]["files"] == [{"name": "model.py", "text": "print('model')\n"}]
    assert store.add(killed)[1] == "unchanged"
    ended = contents(tmp_path / "2")
    assert store.add(ended) == (killed.id, "updated")
    assert store.get(killed.id) == ended and len(store.runs()) == 1
    with pytest.raises(DataError, match="older state of the same run"):
        store.add(killed)
    assert store.get(killed.id) == ended


def test_lists_are_filtered(store: Store, tmp_path: Path) -> None:
    first = contents(tmp_path)
    second = contents(tmp_path, "bbbb00000002", started="2026-03-01T12:00:00+00:00")
    changed = comparison(date="2026-03-01T12:00:00+00:00", contestants=("keras/jax:jit",), proofs=())
    description = {**second.description, "started": "2026-03-01T12:00:00+00:00", "model": {"name": "other"}}
    second = dataclasses.replace(second, facts=changed.to_dict(), description=description)
    for run in (first, second):
        store.add(run)

    def names(**wanted: str) -> list[str]:
        return [run.id[:4] for run in store.runs(Filter(**wanted))]

    assert names() == ["bbbb", "aaaa"]  # the newest first
    assert names(model="other") == ["bbbb"] and names(model="digits-cnn") == ["aaaa"]
    assert names(model="abab") == ["aaaa"]  # the model's digest
    assert names(framework="keras") == names(framework="keras/jax") == names(framework="keras/jax:jit") == ["bbbb"]
    assert names(framework="jax") == names(framework="jax:jit") == ["aaaa"]
    assert names(framework="ja%") == [] and names(model="%") == []
    assert names(since="2026-02-01") == ["bbbb"] and names(until="2026-02-01") == ["aaaa"]


def test_runs_are_found_by_the_beginning_of_their_names(store: Store, tmp_path: Path) -> None:
    for number in (1, 2):
        run = contents(tmp_path, f"aaaa0000000{number}", started=f"2026-01-0{number}T00:00:00+00:00")
        store.add(dataclasses.replace(run, facts={**(run.facts or {}), "date": f"2026-01-0{number}T00:00:00+00:00"}))
    assert store.find("aaaa00000001") == "aaaa00000001" and store.find("last") == "aaaa00000001"
    for name, message in (
        ("aaaa", "2 runs begin with 'aaaa'"),
        ("aa", "too short"),
        ("aaab", "there is no run 'aaab'"),
        ("%", "there is no run"),
        ("", "too short"),
    ):
        with pytest.raises(NotFoundError, match=message):
            store.find(name)
    with pytest.raises(NotFoundError, match="there is no run"):
        store.get("aaaa")
    with pytest.raises(NotFoundError, match="there is no run"):
        store.delete("aaaa")


def test_deleting_leaves_what_others_need(store: Store, url: str, tmp_path: Path) -> None:
    first, second = contents(tmp_path), contents(tmp_path, "bbbb00000002")
    second = dataclasses.replace(second, facts=comparison(date="2026-01-03T00:00:00+00:00").to_dict())
    store.add(first)
    store.add(second)
    store.delete(first.id)
    assert store.get(second.id) == second
    store.delete(second.id)
    assert {name: count(url, name) for name in tables.METADATA.tables} == dict.fromkeys(tables.METADATA.tables, 0)


def test_an_empty_store(store: Store, url: str) -> None:
    assert store.runs() == []
    with pytest.raises(NotFoundError, match="is empty"):
        store.find("last")
    if "://" not in url:
        assert not Path(url).exists()  # looking makes nothing


def test_the_migrations_make_these_tables(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    assert revisions()[0] == tables.SCHEMA
    database = Database(store_url(url))
    database.migrate()
    database.migrate()
    database.close()
    engine = create_engine(store_url(url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.METADATA) == []
        assert set(inspect(connection).get_table_names()) == {*tables.METADATA.tables, "alembic_version"}
    engine.dispose()


def test_many_programs_at_once(url: str, tmp_path: Path) -> None:
    """Each of them may find that there is no store yet."""
    for number in range(4):
        folder = run_folder(tmp_path / str(number), f"cccc0000000{number}")
        facts = comparison(date=f"2026-01-0{number + 1}T00:00:00+00:00").to_dict()
        (folder / "facts.json").write_text(json.dumps(facts))
    code = (
        "import sys; from pathlib import Path; from assay.store import open_store; from assay.store.contents import "
        "read_contents; print(open_store(sys.argv[1]).add(read_contents(Path(sys.argv[2]))))"
    )
    arguments = [[sys.executable, "-c", code, url, str(tmp_path / str(number))] for number in range(4)]
    running = [subprocess.Popen(item, stderr=subprocess.PIPE, text=True) for item in arguments]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with open_store(url) as store:
        assert len(store.runs()) == 4
    assert count(url, "environment") == 1


def test_many_threads_that_each_make_a_store(tmp_path: Path) -> None:
    """Alembic's state is global: migrations at the same time would take each other's connections."""
    run = contents(tmp_path)

    def make(number: int) -> tuple[str, str]:
        with open_store(str(tmp_path / f"{number}.sqlite")) as store:
            return store.add(run)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(16))) == [(run.id, "added")] * 16
