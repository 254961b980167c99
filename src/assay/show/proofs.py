"""Proofs on a terminal and in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay import __version__
from assay.show.codec import encode
from assay.show.facts import Proof
from assay.show.files import write_text
from assay.show.words import one_line

_SIGNS = {"equal": ("✓ equal", "green"), "different": ("✗ different", "red"), "not-run": ("– not run", "yellow")}


def print_proofs(proofs: Sequence[Proof], console: Console | None = None) -> None:
    """A row for each contestant: what was compared, and the largest deviation of each."""
    console = console or Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    checks = list(dict.fromkeys(check.check for proof in proofs for check in proof.checks))
    table.add_column("contestant")
    table.add_column("proof")
    for name in checks:
        table.add_column(name, justify="right")
    for proof in proofs:
        sign, colour = _SIGNS[proof.status]
        found = {check.check: check for check in proof.checks}
        cells = [_cell(found[name].status, found[name].error) if name in found else "" for name in checks]
        table.add_row(Text(one_line(proof.contestant)), Text(sign, style=colour), *cells)
    console.print(table)
    for proof in proofs:
        if proof.status != "equal":
            console.print(Text(f"{proof.contestant}: {one_line(proof.reason or proof.status)}"))
        if proof.divergence is not None:
            where = proof.divergence
            place = f"{where.file}, line {where.line}: {one_line(where.source or '')}" if where.line else "no line"
            console.print(Text(f"  first at {one_line(where.node)} ({where.operator}), off by {where.error:.1e}: {place}"))
    for allowance in dict.fromkeys(text for proof in proofs for text in proof.allowances):
        console.print(Text(f"allowed: {one_line(allowance)}", style="dim"))


def _cell(status: str, error: float | None) -> Text:
    text = status if error is None else f"{error:.1e}"
    return Text(text, style="" if status == "equal" else "red")


def save_proofs(proofs: Sequence[Proof], path: str | Path) -> None:
    """The proofs as JSON, laid out as in a comparison."""
    write_text(Path(path), json.dumps({"assay": __version__, "proofs": [encode(proof) for proof in proofs]}, indent=1) + "\n")
