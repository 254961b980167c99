"""The comparison as a compact HTML fragment for notebooks: no script, no style sheet, fit for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from assay.show import words
from assay.show.facts import Comparison
from assay.show.table import Cell, Column, Row, problems_of, table_of
from assay.show.terminal import Signs, trust

GREEN, RED, AMBER = "#1a8f5c", "#d0463b", "#a8740a"  # readable on white and on near-black
COLOURS = {"equal": GREEN, "different": RED, "not-run": AMBER}
CELL = "padding:3px 10px;text-align:{align};white-space:nowrap"


def fragment(comparison: Comparison) -> str:
    """A table with a row per contestant, the recommendation above it and what was not counted beneath."""
    table = table_of(comparison)
    head = "".join(_heading(column) for column in table.columns)
    body = "".join(_row(row, table.columns) for row in table.rows)
    left = CELL.format(align="left")
    return (
        '<div class="assay" style="font-size:0.95em">'
        f"<p><b>{_text(comparison.workload.name)}</b> · {_text(_advice(comparison))}</p>"
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f'<thead><tr><th scope="col" style="{left}">contestant</th>'
        f'<th scope="col" style="{left}">proof</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f"{''.join(_problems(comparison))}"
        f'<p style="opacity:0.75">{_text(trust(comparison))}</p></div>'
    )


def _advice(comparison: Comparison) -> str:
    verdict = comparison.verdict
    if verdict.status == "withheld":
        return f"no verdict: {verdict.reason or 'no reason given'}"
    if verdict.overall:
        return words.sentence(verdict.overall.statement)
    return comparison.interrupted or comparison.workload.title


def _heading(column: Column) -> str:
    style, meaning = CELL.format(align="right"), _text(column.meaning)
    detail = f'<br><span style="font-weight:normal;opacity:0.75">{_text(column.detail)}</span>'
    return f'<th scope="col" style="{style}" title="{meaning}">{_text(column.heading)}{detail}</th>'


def _row(row: Row, columns: Iterable[Column]) -> str:
    left = CELL.format(align="left")
    proof = f"{Signs().of(row.status)} {row.proof}{Signs().allowance if row.allowances else ''}"
    cells = "".join(_cell(row.cells[column.key]) for column in columns)
    return (
        f'<tr><th scope="row" style="{left};font-weight:600">{_text(row.contestant, 60)}</th>'
        f'<td style="{left};color:{COLOURS[row.status]}">{_text(proof)}</td>{cells}</tr>'
    )


def _cell(cell: Cell) -> str:
    style = CELL.format(align="right") + (f";color:{GREEN};font-weight:600" if cell.best else "")
    tied = Signs().tied if cell.tied else ""
    shown = cell.ratio is not None and cell.value is not None
    aside = f' <small style="opacity:0.75">{tied}{words.ratio(cell.ratio or 0)}</small>' if shown else ""
    return f'<td style="{style}">{_text(cell.text)}{aside}</td>'


def _problems(comparison: Comparison) -> Iterable[str]:
    for problem in problems_of(comparison):
        details = f"; {problem.details}" if problem.details else ""
        yield f'<div><b style="color:{RED}">{_text(problem.subject, 60)}</b> {_text(problem.text + details, 600)}</div>'


def _text(text: str, limit: int | None = None) -> str:
    return escape(words.one_line(text, limit))
