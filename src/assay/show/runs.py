"""A list of runs that are kept, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.show import words
from assay.show.terminal import Signs, signs_for

STYLES = {"finished": "green", "running": "cyan", "interrupted": "yellow", "killed": "yellow"}
COLUMNS = ("run", "started", "model", "effort", "entries", "status", "took", "take")
_WIDE_ONLY = ("entries", "took")
_WIDE = 110


@dataclass(frozen=True)
class RunSummary:
    """A run in a list. Times are in seconds; `started` is ISO 8601 in UTC."""

    id: str
    started: str
    status: str  # finished, interrupted, killed or running
    assay: str
    model: str
    reference: str | None  # what the user called the model
    command: str
    effort: str
    seconds: float | None
    recommended: str | None  # the contestant to take, where that is settled
    contestants: tuple[str, ...]
    unequal: tuple[str, ...]  # contestants whose proof did not come out equal
    resumable: bool = False  # its folder is there: it can go on


def print_runs(runs: Sequence[RunSummary], console: Console | None = None, where: str = "") -> None:
    """A row for each run, the newest first, and what can be done with them."""
    console = console or Console()
    signs = signs_for(console)
    if not runs:
        console.print(Text(signs.plain(f"no runs{f' in {where}' if where else ''}")), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    wide = console.width >= _WIDE
    shown = [place for place, name in enumerate(COLUMNS) if wide or name not in _WIDE_ONLY]
    for place in shown:
        name = COLUMNS[place]
        folds = name in ("model", "take")
        table.add_column(name, justify="right" if name in _WIDE_ONLY else "left", no_wrap=not folds, overflow="fold")
    for run in runs:
        cells = [Text(signs.plain(cell)) for cell in _cells(run, signs)]
        cells[COLUMNS.index("status")].stylize(STYLES.get(run.status, ""))
        table.add_row(*(cells[place] for place in shown))
    console.print(table)
    if any(run.resumable for run in runs):
        said = f"{signs.allowance} was cut short: assay compare --resume RUN goes on with it"
        console.print(Text(signs.plain(said), style="dim"))


def _cells(run: RunSummary, signs: Signs) -> list[str]:
    count = f"{len(run.contestants)}" + (f" ({len(run.unequal)} unproven)" if run.unequal else "")
    return [
        run.id,
        local(run.started),
        words.one_line(run.model, 40),
        run.effort or words.NOTHING,
        count,
        run.status + (signs.allowance if run.resumable else ""),
        f"{run.seconds:.0f} s" if run.seconds is not None else words.NOTHING,
        words.one_line(run.recommended, 40) if run.recommended else words.NOTHING,
    ]


def local(started: str) -> str:
    """A moment in UTC as the clock on the wall shows it here."""
    try:
        return f"{datetime.fromisoformat(started).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return words.one_line(started)


def fragment(runs: Iterable[RunSummary]) -> str:
    """The list for a notebook."""
    head = "".join(f'<th style="text-align:left;padding:3px 10px">{name}</th>' for name in COLUMNS)
    body = "".join(
        "<tr>" + "".join(f'<td style="padding:3px 10px">{escape(cell)}</td>' for cell in _cells(run, Signs())) + "</tr>"
        for run in runs
    )
    return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
