"""The comparison as one HTML page that needs no network.

Names, reasons and code come from outside. Jinja escapes every one of them, plain data goes into the page as JSON in
which no tag can start, and the page's content security policy runs the scripts put here, by their hashes, and nothing
else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.show import figures, words
from assay.show.facts import Comparison, Proof, SourceFile, WrittenCode
from assay.show.sections import sections_of
from assay.show.source import highlight, token_colours
from assay.show.table import (
    INTERRUPTED,
    calibration_of,
    condition_name,
    conditions_of,
    main_verdicts,
    notes_of,
    problems_of,
    reasons_of,
    summary_of_training,
    table_of,
    target_of,
)
from assay.show.terminal import machine, trust

PAGE = Path(__file__).with_name("page")


@dataclass(frozen=True)
class _Tab:
    """A file's name, and every target's version of it."""

    name: str
    panels: tuple[tuple[WrittenCode, str], ...]  # the target, its highlighted lines


def render(comparison: Comparison) -> str:
    """The whole page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "line": words.one_line,
        "sentence": words.sentence,
        "breakable": _breakable,
        "seconds": words.seconds,
        "error": words.error,
        "bytes": words.amount_of_bytes,
        "ratio": words.ratio,
        "moment": words.moment,
        "counted": words.counted,
        "json": _harmless_json,
    }
    samples, cold_starts, training = figures.charts_of(comparison)
    scripts = _scripts(drawing=bool(samples or cold_starts or training))
    return environment.get_template("page.html.j2").render(
        c=comparison,
        table=table_of(comparison),
        main_verdicts=main_verdicts(comparison),
        sections=sections_of(comparison),
        problems=[problem for problem in problems_of(comparison) if problem.subject != INTERRUPTED],  # it has a notice
        proofs={proof.contestant: proof for proof in comparison.proofs},
        checks=_checks(comparison.proofs),
        checked={proof.contestant: {check.check: check for check in proof.checks} for proof in comparison.proofs},
        tabs=_tabs(comparison),
        sample_charts=samples,
        cold_charts=cold_starts,
        training_charts=training,
        training_summary=summary_of_training(comparison),
        machine=machine(comparison.environment),
        trust=trust(comparison),
        task_name=words.task_name,
        under=lambda task: condition_name((task.threads, task.precision), conditions_of(comparison)),
        notes=(*calibration_of(comparison), *notes_of(comparison)),
        reasons_of=reasons_of,
        colour=lambda name: figures.colour_of(name, comparison.contestants),
        target_of=target_of,
        style=PAGE.joinpath("page.css").read_text(encoding="utf-8") + token_colours(),
        scripts=scripts,
        hashes=" ".join(_hash(text) for _, text in scripts),
        facts_json=_harmless_json(comparison.to_dict()),
    )


def _scripts(*, drawing: bool) -> list[tuple[str, str]]:
    """The scripts of the page, in order: the plotting library where there is something to plot, and our own."""
    own = ("page", PAGE.joinpath("page.js").read_text(encoding="utf-8"))
    if not drawing:
        return [own]
    from plotly.offline import get_plotlyjs

    return [("plotly", get_plotlyjs().replace("</script", "<\\/script")), own]


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _harmless_json(value: Any) -> Any:
    """JSON that may stand inside a script element: no tag, comment or entity can begin in it."""
    import markupsafe

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)  # every character that could start a tag is gone


def _breakable(name: str, limit: int) -> Any:
    """A contestant's name that a narrow column may break behind its framework and its backend."""
    import markupsafe

    parts = markupsafe.escape(words.one_line(name, limit))
    return parts.replace("/", "/" + markupsafe.Markup("<wbr>")).replace(":", ":" + markupsafe.Markup("<wbr>"))


def _checks(proofs: tuple[Proof, ...]) -> list[str]:
    """The checks that some contestant went through, in the order a reader expects."""
    found = dict.fromkeys(check.check for proof in proofs for check in proof.checks)
    return [*(name for name in words.CHECKS if name in found), *(name for name in found if name not in words.CHECKS)]


def _tabs(comparison: Comparison) -> list[_Tab]:
    """One tab per file name, `model.py` first, for the files that somebody reads."""
    names = dict.fromkeys(file.name for code in comparison.code for file in code.files if file.name.endswith(".py"))
    order = sorted(names, key=lambda name: {"model.py": 0, "train.py": 1}.get(name, 2))
    marked = {
        (target_of(proof.contestant), proof.divergence.file): proof.divergence.line
        for proof in comparison.proofs
        if proof.divergence and proof.divergence.file
    }
    tabs = []
    for name in order:
        found = [(code, file) for code in comparison.code for file in code.files if file.name == name]
        tabs.append(_Tab(name, tuple((code, _lines(file, marked.get((code.target, name)))) for code, file in found)))
    return tabs


def _lines(file: SourceFile, marked: int | None) -> Any:
    import markupsafe

    return markupsafe.Markup(highlight(file.name, words.many_lines(file.text), marked))  # Pygments escapes
