"""A model's summary: its modules as facts, and as a table for a terminal, a notebook or another program."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay import __version__
from assay.show import words
from assay.show.files import write_text
from assay.show.terminal import signs_for

Shape = tuple[int | str | None, ...]
LONG = 40  # rows beyond which repeated instances are folded
_WIDTH = 140  # columns of a file
_FIGURES = ("parameters", "fixed", "MACs")
_CELL = "padding:2px 10px;text-align:{align};white-space:nowrap"


@dataclass(frozen=True)
class Row:
    """A module, with all that is inside it."""

    path: str  # "" for the model itself
    class_name: str
    outputs: tuple[Shape, ...]  # of its first call; names are sizes that stay open, None is not known
    trained: (
        int  # parameters that training changes; one that several modules hold counts in each, and once in the model
    )
    fixed: int  # numbers that are saved and not trained: running statistics, buffers
    multiply_accumulates: int | None  # of all its calls; None: a size that decides it is not known
    calls: int = 1
    inside: tuple[Row, ...] = field(default=(), repr=False)

    def rows(self) -> Iterator[Row]:
        """The module and everything inside it, outermost first."""
        yield self
        for item in self.inside:
            yield from item.rows()


@dataclass(frozen=True)
class Summary:
    """What a model holds. `str()` gives the table as text; notebooks show it as HTML."""

    name: str
    root: Row
    sizes: Mapping[str, int]  # the open sizes, and the numbers that multiply-accumulates are counted with
    shared: tuple[tuple[str, tuple[str, ...]], ...] = ()  # parameters that several modules use, and which
    notes: tuple[str, ...] = ()  # what is not as in the source

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every module, in the order of the first calls, the model itself first."""
        return tuple(self.root.rows())

    @property
    def trained(self) -> int:
        return self.root.trained

    @property
    def fixed(self) -> int:
        return self.root.fixed

    @property
    def multiply_accumulates(self) -> int | None:
        return self.root.multiply_accumulates

    def table(self, folded: bool | None = None) -> str:
        """The table as plain text. `folded`: repeated instances as one row; by default if the table is long otherwise."""
        console = Console(file=io.StringIO(), width=200, color_system=None)
        print_summary(self, console, folded)
        assert isinstance(console.file, io.StringIO)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return _html(self)

    def to_json(self) -> dict[str, Any]:
        """The facts as plain data: totals, and one entry for each module."""
        return {
            "assay": __version__,
            "model": self.name,
            "sizes": dict(self.sizes),
            "totals": _facts(self.root),
            "modules": [{"path": row.path, **_facts(row)} for row in self.rows[1:]],
            "shared": {name: list(paths) for name, paths in self.shared},
            "notes": list(self.notes),
        }


def _facts(row: Row) -> dict[str, Any]:
    found = asdict(row)
    del found["inside"], found["path"]
    return {**found, "outputs": [list(shape) for shape in row.outputs]}


