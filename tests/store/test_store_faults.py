"""A store that cannot be used says so in one message, and costs nothing that was measured."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from store_runs import comparison, contents, run_folder

from assay.errors import OutputError, StoreError
from assay.store import open_store
from assay.store.contents import read_contents
from assay.store.database import Database
from assay.store.folder import RunFolder, is_running, unfinished
from assay.store.place import shown, store_url
from assay.store.runs import Store
from assay.verbs.history import history, import_runs
from assay.verbs.recording import Recording


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://somewhere/x", "expected the path of an SQLite file"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("http://example.org", "expected the path of an SQLite file"),
    ],
)
def test_urls_that_cannot_be_a_store(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(url)
    with pytest.raises(StoreError, match=message):
        Recording(store=url)  # before anything is measured


def test_passwords_are_never_shown() -> None:
    url = store_url("postgresql://me:se:cret@host/db?password=secret&x=1")
    assert "cret" not in shown(url) and shown(url) == "postgresql://me:***@host/db?password=***&x=1"
    with pytest.raises(StoreError) as raised:
        Store(Database(store_url("postgresql://me:secret@127.0.0.1:1/db"), patience=1)).runs()
    assert "secret" not in str(raised.value) and "127.0.0.1" in str(raised.value)


def test_a_store_of_a_newer_assay(url: str, tmp_path: Path) -> None:
    with open_store(url) as store:
        store.add(contents(tmp_path))
    engine = create_engine(store_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with open_store(url) as store:
        for action in (store.runs, lambda: store.add(contents(tmp_path, "bbbb00000002"))):
            with pytest.raises(StoreError, match="made by a newer assay"):
                action()


def test_a_database_of_something_else(url: str) -> None:
    if "://" not in url:
        Path(url).parent.mkdir()
    engine = create_engine(store_url(url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE run (id INTEGER)"))
    engine.dispose()
    with open_store(url) as store, pytest.raises(StoreError, match="has tables of something else"):
        store.runs()


def test_files_that_are_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with open_store(str(path)) as store, pytest.raises(StoreError, match="is something else; take another file"):
        store.runs()
    (tmp_path / "folder.sqlite").mkdir()
    with open_store(str(tmp_path / "folder.sqlite")) as store, pytest.raises(StoreError, match="cannot be used"):
        store.add(contents(tmp_path))
    with open_store(str(path / "x.sqlite")) as store, pytest.raises(StoreError, match="cannot be used"):
        store.add(contents(tmp_path, "bbbb00000002"))


def test_a_locked_store(own: Path, tmp_path: Path) -> None:
    run = contents(tmp_path)
    path = own / "runs.sqlite"
    with open_store() as store:
        store.add(run)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    impatient = Store(Database(store_url(str(path)), patience=0.2))
    with pytest.raises(StoreError, match="another program holds it; try again"):
        impatient.add(contents(tmp_path, "bbbb00000002"))
    holder.execute("ROLLBACK")
    holder.close()
    assert [found.id for found in impatient.runs()] == [run.id]
    impatient.close()


FULL = """
import resource, sys
from pathlib import Path
from assay.store import open_store
from assay.store.contents import read_contents
from assay.errors import StoreError
url, folder, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    open_store(url).add(read_contents(Path(folder)))
except StoreError as error:
    print(error)
    sys.exit(7)
