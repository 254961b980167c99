"""The public names, and that each can be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import assay
from assay import nn


def test_public_names() -> None:
    assert set(assay.__all__) == {
        "Model",
        "Options",
        "Package",
        "carry",
        "compare",
        "diff",
        "doctor",
        "history",
        "load",
        "prove",
        "train",
        "write",
    }
    with pytest.raises(AttributeError):
        _ = assay.nothing


@pytest.mark.parametrize("name", assay.__all__)
def test_each_public_name_is_there(name: str) -> None:
    """In a process of its own: `assay.write` must be the verb, whichever submodules were imported before."""
    code = f"import assay; assert callable(assay.{name}), assay.{name}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stages_can_be_called_and_imported_from() -> None:
    code = (
        "import assay, assay.write.weights, assay.prove.compare; from assay.write import write; "
        "m = assay.load('digits-cnn'); assert assay.write(m, 'jax').files == write(m, 'jax').files; assert callable(assay.prove)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_nn_is_documented() -> None:
    for name in nn.__all__:
        assert (getattr(nn, name).__doc__ or "").strip(), name
