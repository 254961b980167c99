"""Proofs on a terminal and in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay import __version__
from assay.show import words
from assay.show.codec import encode
from assay.show.facts import Check, Proof
from assay.show.files import write_text
from assay.show.table import difference, first_divergence
from assay.show.terminal import STYLES, Signs, signs_for


def print_proofs(proofs: Sequence[Proof], console: Console | None = None) -> None:
    """A row for each contestant: what was compared, and the largest deviation of each; beneath, what is different."""
    console = console or Console()
    signs = signs_for(console)
    found = dict.fromkeys(check.check for proof in proofs for check in proof.checks)
    names = [*(name for name in words.CHECKS if name in found), *(name for name in found if name not in words.CHECKS)]
    tables = (_table(proofs, names, signs, spaces, spoken) for spaces, spoken in ((2, True), (1, True), (1, False)))
    unlimited = console.options.update(width=10_000)
    table = next(tables)
    while console.measure(table, options=unlimited).maximum > console.width:
        narrower = next(tables, None)
        if narrower is None:
            break  # the names are folded
        table = narrower
    console.print(table)
    for line in _beneath(proofs, signs):
        console.print(line)


def _table(proofs: Sequence[Proof], names: Sequence[str], signs: Signs, spaces: int, spoken: bool) -> Table:
    """The rows, with so many spaces between columns; unless `spoken`, the outcome is its sign alone."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, spaces, 0, 0))
    table.add_column("contestant", overflow="fold")
    table.add_column("proof" if spoken else "", no_wrap=True)
    for name in names:
        table.add_column(Text(words.one_line(name, 30)), justify="right", no_wrap=True)
    for proof in proofs:
        cells = {check.check: _cell(check, signs) for check in proof.checks}
        word = f" {proof.status.replace('-', ' ')}" if spoken else ""
        status = f"{signs.of(proof.status)}{word}{signs.allowance if proof.allowances else ''}"
        row = [cells.get(name, Text("")) for name in names]
        contestant = Text(signs.plain(words.one_line(proof.contestant, 60)))
        table.add_row(contestant, Text(signs.plain(status), style=STYLES[proof.status]), *row)
    return table


def _cell(check: Check, signs: Signs) -> Text:
    style = STYLES["different"] if check.status == "different" else ""
    if check.status == "not-run":
        return Text(signs.not_run, style="dim")
    return Text(words.error(check.error) or check.status, style=style)


def _beneath(proofs: Sequence[Proof], signs: Signs) -> Iterable[Text]:
    for proof in proofs:
        if proof.status == "different":
            yield _line(signs, signs.different, proof.contestant, difference(proof), first_divergence(proof))
        elif proof.status == "not-run":
            yield _line(signs, signs.not_run, proof.contestant, proof.reason or "no reason given")
        for allowance in proof.allowances:
            yield _line(signs, signs.allowance, proof.contestant, allowance)
    for reduced in dict.fromkeys(proof.reduced for proof in proofs if proof.reduced):
        yield Text(signs.plain(words.one_line(reduced)))


def _line(signs: Signs, mark: str, contestant: str, *parts: str) -> Text:
    said = "; ".join(words.one_line(part) for part in parts if part)
    return Text(signs.plain(f"{mark} {words.one_line(contestant, 60)}: {said}"))


def save_proofs(proofs: Sequence[Proof], path: str | Path) -> None:
    """The proofs as JSON, laid out as in a comparison."""
    write_text(
        Path(path), json.dumps({"assay": __version__, "proofs": [encode(proof) for proof in proofs]}, indent=1) + "\n"
    )
