"""The comparison in a terminal: one table, what it means, and what did not take part.

On a wide terminal everything stands in one table; on a narrow one speed and cost stand in two. Signs say what colours
say, for pipes and NO_COLOR, and where there is no Unicode they are ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from assay.show import words
from assay.show.facts import Comparison, Environment
from assay.show.sections import sections_of
from assay.show.table import (
    Cell,
    Column,
    Problem,
    Row,
    Table,
    cache_state,
    calibration_of,
    main_verdicts,
    notes_of,
    problems_of,
    reasons_of,
    summary_of_training,
    table_of,
)

BAR_WIDTH = 8
MAIN_DISTRIBUTIONS = ("torch", "tensorflow", "tensorflow-cpu", "keras", "jax")
STYLES = {"equal": "green", "different": "bold red", "not-run": "yellow"}


@dataclass(frozen=True)
class Signs:
    """The signs used, by what the terminal can show."""

    equal: str = "✓"
    different: str = "✗"
    not_run: str = "–"
    best: str = "●"
    tied: str = "≈"
    allowance: str = "†"
    bullet: str = "•"
    bar: str = "━"
    unicode: bool = True

    def of(self, status: str) -> str:
        return {"equal": self.equal, "different": self.different}.get(status, self.not_run)

    def plain(self, text: str) -> str:
        """Text with what this terminal cannot show replaced by something that reads the same."""
        if self.unicode:
            return text
        for sign, substitute in (
            ("µ", "u"),
            ("×", "x"),
            ("±", "+-"),
            ("–", "-"),
            ("…", "..."),
            ("≈", "~"),
            ("≤", "<="),
            ("−", "-"),
        ):
            text = text.replace(sign, substitute)
        return text.encode("ascii", "replace").decode()


ASCII = Signs("ok", "X", "-", "*", "~", "+", "-", "=", unicode=False)


def signs_for(console: Console) -> Signs:
    """Unicode signs when the console's encoding has them all."""
    try:
        "".join(value for value in vars(Signs()).values() if isinstance(value, str)).encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return Signs()


def render(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the comparison, fitted to the console's width."""
    console = console or Console()
    signs = signs_for(console)
    table = table_of(comparison)
    console.print(_heading(comparison, signs))
    for line in _environments(comparison, signs):
        console.print(line)
    for part in _tables(table, signs, console):
        console.print(part)
    for section in sections_of(comparison):
        console.print(Text(f"\n{signs.plain(section.title)}", style="bold"))
        for part in _tables(section.table, signs, console, proof=False):
            console.print(part)
        for note in section.notes:
            console.print(_item(signs.bullet, "", note, signs, style="dim"))
    for line in _beneath(comparison, table, signs):
        console.print(line)


# ---------------------------------------------------------------- heading


def _heading(comparison: Comparison, signs: Signs) -> RenderableType:
    workload, environment = comparison.workload, comparison.environment
    title = Text.assemble((_safe(workload.name, signs), "bold"), f"  {_safe(workload.title, signs)}")
    facts = [f"{workload.parameters:,} parameters"]
    facts += [workload.loss] if workload.loss else []
    facts += [workload.optimizer] if workload.optimizer else []
    about = Text(_safe(", ".join(facts), signs), style="dim")
    return Padding(
        Group(title, about, Text(_safe(machine(environment), signs), style="dim")), (1, 0, 0, 0), expand=False
    )


def machine(environment: Environment) -> str:
    """One line about what it ran on."""
    parts = [environment.device if environment.device != "cpu" else environment.cpu]
    parts.append(words.counted(environment.threads, "thread"))
    parts.append(environment.python)
    main = [name for name in environment.versions if name in MAIN_DISTRIBUTIONS] or list(environment.versions)
    parts += [f"{name} {environment.versions[name]}" for name in main]
    return ", ".join(parts)


def _environments(comparison: Comparison, signs: Signs) -> Iterable[RenderableType]:
    """What each named environment holds of the packages that matter."""
    for item in comparison.environments:
        named = [name for name in (*MAIN_DISTRIBUTIONS, "flax", "optax") if name in item.versions]
        held = ", ".join(f"{name} {item.versions[name]}" for name in named)
        yield Text(_safe(f"@{item.name}: {held or ', '.join(item.requirements)}", signs), style="dim")


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Layout:
    """How much is said about the timed columns; the main one is the first. `split`: costs get a table of their own."""

    spreads: Literal["all", "main", "none"]
    ratios: Literal["all", "main"]
    bar: bool
    split: bool


LAYOUTS = (  # the richest that fits is taken
    Layout("all", "all", bar=True, split=False),
    Layout("main", "all", bar=True, split=False),
    Layout("none", "all", bar=False, split=False),
    Layout("all", "all", bar=True, split=True),
    Layout("main", "all", bar=True, split=True),
    Layout("main", "all", bar=False, split=True),
    Layout("none", "all", bar=False, split=True),
    Layout("none", "main", bar=False, split=True),
)


def _tables(table: Table, signs: Signs, console: Console, *, proof: bool = True) -> list[RichTable]:
    unlimited = console.options.update(width=10_000)
    if not table.timed and len(table.columns) > 1:
        whole = _draw(table, table.columns, table.rows, signs, LAYOUTS[0], proof=proof)
        if console.measure(whole, options=unlimited).maximum > console.width:  # one half beneath the other
            half = (len(table.columns) + 1) // 2
            parts = (Table(table.columns[:half], table.rows), Table(table.columns[half:], table.rows))
            return [drawn for part in parts for drawn in _tables(part, signs, console, proof=proof)]
    for layout in LAYOUTS:
        drawn = _lay_out(table, signs, layout, proof=proof)
        if all(console.measure(part, options=unlimited).maximum <= console.width for part in drawn):
            break
    return drawn


def _lay_out(table: Table, signs: Signs, layout: Layout, *, proof: bool) -> list[RichTable]:
    if not layout.split or not table.timed:
        return [_draw(table, table.columns, table.rows, signs, layout, proof=proof)]
    costs = tuple(column for column in table.columns if not column.timed)
    parts = [_draw(table, table.timed, table.rows, signs, layout, proof=proof)]
    rows = tuple(row for row in table.rows if row.status == "equal")
    return [*parts, _draw(table, costs, rows, signs, layout, proof=False)] if costs and rows else parts


@dataclass(frozen=True)
class _Strip:
    """A drawn column; never narrower than what stands in it, so that no figure is cut."""

    heading: Text
    cells: list[Text]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        return max(line.cell_len for text in (self.heading, *self.cells) for line in text.split("\n"))


def _draw(
    table: Table,
    columns: tuple[Column, ...],
    rows: tuple[Row, ...],
    signs: Signs,
    layout: Layout,
    *,
    proof: bool = True,
) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="none")
    drawn.add_column(Text("contestant", style="bold"), overflow="fold")
    strips = [_proofs(rows, signs, layout)] if proof else []
    for column in columns:
        strips += _strips(column, [row.cells[column.key] for row in rows], table, signs, layout)
    for strip in strips:
        drawn.add_column(strip.heading, justify=strip.justify, no_wrap=True, min_width=strip.width)
    for i, row in enumerate(rows):
        name = Text(_safe(row.contestant, signs, 60), style="" if row.status == "equal" else "dim")
        drawn.add_row(name, *(strip.cells[i] for strip in strips))
    return drawn


