"""What a comparison runs on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from assay import nn
from assay.bring import load
from assay.cli import main
from assay.errors import DataError
from assay.verbs.compare import Options, compare
from assay.verbs.subject import BATCHES, subject_of
from assay.workloads import WORKLOADS


def classifier() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))


def test_a_workload_has_its_own_data() -> None:
    subject = subject_of(WORKLOADS["digits-cnn"].model(), (), 0)
    assert subject.is_real
    assert (subject.batch_size, subject.sizes) == (64, (1, 64))
    with pytest.raises(DataError, match="does not fit"):
        subject_of(WORKLOADS["digits-cnn"].model(), (100_000,), 0)


def test_any_other_model_gets_random_numbers() -> None:
    model = load(nn.build(classifier(), [nn.Input("x", (3,))]), loss="cross-entropy")
    subject = subject_of(model, (5,), 0)
    data = subject.dataset.train
    assert not subject.is_real
    assert data.inputs[0].shape == (5 * BATCHES, 3)
    assert data.inputs[0].dtype == np.float32
    assert len(np.unique(data.inputs[0], axis=0)) == 5 * BATCHES
    assert set(data.targets) <= set(range(4))
    again = subject_of(model, (5,), 0).dataset.train
    np.testing.assert_array_equal(again.inputs[0], data.inputs[0])


def test_training_needs_a_loss() -> None:
    model = nn.build(classifier(), [nn.Input("x", (3,))])
    with pytest.raises(DataError, match="--loss"):
        compare(model, Options(frameworks=("pytorch",), task="train"))


def test_a_callable_is_compared_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "import torch\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU())\n"
    )
    arguments = [
        "compare",
        f"{tmp_path / 'mine.py'}:make",
        "--input",
        "4x3",
        "--loss",
        "mse",
        "--optimizer",
        "adam:lr=0.01",
    ]
    done = CliRunner().invoke(main, [*arguments, "--batch-size", "4", "-f", "pytorch", "-m", "default"])
    assert done.exit_code == 0, done.output
    assert "on random numbers" in done.output
    assert "mean-squared-error, Adam, learning rate 0.01" in " ".join(done.output.split())
