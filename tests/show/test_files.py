"""Files are written whole or not at all, and what cannot be written is said before the work starts."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.errors import DataError, NotFoundError, OutputError
from assay.show.facts import Comparison
from assay.show.files import check_writable, read_json, save_html, save_json

Sample = Callable[[str], Comparison]


def test_json_and_back(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "with space.json"
    save_json(sample("failures"), path)
    assert read_json(path) == sample("failures")
    assert os.listdir(tmp_path) == ["with space.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def test_an_older_file_is_replaced_and_keeps_its_mode(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text("old")
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    save_json(sample("one framework"), link)
    assert link.is_symlink()
    assert read_json(path) == sample("one framework")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_pages_are_utf8(sample: Sample, tmp_path: Path) -> None:
    save_html(sample("one framework"), tmp_path / "page.html")
    assert "✓" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_folder_a_missing_folder_and_a_forbidden_one(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first"):
        save_json(sample("one framework"), tmp_path / "nowhere" / "facts.json")
    with pytest.raises(OutputError, match="File name too long"):
        check_writable(tmp_path / ("x" * 5000))
    if os.geteuid() != 0:  # root may write everywhere
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="Permission denied"):
            check_writable(tmp_path / "facts.json")
        tmp_path.chmod(0o700)


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "facts.json")
    assert os.listdir(tmp_path) == []
    old = tmp_path / "old.json"
    old.write_text("old")
    check_writable(old)
    assert old.read_text() == "old"


def test_a_full_disk_leaves_the_older_file(sample: Sample, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    path = tmp_path / "facts.json"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*File too large"):
            save_json(sample("all"), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["facts.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_takes_nothing(sample: Sample) -> None:
    with pytest.raises(OutputError, match="No space left on device"):
        save_json(sample("all"), "/dev/full")


def test_a_device_that_takes_everything(sample: Sample) -> None:
    save_json(sample("all"), os.devnull)
    assert not Path(os.devnull).is_file()


def test_reading_what_is_not_there_or_not_ours(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        read_json(tmp_path / "facts.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is not text"):
        read_json(tmp_path / "binary")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(DataError):
        read_json(tmp_path / "other.json")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
