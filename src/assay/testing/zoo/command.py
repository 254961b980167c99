"""`python -m assay.testing zoo`: every case of a source, one process after another, results kept as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from assay.errors import AssayError, NotFoundError
from assay.frameworks import require as require_target
from assay.frameworks import target as find_target
from assay.measure.process import last_words
from assay.testing.zoo.case import Case, choose, find_source, require
from assay.testing.zoo.results import Results, described, status_of

TARGETS = ("pytorch", "tensorflow", "keras/tensorflow", "jax")
LIMIT = 3 * 3600.0  # seconds for one case


@click.command(
    help="Brings every model of a source, writes it in each framework, and proves it in float64 against the source's own: "
    "outputs, loss, gradients, three steps of SGD with momentum and the statistics of batch normalisation. Models whose "
    "results are in the file already are left out."
)
@click.option("--source", required=True, help="A module of assay.testing.zoo: torchvision.")
@click.option(
    "--framework", "-f", "frameworks", multiple=True, help="A framework, or one on a backend; all four otherwise."
)
@click.option("--case", "patterns", multiple=True, help="Only models whose name matches this shell pattern.")
@click.option("--part", help="K/N runs every N-th model, from the K-th on.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="The file of results, written after every model.")
@click.option("--again", is_flag=True, help="Run models that the file has already, too.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep packages and logs in this folder.")
def zoo(
    source: str,
    frameworks: tuple[str, ...],
    patterns: tuple[str, ...],
    part: str | None,
    path: Path | None,
    again: bool,
    keep: Path | None,
) -> None:
    try:
        targets = [find_target(name) for name in frameworks or TARGETS]
        found = find_source(source)
        require(found)
        for item in targets:
            require_target(item)
        names = [item.name for item in targets]
        cases = choose(found.cases(), patterns, _part(part))
        results = Results.read(path, source, found.DISTRIBUTIONS)
        wanted = [case for case in cases if again or not results.has(case.name, names)]
        if len(wanted) < len(cases):
            click.echo(f"{len(cases) - len(wanted)} of {len(cases)} models are in {path} already")
        with tempfile.TemporaryDirectory(prefix="assay-zoo-") as temporary:
            for case in wanted:
                facts = run_case(source, case, names, keep or Path(temporary))
                click.echo(described(facts, names))
                results.add(facts)
        click.echo(results.summary_line(names, [case.name for case in cases]))
    except AssayError as error:
        click.echo(f"assay.testing: {error}", err=True)
        sys.exit(error.exit_status)
    sys.exit(0 if all(status_of(results.cases[case.name], name) == "equal" for case in cases for name in names) else 1)


def run_case(source: str, case: Case, targets: Sequence[str], folder: Path) -> dict[str, Any]:
    """The facts of one case, tried in a process of its own; what ends that process is the case's error."""
    with tempfile.TemporaryDirectory(dir=_made(folder), prefix=f"{case.name}-") as temporary:
        place = Path(temporary)
        result, log = place / "result.json", folder / f"{case.name}.log"
        command = [sys.executable, "-m", "assay.testing.zoo.trial", source, case.name, "--parent", str(os.getpid())]
        command += [
            "--folder",
            str(place),
            "--result",
            str(result),
            *(word for name in targets for word in ("--target", name)),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                code = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
        if result.exists():
            return Results.parsed(result.read_text(encoding="utf-8"))
        return {"name": case.name, "remark": case.remark, "error": f"{_ending(code)}: {last_words(log)}"}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _ending(code: int | None) -> str:
    if code is None:
        return f"not done within {LIMIT:g} s"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process ended with status {code}"


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, of = text.partition("/")
    if not (first.isdigit() and of.isdigit() and int(of)):
        raise NotFoundError(f"--part {text} is not K/N: 3/10 runs every tenth model from the third on")
    return int(first), int(of)


__all__ = ["TARGETS", "run_case", "zoo"]
