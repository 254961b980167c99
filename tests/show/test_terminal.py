"""The terminal: every width, with and without colour and Unicode, and nothing that steers it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
from rich.cells import cell_len
from rich.console import Console

from assay.show import facts, show
from assay.show.facts import Comparison
from assay.show.terminal import render

Sample = Callable[[str], Comparison]


def printed(comparison: Comparison, width: int, *, colour: bool = False, encoding: str = "utf-8") -> str:
    """What `render` writes to a terminal (with colour) or into a pipe (without)."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    system: Literal["truecolor"] | None = "truecolor" if colour else None
    console = Console(file=stream, width=width, force_terminal=colour, color_system=system, legacy_windows=False)
    render(comparison, console)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 150, 200])
def test_lines_fit_and_no_figure_is_cut(any_comparison: Comparison, width: int) -> None:
    text = printed(any_comparison, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for name in any_comparison.contestants:
        if name.isascii() and width >= 80:
            assert name in text
    for m in any_comparison.measurements:
        if m.task == "train" and m.median_s is not None:
            assert re.search(rf"\b{m.median_s * 1e3:.3g}\b", text), "the training step is shown at every width"


def test_without_a_terminal_there_are_no_colour_codes(any_comparison: Comparison) -> None:
    assert "\x1b" not in printed(any_comparison, 120)


def test_colours_mark_the_best(sample: Sample) -> None:
    text = printed(sample("all"), 150, colour=True)
    assert re.search(r"\x1b\[1;32m *● 6\.68", text)
    assert re.search(r"\x1b\[32m✓ equal 3e-13", text)


def test_everything_at_a_glance(sample: Sample) -> None:
    text = printed(sample("failures"), 170)
    row = next(line for line in text.splitlines() if line.startswith(" tensorflow:graph"))
    for figure in ("✓ equal 3e-13", "● 6.68", "±1%", "1.00×", "━━━━━━━━", "311", "12.9×", "1.89", "4.15", "212", "29"):
        assert figure in row
    assert "batch 64, ms" in text
    assert "batch 1, µs" in text
    assert "✗ different" in text
    assert "– not run" in text
    assert "Recommendation  Take tensorflow:graph." in text
    assert "Effort quick: indicative, one process per contestant." in text
    assert "≈1.05×" in text
    assert "≈ not separated from the fastest" in text
    assert "† keras/jax:jit: LayerNormalization computes in float32" in text


def test_failures_are_one_clear_line_each(sample: Sample) -> None:
    lines = printed(sample("failures"), 800).splitlines()
    told = lines[lines.index("Not counted") + 1 :]
    told = told[: told.index("")]
    assert len(told) == 4
    assert any("pytorch:compile: not proven: no C++ compiler was found" in line for line in told)
    assert any("tensorflow:xla: not measured" in line and "signal 9" in line for line in told)
    assert any("pip install 'assay[mindspore]'" in line for line in told)
    assert any("keras/torch:eager: different: gradients of conv1.weight" in line for line in told)


def test_a_traceback_in_a_reason_stays_one_line(sample: Sample) -> None:
    reason = "Traceback (most recent call last):\n  File 'x'\nRuntimeError: boom"
    found = sample("one framework")
    found = replace(found, proofs=(facts.Proof("jax:jit", "not-run", reason=reason),))
    lines = [line for line in printed(found, 200).splitlines() if "boom" in line]
    assert len(lines) == 1
    assert "Traceback (most recent call last): File 'x' RuntimeError: boom" in lines[0]


def test_ascii_terminals(any_comparison: Comparison) -> None:
    text = printed(any_comparison, 100, encoding="ascii")
    assert "digits-cnn" in text or "onerror" in text
    if any(proof.status == "equal" for proof in any_comparison.proofs):
        assert "ok " in text
        assert "* " in text


def test_hostile_names_do_not_steer_the_terminal(sample: Sample) -> None:
    text = printed(sample("hostile"), 120, colour=True)
    assert "\x1b[31m\u202e" not in text
    assert "\u202e" not in text
    assert "[bold]" in text, "markup in a name is shown, not obeyed"
    assert set(re.findall(r"\x1b(.)", text)) == {"["}, "only rich's own style codes"


def test_a_withheld_verdict_is_said(sample: Sample) -> None:
    found = replace(sample("all"), verdict=facts.Verdict("withheld", "too few rounds"))
    text = printed(found, 120)
    assert "No verdict: too few rounds" in text
    assert "Recommendation" not in text


def test_recommendations_by_purpose_stand_in_for_an_overall_one(sample: Sample) -> None:
    found = sample("all")
    found = replace(found, verdict=replace(found.verdict, recommendations=found.verdict.by_purpose))
    assert "Inference latency: Inference (batch 1): jax:jit is fastest with 0.024 ms." in printed(found, 120)


def test_inference_only(sample: Sample) -> None:
    found = sample("all")
    measurements = tuple(m for m in found.measurements if m.task == "infer")
    verdict = replace(found.verdict, tasks=tuple(task for task in found.verdict.tasks if task.task == "infer"))
    starts = tuple(replace(start, first_step_s=None) for start in found.cold_starts)
    found = replace(found, measurements=measurements, verdict=verdict, cold_starts=starts, training=None)
    text = printed(found, 150)
    assert "train step" not in text
    assert next(line for line in text.splitlines() if line.startswith(" jax:jit"))
    assert text.index(" jax:jit ") < text.index(" pytorch:eager ")


def test_the_verb_prints_and_writes(sample: Sample, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    found = sample("one framework")
    show(found, json=tmp_path / "facts.json", html=tmp_path / "page.html")
    assert "jax:jit" in capsys.readouterr().out
    assert Comparison.from_json((tmp_path / "facts.json").read_text()) == found
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
