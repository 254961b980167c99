"""The one table that every rendering draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.show import facts
from assay.show.facts import Comparison
from assay.show.table import calibration_of, problems_of, summary_of_training, table_of

Sample = Callable[[str], Comparison]


def test_rows_are_ordered_fastest_first_and_without_figures_last(sample: Sample) -> None:
    table = table_of(sample("failures"))
    times = [row.cells["train-64"].value for row in table.rows]
    measured = [time for time in times if time is not None]
    assert times[: len(measured)] == sorted(measured)
    assert [row.contestant for row in table.rows[-2:]] == ["keras/torch:eager", "pytorch:compile"]
    assert [row.proof for row in table.rows[-2:]] == ["different", "not run"]


def test_columns_come_from_what_was_measured(sample: Sample) -> None:
    columns = [column.key for column in table_of(sample("all")).columns]
    assert columns == ["train-64", "infer-1", "infer-64", "cold", "memory", "lines"]
    assert table_of(sample("interrupted")).columns == ()


def test_no_figure_of_a_contestant_that_is_not_proven_equal(sample: Sample) -> None:
    found = sample("all")
    different = facts.Proof("pytorch:eager", "different", facts.Worst("loss", "loss", 0.1))
    found = replace(found, proofs=tuple(different if p.contestant == "pytorch:eager" else p for p in found.proofs))
    table = table_of(found)
    row = next(row for row in table.rows if row.contestant == "pytorch:eager")
    assert {cell.value for cell in row.cells.values()} == {None}
    assert {cell.text for cell in row.cells.values()} == {"–"}
    assert next(row for row in table.rows if row.cells["infer-64"].ratio == 1).contestant != "pytorch:eager"


def test_the_best_and_the_tied_follow_the_verdict(sample: Sample) -> None:
    table = table_of(sample("all"))
    cells = {row.contestant: row.cells for row in table.rows}
    assert cells["tensorflow:graph"]["train-64"].best
    assert cells["pytorch:eager"]["train-64"].tied
    assert not cells["pytorch:eager"]["train-64"].best
    assert cells["tensorflow:graph"]["train-64"].ratio == 1
    assert [name for name in cells if cells[name]["memory"].best] == ["pytorch:eager"]
    assert cells["pytorch:eager"]["cold"].note == "import 1.10 s, build 20.0 ms, first step 50.0 ms, cold compile cache"


def test_without_a_verdict_the_ratios_are_those_of_the_medians(sample: Sample) -> None:
    found = replace(sample("all"), verdict=facts.Verdict("withheld", "the statistics failed"))
    cells = [row.cells["train-64"] for row in table_of(found).rows]
    assert cells[0].best
    assert cells[1].value is not None
    assert cells[0].value is not None
    assert cells[1].ratio == pytest.approx(cells[1].value / cells[0].value)


def test_where_all_are_the_same_none_stands_out(sample: Sample) -> None:
    assert not any(row.cells["lines"].best for row in table_of(sample("all")).rows)
    assert table_of(sample("one framework")).rows[0].cells["lines"].best


def test_problems_say_once_what_happened_and_what_to_do(sample: Sample) -> None:
    problems = {problem.subject: f"{problem.text}; {problem.details}" for problem in problems_of(sample("failures"))}
    assert problems.keys() == {"mindspore", "pytorch:compile", "tensorflow:xla", "keras/torch:eager"}
    assert "pip install 'assay[mindspore]'" in problems["mindspore"]
    assert "install g++" in problems["pytorch:compile"]
    assert "inference, batch 1; inference, batch 64" in problems["tensorflow:xla"]
    assert "killed by signal 9" in problems["tensorflow:xla"]
    assert "gradients of conv1.weight deviate by 3e-02 (1e-10 allowed)" in problems["keras/torch:eager"]
    assert "model.py:20 (Conv of conv2 (Conv2d))" in problems["keras/torch:eager"]


def test_an_interrupt_is_one_problem_not_one_per_contestant(sample: Sample) -> None:
    assert [problem.text for problem in problems_of(sample("interrupted"))] == ["stopped by Ctrl-C after 4.1 s"]


def test_a_contestant_nobody_reported_on_is_not_forgotten(sample: Sample) -> None:
    found = replace(sample("one framework"), contestants=("jax:jit", "jax:eager"))
    assert [row.contestant for row in table_of(found).rows] == ["jax:jit", "jax:eager"]
    assert [problem.subject for problem in problems_of(found)] == ["jax:eager"]


def test_a_value_that_is_not_finite_is_said(sample: Sample) -> None:
    (problem,) = [p for p in problems_of(sample("hostile")) if p.text.startswith("different")]
    assert "are not finite" in problem.text


def test_a_curve_that_leaves_the_others_is_told(sample: Sample) -> None:
    found = sample("all")
    assert found.training is not None
    curves = (replace(found.training.curves[0], status="different", reason="3 times the distance allowed"),)
    found = replace(found, training=replace(found.training, curves=curves + found.training.curves[1:]))
    assert any("3 times the distance allowed" in problem.text for problem in problems_of(found))
    assert "11 of 12 contestants coincide" in summary_of_training(found)


def test_summary_of_training(sample: Sample) -> None:
    assert summary_of_training(sample("all")).startswith("The loss curves of all 12 contestants coincide over 50 steps")
    assert summary_of_training(sample("one framework")).startswith("The loss curve coincides with the float64 curve")
    assert summary_of_training(sample("interrupted")) == ""


def test_cold_and_warm_starts_of_the_same_contestants_have_a_column_each(sample: Sample) -> None:
    found = sample("all")
    cold = tuple(replace(start, compile_cache="cold", import_s=9.0) for start in found.cold_starts[:2])
    warm = tuple(replace(start, compile_cache="warm", processes=5) for start in found.cold_starts[:2])
    never = tuple(replace(start, compile_cache="none") for start in found.cold_starts[2:3])
    table = table_of(replace(found, cold_starts=(*cold, *warm, *never)))
    headings = {column.key: (column.heading, column.detail) for column in table.columns}
    assert headings["cold"] == ("cold start", "cold cache, s") and headings["warm"] == ("cold start", "warm cache, s")
    rows = {row.contestant: row for row in table.rows}
    both = rows[cold[0].contestant].cells
    assert both["cold"].value is not None and both["warm"].value is not None
    assert both["cold"].value > both["warm"].value
    alike = rows[never[0].contestant].cells  # keeps nothing, so it always starts so
    assert alike["cold"].value == alike["warm"].value


def test_what_the_twin_showed_is_told_where_it_had_a_process_of_its_own(sample: Sample) -> None:
    found = sample("all")
    twin = facts.Twin("jax:jit", 1.013, (0.99, 1.037), 6, False)
    told = replace(twin, ratio=1.05, interval=(1.01, 1.09), different=True)
    tasks = (replace(found.verdict.tasks[0], twin=twin), replace(found.verdict.tasks[1], twin=told))
    shown = replace(found, verdict=replace(found.verdict, tasks=tasks))
    assert calibration_of(shown) == ()
    first, second = calibration_of(replace(shown, effort=replace(found.effort, own_twin=True)))
    assert "jax:jit over itself 1.013 (0.990 to 1.037, 6 processes): no difference, as it should be." in first
    assert "called different, though it is the same code" in second
