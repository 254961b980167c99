"""The official suite of one framework from the command line: workers, judgement by gaps.toml, a summary, the results as data."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from assay.frameworks import Target
from assay.testing.conformance import Trial
from assay.testing.crew import Crew
from assay.testing.double import double_cases
from assay.testing.gaps import Outcome, judge, load_gaps
from assay.testing.gradients import differentiable_cases
from assay.testing.official import OfficialCase, choose
from assay.testing.report import line


@dataclass
class OfficialResult:
    """Outcomes and trials by case name, in the suite's order."""

    cases: list[OfficialCase]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    seconds: float = 0.0

    def ordered(self) -> list[Outcome]:
        return [self.outcomes[case.name] for case in self.cases if case.name in self.outcomes]

    def summary(self) -> dict[str, Any]:
        """Counts by kind; the share of passes among the counted; wrong answers; the median time to write and load."""
        counted = [case for case in self.cases if case.is_counted and case.name in self.outcomes]
        passes = sum(self.outcomes[case.name].status == "pass" for case in counted)
        kinds = {kind: Counter[str]() for kind in dict.fromkeys(case.kind for case in self.cases)}
        for case in self.cases:
            if case.name in self.outcomes:
                kinds[case.kind][self.outcomes[case.name].status] += 1
        ready = [
            trial.seconds["write"] + trial.seconds["load"]
            for trial in self.trials.values()
            if {"write", "load"} <= set(trial.seconds)
        ]
        return {
            "counted": len(counted),
            "passes": passes,
            "share": round(passes / len(counted), 4) if counted else None,
            "wrong": sorted(case.name for case in self.cases if self.is_wrong(case.name)),
            "kinds": {kind: dict(number) for kind, number in kinds.items()},
            "median_write_and_load_s": round(statistics.median(ready), 4) if ready else None,
            "wall_s": round(self.seconds, 1),
        }

    def is_wrong(self, name: str) -> bool:
        """Whether the framework answered, and wrongly."""
        trial = self.trials.get(name)
        return trial is not None and any(
            fault.stage.endswith("outputs") and "differs by rounding" not in fault.text for fault in trial.faults
        )


_CASES = {"gradients": differentiable_cases, "double": double_cases}
_STAGES = {"gradient": "gradients", "float64": "double"}  # stage of a gap → the check that it belongs to


def run_official(
    target: Target,
    patterns: Sequence[str],
    kinds: Sequence[str],
    share: tuple[int, int] | None,
    jobs: int,
    log: Path | None,
    check: str = "conformance",
) -> OfficialResult:
    """Runs the chosen cases, printing what is not as expected. `check`: `conformance`, `gradients` or `double`."""
    cases = choose(patterns, kinds, share)
    gaps = [
        gap
        for gap in load_gaps(target.framework, target.backend)
        if _STAGES.get(gap.stage or "", "conformance") == check
    ]
    if check in _CASES:
        known = {case.name for case in _CASES[check]()}
        cases = [case for case in cases if case.name in known]
    result = OfficialResult(cases)
    started = time.perf_counter()

    def report(name: str, trial: Trial) -> None:
        outcome = judge(name, trial.faults, gaps, (), trial.seconds.get("all", 0.0))
        result.outcomes[name], result.trials[name] = outcome, trial
        if outcome.status == "failure" or len(cases) <= 25:
            click.echo(line(outcome))
        if len(result.outcomes) % 200 == 0:
            click.echo(f"      {len(result.outcomes)} of {len(cases)}, {time.perf_counter() - started:.0f} s")

    with tempfile.TemporaryDirectory(prefix="assay-testing-") as temporary:
        Crew(target.name, jobs, log or Path(temporary) / "errors.log", check).run([case.name for case in cases], report)
    result.seconds = time.perf_counter() - started
    return result


def describe(target: Target, result: OfficialResult) -> str:
    """The result in a few lines."""
    found = result.summary()
    number = Counter(outcome.status for outcome in result.outcomes.values())
    share = (
        f", {found['passes']} of {found['counted']} counted node cases ({found['share']:.1%})"
        if found["counted"]
        else ""
    )
    return (
        f"{target.name}: {number['pass']} pass{share}, {number['gap']} gaps, {number['failure']} failures, "
        f"{len(found['wrong'])} wrong answers; {found['wall_s']:.0f} s, median to write and load "
        f"{1000 * (found['median_write_and_load_s'] or 0):.0f} ms"
    )


def details(case: OfficialCase, trial: Trial) -> dict[str, Any]:
    """What the results say of a case beyond its status."""
    found: dict[str, Any] = {"kind": case.kind, "operator": case.operator, "types": case.types}
    if trial.faults:
        found["faults"] = [str(fault) for fault in trial.faults]
    if trial.slopes:
        found["slopes"] = trial.slopes
    return found


def describe_double(target: Target, result: OfficialResult) -> str:
    """The results in float64 in a line."""
    number = Counter(trial.slopes[0][0] if trial.slopes else "wrong or not run" for trial in result.trials.values())
    listed = ", ".join(f"{number[word]} {word}" for word in ("exact", "close", "wrong or not run"))
    return f"{target.name}: {len(result.trials)} cases in float64: {listed}; {result.seconds:.0f} s"


def describe_gradients(target: Target, result: OfficialResult) -> str:
    """The gradients of a framework in a line."""
    number = Counter(_verdict(trial) for trial in result.trials.values())
    listed = ", ".join(f"{number[word]} {word}" for word in ("agrees", "singular", "undefined", "wrong", "not run"))
    return f"{target.name}: gradients of {len(result.trials)} cases: {listed}; {result.seconds:.0f} s"


def _verdict(trial: Trial) -> str:
    verdicts = {slope[0] for slope in trial.slopes}
    if not verdicts:
        return "not run"
    return next(word for word in ("wrong", "singular", "undefined", "agrees") if word in verdicts)
