"""Show: the facts of a comparison, rendered for a terminal, a browser, a notebook or another program.

show(comparison)                                      the table in the terminal
show(comparison, json="facts.json", html="page.html")     and every fact in files
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.show.facts import Comparison

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Comparison", "show"]


def show(
    comparison: Comparison,
    *,
    console: Console | None = None,
    json: str | Path | None = None,
    html: str | Path | None = None,
) -> None:
    """Prints a comparison, and writes it to the files that are named.

    The files come first: what was measured is kept even when nobody reads the terminal any more.
    """
    from assay.show import files, terminal

    if json is not None:
        files.save_json(comparison, json)
    if html is not None:
        files.save_html(comparison, html)
    terminal.render(comparison, console)
