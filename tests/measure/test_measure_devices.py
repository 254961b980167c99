"""Which device is computed on: what is asked for, what there is, and what workers are told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from assay.errors import DataError, NotFoundError
from assay.measure import devices
from assay.measure.devices import Card

LISTING = "NVIDIA H100 80GB HBM3, 550.54.15, 81559\nTesla T4, 550.54.15, 15360\n"
BROKEN = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"


def test_what_the_driver_lists() -> None:
    first, second = devices.parse(LISTING)
    assert (first.name, first.driver, first.memory_bytes) == ("NVIDIA H100 80GB HBM3", "550.54.15", 81559 * 2**20)
    assert str(second) == "Tesla T4, 15 GiB, driver 550.54.15"
    assert devices.parse(BROKEN) == () and devices.parse("") == ()
    assert devices.parse("Orin, 540.4.0, [N/A]\n") == (Card("Orin", "540.4.0", None),)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that answers like nvidia-smi, first on the path."""
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\nprintf '{LISTING}'\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return command


def test_cards_that_are_there(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [card.name for card in devices.cards()] == ["NVIDIA H100 80GB HBM3", "Tesla T4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.cards() == ()


def test_a_driver_that_fails_is_no_device(driver: Path) -> None:
    driver.write_text(f"#!/bin/sh\necho '{BROKEN.strip()[:20]}'\nexit 9\n")
    assert devices.cards() == ()


def test_what_is_chosen() -> None:
    card = (Card("T4", "1", None),)
    assert devices.choose("cpu", card) == "cpu"
    assert devices.choose("auto", card) == devices.choose("cuda", card) == "cuda"
    assert devices.choose("auto", ()) == "cpu"
    with pytest.raises(DataError, match=r"there is no CUDA device here.*--device cpu"):
        devices.choose("cuda", ())
    with pytest.raises(NotFoundError, match="unknown device 'gpu'"):
        devices.choose("gpu", card)


def test_what_workers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same device for all: one that sees a card beside others that do not would be compared with them."""
    assert devices.variables("cpu") == {"ASSAY_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    told = devices.variables("cuda")
    assert told["CUDA_VISIBLE_DEVICES"] == "2" and told["ASSAY_DEVICE"] == "cuda"
    assert told["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and told["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