def _proofs(rows: tuple[Row, ...], signs: Signs, layout: Layout) -> _Strip:
    cells = []
    for row in rows:
        said = row.proof.removeprefix("equal ") if layout.split else row.proof
        mark = signs.allowance if row.allowances else ""
        cells.append(Text(signs.plain(f"{signs.of(row.status)} {said}{mark}"), style=STYLES[row.status]))
    return _Strip(Text.assemble(("proof", "bold"), ("\nfloat64", "dim")), cells, "left")


def _strips(column: Column, cells: list[Cell], table: Table, signs: Signs, layout: Layout) -> list[_Strip]:
    """The figures of a column, and to their right what belongs to a timed one: spread, ratio, bar."""
    detail = signs.plain(column.detail.replace(", ", "\n") if layout.split else column.detail)
    strips = [
        _Strip(Text.assemble((column.heading, "bold"), "\n", (detail, "dim")), [_figure(cell, signs) for cell in cells])
    ]
    main = column is _main(table)
    above = "\n" * (1 + detail.count("\n"))
    if column.timed and (layout.spreads == "all" or (layout.spreads == "main" and main)):
        spreads = [Text(signs.plain(cell.spread), style="dim") for cell in cells]
        strips.append(_Strip(Text(signs.plain(f"{above}±"), style="dim"), spreads))
    if column.timed and (layout.ratios == "all" or main):
        strips.append(_Strip(Text(f"{above}ratio", style="dim"), [_ratio(cell, signs) for cell in cells]))
    if layout.bar and main:
        strips.append(_Strip(Text(f"{above}speed", style="dim"), [_bar(cell, signs) for cell in cells], "left"))
    return strips


def _main(table: Table) -> Column | None:
    """The column that says most: the first timed one."""
    return next(iter(table.timed), None)


def _figure(cell: Cell, signs: Signs) -> Text:
    if cell.value is None:
        return Text(signs.plain(cell.text), style="dim")
    mark = f"{signs.best} " if cell.best else ""
    return Text(f"{mark}{signs.plain(cell.text)}", style="bold green" if cell.best else "")


