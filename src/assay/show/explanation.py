"""What `explain` found, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from assay.show import words
from assay.show.terminal import Signs, signs_for

_TITLES = {
    "RecurrentLSTM": "LSTM",
    "RecurrentGRU": "GRU",
    "Recurrent": "Recurrent layers",
    "Clip": "Gradients",
    "Weights": "All layers",
}
_CODE = 100  # columns of a line of code


class _Default(Protocol):
    @property
    def note(self) -> str | None: ...

    def text(self) -> str: ...


class _Place(Protocol):
    @property
    def of(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def meant(self) -> str: ...
    @property
    def differs(self) -> Mapping[str, _Default]: ...
    @property
    def written(self) -> Mapping[str, str]: ...

    def examples(self) -> str: ...


def print_places(places: Sequence[_Place], console: Console | None = None) -> None:
    """Each place with what the model means, and beneath what every differing framework would do and what is written."""
    console = console or Console()
    signs = signs_for(console)
    if not places:
        console.print("No framework would do anything else by itself.")
    for place in places:
        title = f"{_TITLES.get(place.of, place.of)}: {place.what}: {place.meant}"
        console.print(Text(signs.plain(words.one_line(title, 120)), style="bold"))
        if examples := place.examples():
            console.print(Padding(Text(f"in {words.one_line(examples, 120)}", style="dim"), (0, 0, 0, 2)))
        console.print(Padding(_rows(place, signs), (0, 0, 1, 2)))


def _rows(place: _Place, signs: Signs) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for framework, default in place.differs.items():
        note = f" ({default.note})" if default.note else ""
        table.add_row(framework, "by itself", Text(signs.plain(f"{default.text()}{note}")))
        if (line := place.written.get(framework)) is not None:
            table.add_row("", "written", Text(words.one_line(line, _CODE), style="cyan"))
    return table
