"""Compiled programs that are kept from run to run, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from measure_bench import Bench

from assay.frameworks import target
from assay.frameworks.base import Contestant
from assay.measure import caches, measure
from assay.measure.crew import PROOF, Crew
from assay.verbs import convert


def test_each_role_of_each_contestant_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    proof = caches.environment(target("keras/jax"), PROOF, "keras/jax")
    timed = caches.environment(target("keras/jax"), "timing", "keras/jax:jit")
    folders = [Path(found["JAX_COMPILATION_CACHE_DIR"]) for found in (proof, timed)]
    assert folders == [tmp_path / "compiled/proof/keras-jax", tmp_path / "compiled/timing/keras-jax-jit"]
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    assert caches.environment(target("tensorflow"), PROOF, "tensorflow") == {}


def test_what_the_user_has_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    assert caches.environment(target("pytorch"), PROOF, "pytorch") == {}


def test_without_a_place_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "file"))
    assert caches.environment(target("pytorch"), PROOF, "pytorch") == {}


def test_the_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(caches.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caches.folder() == tmp_path / "assay"


@pytest.mark.parametrize(
    ("found", "missed", "state"), [(0, 0, "none"), (3, 0, "warm"), (0, 2, "cold"), (9, 1, "mixed")]
)
def test_the_state_is_what_was_counted(found: int, missed: int, state: str) -> None:
    assert caches.state(found, missed) == state


def test_a_run_tells_what_it_found_on_disk_and_what_it_ran_on(bench: Bench) -> None:
    entries = [
        bench.entry("pytorch:compile", cache={"compile": (2, 0)}, device="a card"),
        bench.entry("jax:jit", cache={"jit": (2, 1)}),
        bench.entry("tensorflow:graph"),
    ]
    record = measure(bench.plan(*entries, proving=None))
    starts = {start.contestant: start.compile_cache for start in convert.cold_starts(record)}
    assert starts == {"pytorch:compile": "warm", "jax:jit": "mixed", "tensorflow:graph": "none"}
    assert convert.device(record) == "a card (pytorch:compile); cpu (jax:jit, tensorflow:graph)"
    same = measure(bench.plan(bench.entry("jax:eager", device="a card"), proving=None, folder=bench.folder / "same"))
    assert convert.device(same) == "a card"


def test_a_session_of_somebody_elses_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "cache"))
    with Crew(tmp_path, 1, sessions={"jax": "fake_framework:Session"}) as crew:
        crew.answer(crew.start("timing", Contestant("jax", "jit")))
    assert not (tmp_path / "cache").exists()
