"""What is different between two runs: the facts, and how a terminal and a notebook show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.show import words
from assay.show.codec import encode
from assay.show.runs import local
from assay.show.terminal import Signs, signs_for

FORMAT = 1  # of the JSON

Outcome = Literal["faster", "slower", "equivalent", "not-resolved"]
STYLES = {"faster": "green", "slower": "red", "equivalent": "cyan", "not-resolved": "dim"}


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    run: str
    date: str  # ISO 8601
    assay: str
    command: str
    processes: int  # of each contestant
    interrupted: str | None  # what cut it short


@dataclass(frozen=True)
class Other:
    """Something that is not the same in both runs, beside their times."""

    what: str  # "torch", "cpu", "OMP_NUM_THREADS"
    kind: Literal["version", "machine", "flag", "code"]
    a: str | None  # None: not there
    b: str | None


@dataclass(frozen=True)
class Change:
    """One contestant at one task in both runs. `ratio` is b's time over a's; nothing is paired."""

    contestant: str
    task: str
    batch_size: int
    condition: str  # "2 threads, bfloat16"; empty for runs with one condition
    a_s: float  # median of the processes' medians, seconds per call
    b_s: float
    ratio: float
    interval: tuple[float, float] | None  # None with one process on either side
    outcome: Outcome  # what b is to a
    p_value: float | None  # adjusted for the number of changes looked at
    processes: tuple[int, int]
    reason: str | None = None  # what a reader has to know of this one


@dataclass(frozen=True)
class Unmatched:
    """A contestant's task that is in one run only, or that cannot be compared."""

    contestant: str
    task: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """Two runs of one protocol held against each other. Ratios are b's times over a's."""

    assay: str
    format: int
    model: str
    effort: str
    a: Side
    b: Side
    changes: tuple[Change, ...]
    unmatched: tuple[Unmatched, ...]
    others: tuple[Other, ...]  # what else is not the same
    common: float | None  # geometric mean of all ratios: what moved everybody
    notes: tuple[str, ...]

    def to_json(self, indent: int | None = 1) -> str:
        """All of it; numbers that are not finite are strings."""
        plain: dict[str, Any] = encode(self)
        return json.dumps(plain, indent=indent, allow_nan=False)

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left;padding:3px 10px">{name}</th>' for name in COLUMNS)
        rows = (
            "".join(f'<td style="padding:3px 10px">{escape(cell)}</td>' for cell in _cells(change))
            for change in self.changes
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        said = "".join(f"<li>{escape(line)}</li>" for line in [*_others(self), *_unmatched(self), *self.notes])
        return (
            f"<p><b>{escape(self.model)}</b>: {escape(_side(self.a))} → {escape(_side(self.b))}</p>"
            f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
            f"<ul>{said}</ul>"
        )


COLUMNS = ("contestant", "task", "A", "B", "B/A", "95 %", "B is")


def print_difference(found: Difference, console: Console | None = None) -> None:
    """A row for each contestant and task, and beneath what else is not the same."""
    console = console or Console()
    signs = signs_for(console)
    console.print(Text(signs.plain(f"{words.one_line(found.model)}, effort {found.effort}"), style="bold"))
    for name, side in (("A", found.a), ("B", found.b)):
        console.print(Text(signs.plain(f"  {name}  {_side(side)}")), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("contestant", "task", "B is") else "right", overflow="fold")
    for change in found.changes:
        cells = [Text(signs.plain(cell)) for cell in _cells(change)]
        cells[-1].stylize(STYLES[change.outcome])
        table.add_row(*cells)
    console.print(table)
    for heading, lines in (
        ("Not the same", _others(found)),
        ("Not compared", _unmatched(found)),
        ("To be known", iter(found.notes)),
    ):
        _print_list(console, signs, heading, lines)


def _print_list(console: Console, signs: Signs, heading: str, lines: Iterable[str]) -> None:
    said = list(lines)
    if said:
        console.print(Text(heading, style="bold"))
    for line in said:
        console.print(Text(signs.plain(f"  {signs.bullet} {words.one_line(line)}")))


def _side(side: Side) -> str:
    cut = f", cut short ({side.interrupted})" if side.interrupted else ""
    return f"{side.run}  {local(side.date)}  {words.counted(side.processes, 'process', 'processes')} each{cut}"


def _cells(change: Change) -> list[str]:
    task = f"{change.task} {change.batch_size:,}"
    low, high = change.interval or (None, None)
    return [
        words.one_line(change.contestant, 60),
        f"{task}, {change.condition}" if change.condition else task,
        words.seconds(change.a_s),
        words.seconds(change.b_s),
        words.ratio(change.ratio),
        f"{low:.3f}–{high:.3f}" if low is not None and high is not None else words.NOTHING,
        change.outcome.replace("-", " "),
    ]


def _others(found: Difference) -> Iterator[str]:
    for other in found.others:
        a, b = (value if value is not None else "not there" for value in (other.a, other.b))
        yield f"{other.what}: {words.one_line(a, 100)} in A, {words.one_line(b, 100)} in B"


def _unmatched(found: Difference) -> Iterator[str]:
    for item in found.unmatched:
        yield f"{item.contestant}{f', {item.task}' if item.task else ''}: {item.reason}"
    for change in found.changes:
        if change.reason:
            yield f"{change.contestant}, {words.task_name(change.task, change.batch_size)}: {change.reason}"
