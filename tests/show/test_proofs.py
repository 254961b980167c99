"""`assay prove`'s table and file, and the progress of a training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from rich.console import Console

from assay.show import facts, words
from assay.show.facts import Comparison
from assay.show.proofs import print_proofs, save_proofs
from assay.show.training import TrainingView

Sample = Callable[[str], Comparison]


def printed(proofs: tuple[facts.Proof, ...], encoding: str = "utf-8", width: int = 100) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    print_proofs(proofs, Console(file=stream, width=width))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_a_row_per_contestant_and_a_column_per_check(sample: Sample) -> None:
    found = sample("failures")
    text = printed(found.proofs)
    heading = text.splitlines()[0]
    assert heading.split() == ["contestant", "proof", "outputs", "loss", "gradients", "steps", "statistics"]
    assert all(proof.contestant in text for proof in found.proofs)
    assert "✓ equal" in text
    assert "✗ keras/torch:eager: gradients of conv1.weight deviate by 3e-02 (1e-10 allowed)" in text
    flat = " ".join(text.split())
    assert "first at model.py:20 (Conv of conv2 (Conv2d))" in flat
    assert "it gives 0.28125 at [0, 3] where 0.25 is right; in your code net.py:20: x = relu(self.conv2(x))" in flat
    assert "– pytorch:compile: no C++ compiler was found" in text
    assert "† keras/jax:jit: LayerNormalization computes in float32" in text


@pytest.mark.parametrize("width", [74, 80, 100])
def test_a_narrow_terminal_breaks_no_name(sample: Sample, width: int) -> None:
    checks = tuple(facts.Check(name, "equal", 1, "x", 1e-13, 1e-10) for name in words.CHECKS)
    names = ("keras/tensorflow:graph", "pytorch:eager")
    text = printed(tuple(facts.Proof(name, "equal", checks=checks) for name in names), width=width)
    lines = text.splitlines()
    assert len(lines) == 1 + len(names) and max(map(len, lines)) <= width
    assert all(line.split()[:2] == [name, "✓"] for line, name in zip(lines[1:], names, strict=True))


def test_ascii_and_hostile_names(sample: Sample) -> None:
    text = printed(sample("failures").proofs, "ascii")
    assert "ok equal" in text
    assert "X different" in text
    text = printed(sample("hostile").proofs)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text


def test_the_file_is_laid_out_as_in_a_comparison(sample: Sample, tmp_path: Path) -> None:
    found = sample("failures")
    save_proofs(found.proofs, tmp_path / "proofs.json")
    plain = json.loads((tmp_path / "proofs.json").read_text(encoding="utf-8"))
    assert plain["proofs"] == found.to_dict()["proofs"]
    schema = json.loads(files("assay.show").joinpath("schema/comparison.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator({"$ref": "#/$defs/Proof", "$defs": schema["$defs"]}).validate(plain["proofs"][0])


@pytest.mark.parametrize("terminal", [True, False])
def test_a_training_shows_its_progress(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.show.training._SECONDS_BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    with TrainingView("digits", Console(file=stream, width=100, force_terminal=terminal)) as view:
        view({"step": 1, "of": 10, "loss": 2.3, "seconds": 0.1})
        view({"step": 2, "of": 10, "loss": 2.1, "seconds": 0.2})
    assert "digits" in stream.getvalue()
    if not terminal:
        assert stream.getvalue().splitlines() == [
            "digits: step 1 of 10, loss 2.3000",
            "digits: step 2 of 10, loss 2.1000",
        ]
