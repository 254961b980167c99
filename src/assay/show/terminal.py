"""The comparison in a terminal: one table, what it means, and what did not take part.

On a wide terminal everything stands in one table; on a narrow one speed and cost stand in two. Without colour (a pipe, NO_COLOR)
the fastest are marked with a sign, and without Unicode the signs are ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from assay.show import words
from assay.show.facts import Comparison, Environment
from assay.show.table import Cell, Column, Problem, Row, Table, problems_of, summary_of_training, table_of

BAR_WIDTH = 8
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
        for sign, substitute in (("µ", "u"), ("×", "x"), ("±", "+-"), ("–", "-"), ("…", "..."), ("≈", "~"), ("−", "-")):
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
    wide = _one_table(table, signs)
    if console.measure(wide).minimum <= console.width:
        console.print(wide)
    else:
        for part in _two_tables(table, signs, console):
            console.print(part)
    for part in _beneath(comparison, table, signs):
        console.print(part)


# ---------------------------------------------------------------- heading


def _heading(comparison: Comparison, signs: Signs) -> RenderableType:
    workload, environment = comparison.workload, comparison.environment
    title = Text.assemble((_safe(workload.name, signs), "bold"), f"  {_safe(workload.title, signs)}")
    facts = [f"{workload.parameters:,} parameters"]
    facts += [workload.loss] if workload.loss else []
    facts += [workload.optimizer] if workload.optimizer else []
    about = Text(_safe(", ".join(facts), signs), style="dim")
    return Padding(Group(title, about, Text(_safe(machine(environment), signs), style="dim")), (1, 0, 0, 0))


def machine(environment: Environment) -> str:
    """One line about what it ran on."""
    parts = [environment.device if environment.device != "cpu" else environment.cpu]
    parts.append(words.counted(environment.threads, "thread"))
    parts.append(f"Python {environment.python}")
    parts += [f"{name} {version}" for name, version in environment.versions.items()]
    return ", ".join(parts)


# ---------------------------------------------------------------- tables


def _one_table(table: Table, signs: Signs) -> RichTable:
    drawn = _new_table()
    _contestant_columns(drawn)
    for column in table.columns:
        _add_column(drawn, column, signs, spread=True, bar=column is _main(table))
    for row in table.rows:
        drawn.add_row(*_first_cells(row, signs), *_cells(row, table.columns, table, signs, spread=True, bar=True))
    return drawn


def _two_tables(table: Table, signs: Signs, console: Console) -> Iterable[RichTable]:
    costs = tuple(column for column in table.columns if not column.timed)
    for columns in (table.timed, costs):
        if not columns:
            continue
        roomy = _part(table, columns, signs, spread=True)
        fits = console.measure(roomy).minimum <= console.width
        yield roomy if fits else _part(table, columns, signs, spread=False)


def _part(table: Table, columns: tuple[Column, ...], signs: Signs, *, spread: bool) -> RichTable:
    drawn = _new_table()
    _contestant_columns(drawn, proof=columns == table.timed)
    for column in columns:
        _add_column(drawn, column, signs, spread=spread and column is _main(table), bar=False)
    for row in table.rows:
        if not columns[0].timed and row.status != "equal":
            continue
        first = _first_cells(row, signs)[: 2 if columns[0].timed else 1]
        drawn.add_row(*first, *_cells(row, columns, table, signs, spread=spread, bar=False))
    return drawn


def _new_table() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="none", show_edge=True)


def _contestant_columns(drawn: RichTable, *, proof: bool = True) -> None:
    drawn.add_column(Text("contestant", style="bold"), no_wrap=True)
    if proof:
        drawn.add_column(Text.assemble(("proof", "bold"), ("\nfloat64", "dim")), no_wrap=True)


def _add_column(drawn: RichTable, column: Column, signs: Signs, *, spread: bool, bar: bool) -> None:
    heading = Text.assemble((column.heading, "bold"), "\n", (signs.plain(column.detail), "dim"))
    drawn.add_column(heading, justify="right", no_wrap=True)
    if not column.timed:
        return
    if spread:
        drawn.add_column("", justify="right", no_wrap=True)
    drawn.add_column(Text.assemble("", ("\nratio", "dim")), justify="right", no_wrap=True)
    if bar:
        drawn.add_column(Text("\nspeed", style="dim"), no_wrap=True, width=BAR_WIDTH)


def _main(table: Table) -> Column | None:
    """The column that gets the bars and, on narrow terminals, the interval: the first timed one."""
    return next(iter(table.timed), None)


def _first_cells(row: Row, signs: Signs) -> list[Text]:
    style = "" if row.status == "equal" else "dim"
    proof = f"{signs.of(row.status)} {row.proof}{signs.allowance if row.allowances else ''}"
    return [Text(_safe(row.contestant, signs, 40), style=style), Text(signs.plain(proof), style=STYLES[row.status])]


def _cells(
    row: Row, columns: tuple[Column, ...], table: Table, signs: Signs, *, spread: bool, bar: bool
) -> Iterable[Text]:
    for column in columns:
        cell = row.cells[column.key]
        is_main = column is _main(table)
        yield _figure(cell, signs)
        if not column.timed:
            continue
        if spread and (bar or is_main):
            yield Text(signs.plain(cell.spread), style="dim")
        yield _ratio(cell, signs)
        if bar and is_main:
            yield _bar(cell, signs)


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
    if cell.ratio is None or not cell.ratio > 0:
        return Text("")
    full = max(1, round(BAR_WIDTH / cell.ratio))
    return Text(signs.bar * min(full, BAR_WIDTH), style="green" if cell.best or cell.tied else "cyan")


# ---------------------------------------------------------------- beneath the tables


def _beneath(comparison: Comparison, table: Table, signs: Signs) -> Iterable[RenderableType]:
    yield Text(_legend(table, signs), style="dim")
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
    for note in (*comparison.environment.notes, *comparison.verdict.notes):
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
    if effort.smallest_difference is not None:
        text += f" Differences under {words.percent(effort.smallest_difference)} cannot be told apart from chance."
    return text if comparison.elapsed_s is None else f"{text} Took {words.seconds(comparison.elapsed_s)}."


def _verdict(comparison: Comparison, signs: Signs) -> Iterable[RenderableType]:
    verdict = comparison.verdict
    for task in verdict.tasks:
        name = words.task_name(task.task, task.batch_size)
        yield _item(signs.bullet, name[0].upper() + name[1:], task.statement, signs)
    found = verdict.recommendation
    if found is None:
        return
    yield Text.assemble(("\nRecommendation  ", "bold"), (_safe(found.statement, signs), "bold green"))
    for reason in found.reasons:
        yield _item(signs.bullet, "", reason, signs)


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
    return Padding(grid, (0, 0, 0, 2))


def _safe(text: str, signs: Signs, limit: int | None = None) -> str:
    return signs.plain(words.one_line(text, limit))