def save_summary(summary: Summary, path: str | Path) -> None:
    """The summary as JSON."""
    write_text(Path(path), json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")


# Folding: what is shown of it -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of the table: a module, or several alike."""

    depth: int
    name: str  # from the module around it on
    row: Row
    count: int = 1


def lines_of(summary: Summary, folded: bool | None = None) -> tuple[Line, ...]:
    """The table's lines; of instances that follow each other and are alike, the first stands for all if `folded`."""
    wanted = len(summary.rows) > LONG if folded is None else folded
    return tuple(_lines(summary.root, 0, wanted))


def _lines(row: Row, depth: int, folded: bool) -> Iterator[Line]:
    groups: list[list[Row]] = []
    for item in row.inside:
        if folded and groups and _alike(groups[-1][0], item) and _follows(groups[-1][-1].path, item.path):
            groups[-1].append(item)
        else:
            groups.append([item])
    for group in groups:
        first, last = (item.path.removeprefix(f"{row.path}.") for item in (group[0], group[-1]))
        name = first if len(group) == 1 else f"{first} … {last}"
        yield Line(depth, name, group[0], len(group))
        yield from _lines(group[0], depth + 1, folded)


def _follows(path: str, other: str) -> bool:
    """Whether two paths differ in one number only, which grows by one: `h.3` and `h.4`."""
    one, two = (re.split(r"(\d+)", text) for text in (path, other))
    different = [(a, b) for a, b in zip(one, two, strict=False) if a != b]
    if len(one) != len(two) or len(different) != 1:
        return False
    before, after = different[0]
    return before.isdecimal() and after.isdecimal() and int(after) == int(before) + 1


def _alike(one: Row, other: Row) -> bool:
    """Whether two modules are the same but for their weights."""

    def traits(row: Row, root: Row) -> list[object]:
        path = row.path.removeprefix(root.path)
        own = (path, row.class_name, row.outputs, row.trained, row.fixed, row.multiply_accumulates, row.calls)
        return [own, *(item for inner in row.inside for item in traits(inner, root))]

    return traits(one, one) == traits(other, other)


# Showing it -----------------------------------------------------------------------------------------------------------


def print_summary(summary: Summary, console: Console | None = None, folded: bool | None = None) -> None:
    """The table of modules, totals beneath, and how they were counted."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)  # a file or a pipe has no edge
    signs, lines = signs_for(console), lines_of(summary, folded)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    columns = _columns(summary)
    for heading in columns:
        figures = heading in _FIGURES
        table.add_column(heading, justify="right" if figures else "left", no_wrap=True, overflow="ellipsis")
    for line in lines:
        table.add_row(*(Text(signs.plain(cell)) for cell in _cells(line, columns)))
    total = _cells(Line(0, "total", summary.root), columns)
    table.add_row(*(Text(signs.plain(cell), style="bold") for cell in total))
    console.print(table)
    for note in beneath(summary, lines):
        console.print(Text(signs.plain(note), style="dim"))


def _columns(summary: Summary) -> tuple[str, ...]:
    """The columns that have something to say."""
    fixed = ("fixed",) if summary.fixed else ()
    return ("module", "class", "output", "parameters", *fixed, "MACs")


def _cells(line: Line, columns: Sequence[str]) -> list[str]:
    row, times = line.row, f" × {line.count}" if line.count > 1 else ""
    calls = f", {row.calls} calls" if row.calls > 1 else ""
    found = {
        "module": "  " * line.depth + words.one_line(line.name, 60),
        "class": words.one_line(row.class_name, 40) + times + calls,
        "output": " ".join(_shape(shape) for shape in row.outputs[:2]) + (" …" if len(row.outputs) > 2 else ""),
        "parameters": f"{row.trained:,}" if row.trained else words.NOTHING,
        "fixed": f"{row.fixed:,}" if row.fixed else words.NOTHING,
        "MACs": macs(row.multiply_accumulates),
    }
    return [found[name] for name in columns]


def _shape(shape: Shape) -> str:
    return words.one_line(f"({', '.join('?' if size is None else str(size) for size in shape)})", 60)


def macs(count: int | None) -> str:
    """`4.09 G`, `301 M`, `12.0 k`; a question mark for what is not known."""
    if count is None:
        return "?"
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{words.three_digits(count / factor)} {unit}"
    return str(count) if count else words.NOTHING


def beneath(summary: Summary, lines: Iterable[Line]) -> list[str]:
    """How the figures are to be read."""
    repeated = any(line.count > 1 for line in lines)
    sizes = words.listed(f"{name} = {number}" for name, number in summary.sizes.items())
    said = [
        f"MACs: multiply-accumulates of one forward pass{f' with {sizes}' if sizes else ''}, of products of tensors alone "
        "(convolutions, matrix products, attention, recurrent layers)"
    ]
    if repeated:
        said.append("a row of several modules gives the figures of one")
    if summary.multiply_accumulates is None:
        said.append("?: decided by a size that is not known before the model runs")
    for name, paths in summary.shared[:3]:
        said.append(f"{name} is shared by {words.listed(paths[:4])}: counted once in the total")
    if len(summary.shared) > 3:
        said.append(f"{len(summary.shared) - 3} more parameters are shared")
    return [words.one_line(text) for text in said]


def _html(summary: Summary) -> str:
    columns, lines = _columns(summary), lines_of(summary)
    styles = [_CELL.format(align="right" if name in _FIGURES else "left") for name in columns]
    head = "".join(f'<th scope="col" style="{s}">{h}</th>' for h, s in zip(columns, styles, strict=True))
    shown = (*lines, Line(0, "total", summary.root))
    body = "".join(_html_row(line, columns, styles) for line in shown)
    notes = "".join(f'<div style="opacity:0.75">{escape(note)}</div>' for note in beneath(summary, lines))
    return (
        f'<div class="assay" style="font-size:0.95em"><p><b>{escape(words.one_line(summary.name))}</b></p>'
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}</div>"
    )


def _html_row(line: Line, columns: Sequence[str], styles: Sequence[str]) -> str:
    name, *others = _cells(line, columns)
    indent = f"padding-left:{10 + 14 * line.depth}px;font-weight:600"
    cells = "".join(f'<td style="{s}">{escape(c)}</td>' for c, s in zip(others, styles[1:], strict=True))
    return f'<tr><th scope="row" style="{styles[0]};{indent}">{escape(name.strip())}</th>{cells}</tr>'
