"""`python -m assay.testing layers --framework jax`: the conformance suite of one framework, in this process."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from assay.errors import AssayError, NotFoundError, unknown
from assay.frameworks import Target, find, require
from assay.frameworks import target as find_target
from assay.testing import SUITES, Case, Outcome, faults_of, judge, load_gaps, select, unmatched
from assay.testing.matrix import matrix
from assay.testing.official import KINDS, official
from assay.testing.official_run import describe, describe_double, describe_gradients, details, run_official
from assay.testing.report import counts, line, save
from assay.testing.zoo.command import zoo


def prepare(target: Target) -> None:
    """Sets what the framework reads from the environment when it is imported, as the workers of a measurement do."""
    for name, value in find(target.framework).environment.items():
        os.environ.setdefault(name, value)
    if target.backend:
        os.environ["KERAS_BACKEND"] = target.backend
    os.environ.setdefault("ASSAY_THREADS", "1")  # the nets are far too small to share


def run(cases: Sequence[Case], target: Target, modes: Sequence[str], folder: Path, log: Path) -> list[Outcome]:
    """Runs the cases one after another, a line each; tracebacks of what frameworks raise go to the log."""
    gaps = load_gaps(target.framework, target.backend)
    outcomes = []
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stderr(file):
        for case in cases:
            started = time.perf_counter()
            faults = faults_of(case, target, modes, folder)
            outcome = judge(case.name, faults, gaps, modes, time.perf_counter() - started)
            click.echo(line(outcome))
            outcomes.append(outcome)
    return outcomes


def _modes(target: Target, chosen: Sequence[str]) -> tuple[str, ...]:
    for mode in chosen:
        if mode not in target.modes:
            raise unknown(f"mode of {target.name}", mode, target.modes)
    return tuple(chosen) or target.modes


_OFFICIAL = {"conformance": describe, "gradients": describe_gradients, "double": describe_double}


@click.command(
    help="Runs a suite in one framework and says which cases it gets right: `layers`, assay's own small nets, or "
    "`conformance`, the official cases of ONNX, `gradients`, the derivatives of those that have one, or `double`, those "
    "in float64 that may be. `matrix` makes the "
    "support page of the results, and `zoo` proves models of other people; both have options of their own."
)
@click.argument("suite", type=click.Choice([*sorted(SUITES), *_OFFICIAL]))
@click.option("--framework", "-f", required=True, help="A framework, or one on a backend: jax, keras/torch.")
@click.option("--mode", "-m", multiple=True, help="layers: only this mode; may be given again. All modes otherwise.")
@click.option(
    "--case", "patterns", multiple=True, help="Only cases whose name matches this shell pattern; may be given again."
)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="conformance: only cases of this kind.")
@click.option("--part", help="conformance: K/N runs every N-th case, from the K-th on.")
@click.option("--jobs", default=2, show_default=True, help="conformance: worker processes.")
@click.option("--log", type=click.Path(path_type=Path), help="conformance: where tracebacks and warnings go.")
@click.option("--json", "result", type=click.Path(path_type=Path), help="Write the results to this file.")
@click.option("--keep", type=click.Path(path_type=Path), help="layers: keep the written packages in this folder.")
def main(
    suite: str,
    framework: str,
    mode: tuple[str, ...],
    patterns: Sequence[str],
    kinds: tuple[str, ...],
    part: str | None,
    jobs: int,
    log: Path | None,
    result: Path | None,
    keep: Path | None,
) -> None:
    try:
        if suite in _OFFICIAL:
            passed = conform_officially(suite, framework, patterns, kinds, part, jobs, log, result)
        else:
            passed = conform(suite, framework, mode, patterns, result, keep)
    except AssayError as error:
        click.echo(f"assay.testing: {error}", err=True)
        sys.exit(error.exit_status)
    sys.exit(0 if passed else 1)


def conform_officially(
    suite: str,
    framework: str,
    patterns: Sequence[str],
    kinds: Sequence[str],
    part: str | None,
    jobs: int,
    log: Path | None,
    result: Path | None,
) -> bool:
    """Whether no official case fails that the framework's gaps do not expect."""
    target = find_target(framework)
    require(target)
    found = run_official(target, patterns, kinds or KINDS, _part(part), jobs, log, suite)
    click.echo(_OFFICIAL[suite](target, found))
    if result is not None:
        more = {case.name: details(case, found.trials[case.name]) for case in found.cases if case.name in found.trials}
        save(result, suite, target, target.modes[:1], found.ordered(), found.summary(), more)
    return all(outcome.status != "failure" for outcome in found.outcomes.values())


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, of = text.partition("/")
    if not (first.isdigit() and of.isdigit() and int(of)):
        raise NotFoundError(f"--part {text} is not K/N: 3/10 runs every tenth case from the third on")
    return int(first), int(of)


def conform(
    suite: str, framework: str, mode: Sequence[str], patterns: Sequence[str], result: Path | None, keep: Path | None
) -> bool:
    """Whether nothing fails that the framework's gaps do not expect."""
    target = find_target(framework)
    require(target)
    modes = _modes(target, mode)
    cases = select(SUITES[suite], patterns)
    prepare(target)
    with tempfile.TemporaryDirectory(prefix="assay-testing-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = run(cases, target, modes, folder, folder / "errors.log")
    known = [case.name for item in SUITES.values() for case in item]
    if any(gap.cases.startswith("test_") for gap in load_gaps(target.framework, target.backend)):
        known += [case.name for case in official()]
    idle = unmatched(load_gaps(target.framework, target.backend), known)
    for gap in idle:
        click.echo(f"FAIL  gaps.toml\n        the entry {gap.cases!r} matches no case: correct or remove it")
    if result is not None:
        save(result, suite, target, modes, outcomes)
    number = counts(outcomes)
    click.echo(
        f"{target.name} ({', '.join(modes)}): {number['pass']} pass, {number['gap']} gaps, {number['failure']} failures"
    )
    return not number["failure"] and not idle


def start() -> None:
    """Runs a suite; or `zoo`, models of other people; or `matrix`, which makes the support page from results."""
    commands = {"matrix": matrix, "zoo": zoo}
    if sys.argv[1:2] == [] or sys.argv[1] not in commands:
        main()
    try:
        commands[sys.argv[1]](sys.argv[2:], prog_name=f"assay.testing {sys.argv[1]}", standalone_mode=False)
    except (AssayError, click.UsageError) as error:
        click.echo(f"assay.testing: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    start()