"""


def test_a_full_disk_leaves_the_store_as_it_was(own: Path, tmp_path: Path) -> None:
    """A file may not grow beyond a limit: what a full disk is to a program."""
    with open_store() as store:
        store.add(contents(tmp_path))
    path = own / "runs.sqlite"
    folder = run_folder(tmp_path / "big", "bbbb00000002")
    (folder / "facts.json").write_text(comparison(command="x" * 1_000_000).to_json())
    arguments = [sys.executable, "-c", FULL, str(path), str(folder), str(path.stat().st_size + 8192)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7, done.stderr
    assert "cannot be used" in done.stdout and "Traceback" not in done.stderr
    with open_store() as store:
        assert [run.id for run in store.runs()] == ["aaaa00000001"]
        assert store.add(read_contents(folder))[1] == "added"


def recorded(recording: Recording, facts: bool = True) -> Path:
    """What `compare` does with a recording, without measuring."""
    with recording as kept:
        kept.begin("assay compare", "digits-cnn", "ab" * 32)
        made = run_folder(kept.path / "made")
        os.replace(made / "run", kept.path / "run")
        if facts:
            kept.finish(comparison())
        return kept.path


def test_a_recording_is_stored_and_its_folder_goes(own: Path) -> None:
    recording = Recording()
    path = recorded(recording)
    assert not path.exists() and len(recording.told) == 1
    (run,) = history()
    assert recording.told == [f"kept as run {run.id}: assay history show {run.id}"]
    assert history().comparison(run.id) == comparison() and history().record(run.id[:6]).samples


def test_a_recording_that_nobody_wants(own: Path) -> None:
    recording = Recording(stored=False)
    path = recorded(recording)
    assert not path.exists() and recording.told == [] and not own.exists()


@pytest.mark.parametrize("fault", ["gone", "locked", "newer", "damaged"])
def test_a_store_that_fails_costs_nothing(
    own: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.store.database._PATIENCE", 0.2)
    monkeypatch.setattr(Database.__init__, "__defaults__", (0.2,))
    path = own / "runs.sqlite"
    with open_store() as store:
        store.runs()
        store.add(contents(tmp_path, "bbbb00000002", ended=False))
    whole = path.read_bytes()
    holder = None
    if fault == "gone":
        path.unlink()
        path.mkdir()
    elif fault == "locked":
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
    elif fault == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
    else:
        path.write_bytes(b"nonsense" * 1000)
    recording = Recording()
    folder = recorded(recording)
    assert len(recording.told) == 1
    assert (
        recording.told[0].startswith("not in the store: ") and f"assay history --import {folder}" in recording.told[0]
    )
    assert read_contents(folder).comparison == comparison()
    if holder is not None:
        holder.close()
    if path.is_dir():
        path.rmdir()
    else:
        path.write_bytes(whole)
    assert import_runs(folder) == [(read_contents_id(recording), "added")]
    assert not folder.exists()  # it is in the store now
    assert len(history()) == (1 if fault == "gone" else 2)


def read_contents_id(recording: Recording) -> str:
    return recording.told[0].rpartition("/")[2]


def test_a_run_that_found_the_store_locked_comes_in_by_itself(own: Path) -> None:
    own.mkdir()
    (own / "runs.sqlite").mkdir()
    recording = Recording()
    folder = recorded(recording)
    assert folder.exists()
    (own / "runs.sqlite").rmdir()
    assert [run.status for run in history()] == ["finished"]
    assert not folder.exists() and len(history()) == 1


def test_a_killed_run_is_in_the_history(own: Path) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from test_store_faults import *; recording = Recording()\n"
        "with recording as kept:\n"
        "    kept.begin('assay compare', 'digits-cnn', 'ab' * 32)\n"
        "    os.replace(run_folder(kept.path / 'made', ended=False) / 'run', kept.path / 'run')\n"
        "    print(kept.id, flush=True)\n"
        "    sys.stdin.read(1)\n"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    name = process.stdout.readline().strip()
    ((path, run),) = unfinished()
    assert run == name and is_running(path)
    with pytest.raises(StoreError, match="is going on"):
        RunFolder.open(path)
    assert len(history()) == 0  # it goes on
    process.kill()
    process.wait(10)
    process.stdout.close()
    process.stdin.close()
    assert not is_running(path)
    (found,) = history()
    assert (found.id, found.status, found.resumable) == (name, "killed", True)
    assert len(history()) == 1
    RunFolder.open(path).close()  # the lock died with its process


def test_nothing_measured_leaves_nothing(own: Path) -> None:
    with pytest.raises(OutputError, match="no space"), Recording() as kept:
        kept.begin("assay compare", "digits-cnn", "ab" * 32)
        raise OutputError("no space")
    assert list(unfinished()) == [] and not list((own / "runs").iterdir())


def test_an_error_after_measuring_keeps_what_was_measured(own: Path) -> None:
    with pytest.raises(OutputError, match="no space") as raised, Recording() as kept:
        os.replace(run_folder(kept.path / "made", ended=False) / "run", kept.path / "run")
        raise OutputError("no space")
    ((path, run),) = unfinished()
    assert raised.value.__notes__ == [
        f"what was measured is in {path}: assay compare --resume {run} goes on with it",
    ]
    assert [found.status for found in history()] == ["killed"]


def test_a_data_folder_that_cannot_be_written(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "file" / "runs"))
    recording = Recording()
    path = recorded(recording)
    assert not path.exists() and "is not kept while it goes on" in recording.told[0]
    assert recording.told[1].startswith("kept as run")
    assert len(history()) == 1
