"""Arrays go to files one at a time; a file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.measure import arrays
from assay.measure.arrays import Shelf, array_file, remove_unfinished


def test_an_array_file_reads_as_numpy_writes_it(tmp_path: Path) -> None:
    given = {
        "a/b": np.arange(6.0).reshape(2, 3).T,
        "number": np.asarray(2.5),
        "none": np.zeros((0, 3)),
        "i": np.arange(3),
    }
    with array_file(tmp_path / "new" / "arrays.npz") as file:
        file.update(given.items())
        assert not (tmp_path / "new" / "arrays.npz").exists()
    with np.load(tmp_path / "new" / "arrays.npz", allow_pickle=False) as found:
        assert set(found.files) == set(given)
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_a_file_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with pytest.raises(KeyError), array_file(path) as file:
        file.add("a", np.zeros(3))
        raise KeyError("midway")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_leave_is_removed(tmp_path: Path) -> None:
    for name in (".one[1].npz.123", "one[1].npz", ".other.npz.123"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path / "one[1].npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.npz.123", "one[1].npz"]


@pytest.mark.parametrize("limit", [0, 100, 1 << 20])
def test_a_shelf_gives_back_what_was_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(arrays, "_IN_MEMORY", limit)
    generator = np.random.default_rng(0)
    given = {"a": generator.random((3, 5)).T, "b": np.asarray(7), "c": np.zeros((0, 2)), "d": generator.random(40)}
    shelf = Shelf(tmp_path)
    shelf.update(given)
    shelf["a"] = given["a"] + 1
    first, second = shelf["a"], shelf["a"]
    first += 1  # what was read belongs to the reader
    np.testing.assert_array_equal(second, given["a"] + 1)
    for name in ("b", "c", "d"):
        np.testing.assert_array_equal(shelf[name], given[name])
        assert shelf[name].dtype == given[name].dtype and shelf[name].shape == given[name].shape
    assert list(shelf) == list(given) and "a" in shelf and "e" not in shelf
    assert list(tmp_path.iterdir()) == []  # the file has no name
    with pytest.raises(ValueError, match="another shape"):
        shelf["a"] = np.zeros(2)
    shelf.close()
