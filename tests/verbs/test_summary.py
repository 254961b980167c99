"""The summary of a model: rows, totals, folding, and the same on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import assay
from assay import nn
from assay.cli import main
from assay.errors import ModelError, NotFoundError
from assay.show.summary import lines_of


def test_rows_of_a_workload() -> None:
    model = assay.load("mnist-cnn")
    found = model.summary()
    rows = {row.path: row for row in found.rows}
    assert found.trained == sum(array.size for name, array in model.weights().items() if "running" not in name)
    assert found.fixed == sum(array.size for name, array in model.weights().items() if "running" in name)
    assert rows["blocks.2"].class_name == "DownBlock"
    assert rows["blocks.2"].outputs == (("batch", 64, 14, 14),)
    assert rows["stem"].multiply_accumulates == 28 * 28 * 32 * 9
    inside = [row for row in found.rows if row.path.startswith("blocks.2.")]
    assert rows["blocks.2"].trained == sum(row.trained for row in inside)
    assert rows["blocks.2"].multiply_accumulates == sum(row.multiply_accumulates or 0 for row in inside)
    assert found.multiply_accumulates == sum(row.multiply_accumulates or 0 for row in found.root.inside)


def test_open_sizes_are_chosen() -> None:
    model = assay.load("digits-cnn")
    one, eight = model.summary(), model.summary({"batch": 8})
    assert eight.multiply_accumulates == 8 * (one.multiply_accumulates or 0)
    with pytest.raises(NotFoundError, match="unknown open size 'bach': did you mean batch"):
        model.summary({"bach": 8})
    with pytest.raises(ModelError, match="batch = 0 is no size"):
        model.summary({"batch": 0})


class _Twice(nn.Module):
    """One layer called twice, beside twelve alike."""

    def __init__(self) -> None:
        self.shared = nn.Linear(4, 4)
        self.layers = nn.Sequential(*(nn.Linear(4, 4) for _ in range(45)))

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.shared(self.layers(self.shared(x)))


def test_repeated_instances_are_folded_and_calls_added_up() -> None:
    found = nn.build(_Twice(), [nn.Input("x", (4,))], name="twice").summary()
    shared = next(row for row in found.rows if row.path == "shared")
    assert (shared.calls, shared.trained, shared.multiply_accumulates) == (2, 20, 32)
    assert found.trained == 20 + 45 * 20
    names = [(line.name, line.count) for line in lines_of(found)]
    assert names == [("shared", 1), ("layers", 1), ("0 … 44", 45)]
    assert len(lines_of(found, folded=False)) == 47
    assert "Linear × 45" in str(found)
    assert "Linear × 45" not in found.table(folded=False)


def test_tied_weights_count_once(need: object) -> None:
    assert callable(need)
    need("torch")
    import torch

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(10, 4)
            self.output = torch.nn.Linear(4, 10, bias=False)
            self.output.weight = self.embedding.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.embedding(x))  # type: ignore[no-any-return]

    found = assay.load(Tied(), inputs="2x3:int64").summary()
    assert found.trained == 40
    assert {row.path: row.trained for row in found.rows[1:]} == {"embedding": 40, "output": 40}
    assert found.shared[0][1] == ("embedding", "output")
    assert "counted once in the total" in str(found)


def test_names_from_outside_are_harmless() -> None:
    found = assay.load("digits-cnn").summary()
    object.__setattr__(found, "name", "<script>")
    object.__setattr__(found.root.inside[0], "class_name", "<i>\x1b[31m")
    assert "<script>" not in found._repr_html_()
    assert "<i>" not in found._repr_html_()
    assert "\x1b" not in str(found)


def test_command_line(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    result = CliRunner().invoke(main, ["summary", "digits-cnn", "--size", "batch=2", "--json", str(file)])
    assert result.exit_code == 0
    assert "with batch = 2" in result.output
    written = json.loads(file.read_text())
    assert written["totals"]["trained"] == 151_306
    assert [row["path"] for row in written["modules"]][:2] == ["conv1", "conv2"]
    assert CliRunner().invoke(main, ["summary", "digits-cnn", "--size", "batch"]).exit_code == 2
    assert CliRunner().invoke(main, ["summary", "digits-cnn", "--json", "/no/such/folder/x"]).exit_code == 2
