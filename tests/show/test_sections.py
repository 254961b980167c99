"""Tables beside the main one: conditions, sweeps, latency, starts, costs, sizes, attribution."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from assay.show import facts, html, terminal
from assay.show.facts import Comparison
from assay.show.sections import Section, sections_of
from assay.show.table import main_verdicts, table_of

Sample = Callable[[str], Comparison]
FIRST, SECOND = "tensorflow:graph", "pytorch:eager"


def measured(name: str, task: str, batch: int, seconds: float, **changes: Any) -> facts.Measurement:
    found = facts.Measurement(name, task, batch, "ok")  # type: ignore[arg-type]
    return replace(found, median_s=seconds, samples_per_s=batch / seconds, samples_s=(seconds,), **changes)


def with_everything(found: Comparison) -> Comparison:
    """Two contestants, with every further fact there is."""
    sweep = [
        measured(name, task, batch, 0.001 * factor * batch, threads=threads, precision=precision)
        for threads, precision in ((2, "float32"), (1, "bfloat16"))
        for name, factor in ((FIRST, 1), (SECOND, 2))
        for task in ("train", "infer")
        for batch in (1, 8, 64)
    ]
    verdicts = tuple(
        facts.TaskVerdict(
            m.task,
            m.batch_size,
            (facts.Standing(FIRST, 0.001, 1.0, None, "fastest"),),
            FIRST,
            f"{m.precision} {m.task} {m.batch_size}: told",
            threads=m.threads,
            precision=m.precision,
        )
        for m in sweep
        if m.contestant == FIRST
    )
    percentiles = (facts.Percentile(50, 0.001, 0.0011), facts.Percentile(99, 0.004, 0.005))
    parts = (facts.Part("convolution", 0.002), facts.Part("dispatch and Python", 0.001))
    return replace(
        found,
        measurements=tuple(sweep),
        verdict=replace(found.verdict, tasks=verdicts),
        precisions=(
            facts.Precision(FIRST, "bfloat16", 1, "equal", "its own rewrite", 3e-3, 3e-2),
            facts.Precision(SECOND, "bfloat16", 1, "equal", "its own cast", 4e-3, 3e-2),
        ),
        latencies=(facts.Latency(FIRST, 1, 2, "float32", percentiles, (0.001,) * 400, 0.0),),
        starts=(
            facts.Start(FIRST, "infer", 1, "cold", 3.0, 0.1, 4.0, 4.1),
            facts.Start(FIRST, "infer", 1, "warm", 3.0, 0.1, 0.2, 0.3),
        ),
        costs=(facts.Costs(FIRST, "train", 64, 2, "float32", 2 * 10**8, 10**8, None, 0.05, "RAPL, 1 package"),),
        artefacts=(
            facts.Artefact(FIRST, "SavedModel", 12345, 10000),
            facts.Artefact(SECOND, None, None, 10000, "no such <thing>"),
        ),
        attributions=(
            facts.Attribution(FIRST, "train", 64, parts, (), 1.5, None, f"{FIRST}: the fastest"),
            facts.Attribution(SECOND, "train", 64, parts, (), 2.5, FIRST, f"{SECOND}: 1 ms slower"),
        ),
        environments=(facts.NamedEnvironment("0.9", ("jax==0.9.*",), {"jax": "0.9.2", "absl-py": "2"}),),
    )


@pytest.fixture
def everything(sample: Sample) -> Comparison:
    return with_everything(sample("all"))


def by_key(found: Comparison) -> dict[str, Section]:
    return {section.key: section for section in sections_of(found)}


def test_the_main_table_has_the_first_condition_and_the_main_sizes(everything: Comparison) -> None:
    table = table_of(everything)
    assert [column.key for column in table.timed] == ["train-64", "infer-1", "infer-64"]
    row = next(row for row in table.rows if row.contestant == SECOND)
    assert row.cells["train-64"].value == pytest.approx(0.128)
    assert [v.statement for v in main_verdicts(everything)] == [
        "float32 train 64: told",
        "float32 infer 1: told",
        "float32 infer 64: told",
    ]


def test_every_section_is_there(everything: Comparison) -> None:
    assert list(by_key(everything)) == [
        "sweep-train-2-float32",
        "sweep-train-1-bfloat16",
        "sweep-infer-2-float32",
        "sweep-infer-1-bfloat16",
        "condition-1-bfloat16",
        "latency-1-2-float32",
        "start-cold",
        "start-warm",
        "costs-2-float32",
        "sizes",
        "attribution-train-64",
    ]


def test_nothing_measured_is_no_section(sample: Sample) -> None:
    assert sections_of(sample("interrupted")) == ()
    assert sections_of(sample("all")) == ()


def test_verdicts_are_told_once(everything: Comparison) -> None:
    notes = [note for section in sections_of(everything) for note in section.notes if note.endswith(": told")]
    told = [verdict.statement for verdict in main_verdicts(everything)]
    assert sorted([*notes, *told]) == sorted(verdict.statement for verdict in everything.verdict.tasks)


def test_sweeps_show_examples_a_second(everything: Comparison) -> None:
    section = by_key(everything)["sweep-train-2-float32"]
    cells = {row.contestant: row.cells for row in section.table.rows}
    assert cells[FIRST]["batch-8"].text == "1,000" and cells[SECOND]["batch-8"].text == "500"
    assert cells[FIRST]["batch-8"].best and not cells[SECOND]["batch-8"].best


def test_a_precision_says_how_and_how_far(everything: Comparison) -> None:
    section = by_key(everything)["condition-1-bfloat16"]
    assert section.title == "1 thread, bfloat16"
    assert {row.contestant: row.cells["distance"].text for row in section.table.rows} == {
        FIRST: "3e-03",
        SECOND: "4e-03",
    }
    assert f"{FIRST}: its own rewrite" in section.notes


def test_no_figure_of_a_contestant_that_is_not_equal(everything: Comparison) -> None:
    different = facts.Proof(FIRST, "different", facts.Worst("loss", "loss", 0.1))
    found = replace(everything, proofs=tuple(different if p.contestant == FIRST else p for p in everything.proofs))
    for section in sections_of(found):
        assert FIRST not in [row.contestant for row in section.table.rows], section.key
    assert "start-cold" not in by_key(found)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_terminal_has_every_section(everything: Comparison, width: int) -> None:
    out = io.StringIO()
    terminal.render(everything, Console(file=out, width=width))
    text = out.getvalue()
    for section in sections_of(everything):
        assert section.title.split(",")[0] in text
    assert "@0.9: jax 0.9.2" in text and "≤1.10" in text
    assert max(map(len, text.splitlines())) <= width
    assert "tensorflow:g\nraph" not in text and text.count("tensorflow:graph") >= len(
        sections_of(everything)
    )  # not cut


def test_a_plain_terminal_needs_no_unicode(everything: Comparison) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal.render(everything, Console(file=out, width=120))


def test_the_page_has_every_section(everything: Comparison) -> None:
    page = html.render(everything)
    for section in sections_of(everything):
        assert f'id="{section.key}"' in page
    assert "no such &lt;thing&gt;" in page and "no such <thing>" not in page.partition('id="facts"')[0]
    assert "Environment @0.9" in page


def test_json_keeps_everything(everything: Comparison) -> None:
    assert Comparison.from_json(everything.to_json()) == everything
    plain = json.loads(everything.to_json())
    for name in ("precisions", "latencies", "starts", "costs", "artefacts", "environments", "attributions"):
        assert plain[name]
        del plain[name]  # a file from before
    assert Comparison.from_dict(plain).latencies == ()