def _ratio(cell: Cell, signs: Signs) -> Text:
    if cell.ratio is None or cell.value is None:
        return Text("")
    text = f"{signs.tied if cell.tied else ''}{words.ratio(cell.ratio)}"
    return Text(signs.plain(text), style="bold green" if cell.best else "green" if cell.tied else "")


def _bar(cell: Cell, signs: Signs) -> Text:
    """Speed as a share of the fastest's: full for the fastest, half for one that takes twice as long."""
    if cell.value is None or cell.ratio is None or not cell.ratio > 0:
        return Text("")
    length = min(BAR_WIDTH, max(1, round(BAR_WIDTH / cell.ratio)))
    drawn = Text(signs.bar * length, style="green" if cell.best or cell.tied else "cyan")
    return drawn.append(" " * (BAR_WIDTH - length))


# ---------------------------------------------------------------- beneath the tables


def _beneath(comparison: Comparison, table: Table, signs: Signs) -> Iterable[RenderableType]:
    legend = _legend(table, signs)
    if legend:
        yield Text(legend, style="dim")
    for row in table.rows:
        for allowance in row.allowances:
            yield _item(signs.allowance, row.contestant, allowance, signs, style="dim")
    yield from _verdict(comparison, signs)
    training = summary_of_training(comparison)
    if training:
        yield Text(f"\n{signs.plain(training)}")
    problems = problems_of(comparison)
    if problems:
        yield Text("\nNot counted", style="bold")
        for problem in problems:
            yield _problem(problem, signs)
    yield Text(f"\n{signs.plain(trust(comparison))}", style="italic")
    for note in (*calibration_of(comparison), *notes_of(comparison)):
        yield _item(signs.bullet, "", note, signs, style="dim")


def _legend(table: Table, signs: Signs) -> str:
    cells = [cell for row in table.rows for cell in row.cells.values()]
    parts = [f"{signs.best} best of its column"] if any(cell.best for cell in cells) else []
    if any(cell.tied for cell in cells):
        parts.append(f"{signs.tied} not separated from the fastest")
    if any(cell.ratio is not None for cell in cells):
        parts.append("ratio: time over the fastest's")
    return signs.plain("; ".join(parts))


def trust(comparison: Comparison) -> str:
    """How far the figures can be trusted, in one line."""
    effort = comparison.effort
    text = f"Effort {effort.name}: {words.one_line(effort.label)}."
    limits = [task.smallest_difference for task in comparison.verdict.tasks if task.smallest_difference is not None]
    limits = limits or ([effort.smallest_difference] if effort.smallest_difference is not None else [])
    if limits:
        least, most = words.percent(min(limits)), words.percent(max(limits))
        text += f" Differences under {least if least == most else f'{least} to {most}'} cannot be told from chance."
    text += "".join(f" {words.sentence(ended)}" for ended in effort.ended)
    if comparison.elapsed_s is None:
        return text
    state = cache_state(comparison)
    return f"{text} Took {words.seconds(comparison.elapsed_s)}{f' with {state} compile caches' if state else ''}."


def _verdict(comparison: Comparison, signs: Signs) -> Iterable[RenderableType]:
    verdict = comparison.verdict
    if verdict.status == "withheld":
        yield Text(f"\nNo verdict: {_safe(verdict.reason or 'no reason given', signs)}", style="bold yellow")
        return
    tasks = main_verdicts(comparison)
    if tasks:
        yield Text("\nVerdict", style="bold")
    for task in tasks:
        yield _item(signs.bullet, "", words.sentence(task.statement), signs)
    if verdict.overall:
        yield Text.assemble(
            ("\nRecommendation  ", "bold"), (_safe(words.sentence(verdict.overall.statement), signs), "bold green")
        )
        for reason in reasons_of(verdict.overall):
            yield _item(signs.bullet, "", reason, signs)
    elif verdict.recommendations:
        yield Text("\nRecommendations", style="bold")
    for found in () if verdict.overall else verdict.recommendations:
        purpose = found.purpose[:1].upper() + found.purpose[1:]
        yield _item(signs.bullet, purpose, " ".join((words.sentence(found.statement), *reasons_of(found))), signs)


def _problem(problem: Problem, signs: Signs) -> RenderableType:
    details = f"; {problem.details}" if problem.details else ""
    return _item(signs.different, problem.subject, f"{problem.text}{details}", signs, mark_style="red")


def _item(mark: str, subject: str, text: str, signs: Signs, *, style: str = "", mark_style: str = "") -> RenderableType:
    """A marked line whose continuation lines are indented."""
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    said = Text(style=style)
    if subject:
        said.append(f"{_safe(subject, signs, 60)}: ", style="bold")
    said.append(_safe(text, signs, 600))
    grid.add_row(Text(mark, style=mark_style or style), said)
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _safe(text: str, signs: Signs, limit: int | None = None) -> str:
    return signs.plain(words.one_line(text, limit))
