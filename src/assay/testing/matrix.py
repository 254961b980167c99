"""The page that says what is supported: operator × framework, from the results of complete runs, with the reason of every gap.

`python -m assay.testing matrix` reads docs/results/conformance-*.json (and gradients-*.json) and writes docs/support.md,
and beside this file the few numbers that `assay frameworks` shows.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from assay.errors import DataError, OutputError
from assay.testing.summaries import SUMMARIES

_SEVERAL = "(several operators)"


@dataclass(frozen=True)
class Run:
    """The complete run of one framework, as it was saved."""

    target: str
    content: Mapping[str, Any]
    slopes: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)  # case → verdicts of its gradients
    doubles: Mapping[str, str] = field(default_factory=dict)  # case → what came of it in float64

    def cases(self) -> list[Mapping[str, Any]]:
        """The cases of single nodes and their expansions."""
        return [case for case in self.content["cases"] if case.get("kind", "node") == "node"]


def read_runs(folder: Path) -> list[Run]:
    """The runs of every framework in a folder of results. Raises `DataError` if there is none, or one is not as saved."""
    runs = []
    for path in sorted(folder.glob("conformance-*.json")):
        content = _read(path)
        slopes = {case["name"]: case.get("slopes", ()) for case in _beside(path, "gradients")}
        doubles = {case["name"]: case.get("slopes", [["wrong"]])[0][0] for case in _beside(path, "double")}
        runs.append(Run(content["target"], content, slopes, doubles))
    if not runs:
        raise DataError(f"{folder} has no conformance-*.json: run `python -m assay.testing conformance --json` first")
    order = ("pytorch", "tensorflow", "keras", "jax")
    return sorted(runs, key=lambda run: (*(name != run.target.partition("/")[0] for name in order), run.target))


def _beside(path: Path, suite: str) -> list[dict[str, Any]]:
    """The cases of another suite in the same framework; none if it has not been run."""
    other = path.with_name(path.name.replace("conformance", suite, 1))
    cases: list[dict[str, Any]] = _read(other)["cases"] if other.is_file() else []
    return cases


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"target", "cases"} <= content.keys():
            raise ValueError("no target or no cases")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no results of assay.testing: {error}") from error
    return content


# The page -------------------------------------------------------------------------------------------------------------


def page(runs: Sequence[Run]) -> str:
    """The support page as Markdown."""
    reasons = _Reasons()
    parts = [
        "# What is supported",
        "Every operator of ONNX in every framework, by the official conformance cases that the written code passes. Made by\n"
        "`python -m assay.testing matrix` from `docs/results/conformance-*.json`; nothing here is written by hand.",
        _overview(runs),
        "## Operators\n\nHow many of an operator's cases pass; `✓` if all do. A number in brackets leads to the reason below.\n"
        "`∇`: in how many of those that are differentiable the gradient agrees with differences; the others are singular points\n"
        "or stand among the findings. `64`: how many of those that may be in float64 agree there with the reference to ten digits;\n"
        "the others agree to float32's digits, most because the reference itself computes a part in float32.",
        _operators(runs, reasons),
        _types(runs),
        "## Reasons\n\n" + "\n".join(reasons.lines()) if reasons.found else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _overview(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        summary = run.content.get("summary", {})
        share = (
            f"{summary['passes']} of {summary['counted']} ({summary['share']:.1%})" if summary.get("counted") else "–"
        )
        versions = ", ".join(f"{name} {version}" for name, version in run.content.get("versions", {}).items())
        rows.append([f"`{run.target}`", share, str(len(summary.get("wrong", ()))), run.content["date"][:10], versions])
    return _table(["framework", "node cases passed", "wrong answers", "date", "with"], rows)


class _Reasons:
    """The reasons of gaps, numbered as they come."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str | None], int] = {}
        self.targets: dict[int, set[str]] = defaultdict(set)

    def number(self, target: str, kind: str, why: str, link: str | None) -> int:
        number = self.found.setdefault((kind, why, link), len(self.found) + 1)
        self.targets[number].add(target)
        return number

    def lines(self) -> list[str]:
        words = {"todo": "to do", "upstream": "upstream", "never": "no meaning there", "failure": "failure"}
        return [
            f"{number}. {', '.join(sorted(self.targets[number]))} — {words.get(kind, kind)}: {_cell(why)}"
            + (f" ([link]({link}))" if link else "")
            for (kind, why, link), number in self.found.items()
        ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _operators(runs: Sequence[Run], reasons: _Reasons) -> str:
    names = operators_of([case for run in runs for case in run.cases()])
    by_operator: dict[str, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for case in run.cases():
            by_operator[names[case["name"]]][run.target].append(case)
    rows = []
    for operator in sorted(by_operator, key=lambda name: (name == _SEVERAL, name.lower())):
        cells = [_support(run, by_operator[operator][run.target], reasons) for run in runs]
        rows.append([operator, *cells])
    return _table(["operator", *(f"`{run.target}`" for run in runs)], rows)


def operators_of(cases: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Case → its operator. A case of an operator written out by its definition is one of that operator."""
    known = {case["name"]: case.get("operator", "") for case in cases}
    found = {}
    for name, operator in known.items():
        operator = known.get(name.partition("_expanded")[0], operator)
        found[name] = operator if operator[:1].isupper() else _SEVERAL
    return found


def _support(run: Run, cases: Sequence[Mapping[str, Any]], reasons: _Reasons) -> str:
    if not cases:
        return "–"
    passed = sum(case["status"] == "pass" for case in cases)
    numbers = set()
    for case in cases:
        if case["status"] == "failure":
            numbers.add(reasons.number(run.target, "failure", "; ".join(case.get("reasons", ())), None))
        for gap in case.get("gaps", ()):
            numbers.add(reasons.number(run.target, gap["kind"], gap["why"], gap.get("link")))
    text = f"✓ {passed}" if passed == len(cases) else f"{passed} of {len(cases)}"
    notes = f" [{', '.join(map(str, sorted(numbers)))}]" if numbers else ""
    return f"{text}{notes}{_gradient(run, cases)}{_double(run, cases)}"


def _gradient(run: Run, cases: Sequence[Mapping[str, Any]]) -> str:
    verdicts = [{slope[0] for slope in run.slopes[case["name"]]} for case in cases if run.slopes.get(case["name"])]
    if not verdicts:
        return ""
    agree = sum(found == {"agrees"} for found in verdicts)
    return f" ∇ {agree}" if agree == len(verdicts) else f" ∇ {agree} of {len(verdicts)}"


def _double(run: Run, cases: Sequence[Mapping[str, Any]]) -> str:
    verdicts = [run.doubles[case["name"]] for case in cases if case["name"] in run.doubles]
    if not verdicts:
        return ""
    exact, wrong = verdicts.count("exact"), verdicts.count("wrong")
    text = f" 64 {exact}" if exact == len(verdicts) else f" 64 {exact} of {len(verdicts)}"
    return f"{text} ({wrong} wrong)" if wrong else text


def _types(runs: Sequence[Run]) -> str:
    """How many cases with values of each type pass, where the results say which types a case has."""
    rows: dict[str, dict[str, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
    for run in runs:
        for case in run.cases():
            for kind in case.get("types", ()):
                rows[kind][run.target][case["status"] == "pass"] += 1
    if not rows:
        return ""

    def shown(count: Counter[bool]) -> str:
        total = count.total()
        return "–" if not total else f"✓ {total}" if count[True] == total else f"{count[True]} of {total}"

    table = _table(
        ["type", *(f"`{run.target}`" for run in runs)],
        [[kind, *(shown(rows[kind][run.target]) for run in runs)] for kind in sorted(rows)],
    )
    return f"## Types\n\nHow many of the cases that have values of a type pass.\n\n{table}"


# The numbers that are packaged ----------------------------------------------------------------------------------------


def summary_of(run: Run) -> dict[str, Any]:
    """What `assay frameworks` shows of a run."""
    found = run.content.get("summary", {})
    names = ("counted", "passes", "share")
    return {
        "target": run.target,
        "date": run.content["date"][:10],
        "onnx": run.content.get("versions", {}).get("onnx"),
        **{name: found.get(name) for name in names},
        "wrong": len(found.get("wrong", ())),
    }


def save_summaries(runs: Sequence[Run], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        path = folder / f"{run.target.replace('/', '-')}.json"
        path.write_text(json.dumps(summary_of(run), indent=1) + "\n", encoding="utf-8")


@click.command(
    "matrix", help="Writes the support page, and the numbers of `assay frameworks`, from the results of runs."
)
@click.option("--results", type=click.Path(path_type=Path), default=Path("docs/results"), show_default=True)
@click.option("--page", "place", type=click.Path(path_type=Path), default=Path("docs/support.md"), show_default=True)
@click.option(
    "--summaries", "folder", type=click.Path(path_type=Path), default=Path("src/assay") / SUMMARIES, show_default=True
)
def matrix(results: Path, place: Path, folder: Path) -> None:
    runs = read_runs(results)
    try:
        place.write_text(page(runs), encoding="utf-8")
        save_summaries(runs, folder)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
    click.echo(f"{place}: {', '.join(run.target for run in runs)}")
