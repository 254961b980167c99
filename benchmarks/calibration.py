"""Whether verdicts can be trusted: identical contestants, and contestants slowed by a known fraction, judged by the product.

    python benchmarks/calibration.py [--minutes 30] [--only identical|slowed] [--loads 0,1,3] [--json FILE]

The work is cut into sets of two to six minutes, each written to FILE (docs/results/calibration.json) as soon as it is done; what FILE
holds is not done again, so that any number of runs, of `--minutes` each, end in the same result. FILE.txt has the tables.

**Identical.** In a set, twelve processes of one contestant and the twin of the first are alive at a time and are sampled in
the same rounds; six times over, with new processes. They make six comparisons, each of processes that are in no other one,
at four tasks: 24 verdicts, each of them the product's own (`assay.judge`), with the set's twin. The rounds are fewer and
shorter than in the effort `standard` (9 of 30 ms), which is the same for all arms. A verdict is false if it calls one of the
two faster. The four verdicts on one pair of processes are not independent: so the pairs with any false verdict are counted
too. Sets alternate between two contestants, and between two threads and one. Load is made by so many busy programs;
`no verdict: machine too busy` counts the trials in which the product refuses to judge at all, and `interval alone` what it would have
said.

**Slowed.** In a set, an arm whose calls are made 0, 2, 3, 5 and 10 % longer (by spinning for that part of the time that the call
has just taken) are measured with the effort `standard` itself, at two tasks: for every fraction two verdicts. What the sets share is the
arm that is not slowed.

**The usual way**, on the same samples: Welch's t-test on the means of one process each, measured one after the other
("blocked"), or at the same time ("beside"); or of the samples of all processes as if they were independent ("pooled").
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibrating.bench import RAW, Bench, arm, called, interval_of, load, usual_way, verdict_on, watch_manager

from assay.judge.outlook import outlook
from assay.measure import STANDARD, Record, Task, measure
from assay.measure.environment import environment

Row = dict[str, Any]
WORKLOAD = "outcome-mlp"
CONTESTANTS = ("pytorch:eager", "jax:jit")
PAIRS = 6  # in a set of identical arms
FRACTIONS = (0, 2, 3, 5, 10)
USUAL = ("blocked", "beside", "pooled")
SIGNIFICANCE = 0.05
SHORT = replace(
    STANDARD,
    latency_seconds=0.0,
    costs=False,
    rounds=9,
    sample_seconds=0.03,
    longest_sample=0.1,
    arm_seconds=1.0,
    warmup_seconds=0.5,
)
SHORT = replace(SHORT, most_processes=STANDARD.processes)
BUDGET = replace(STANDARD, latency_seconds=0.0, costs=False, most_processes=12)  # steps only, no passes of their own


@dataclass(frozen=True)
class Job:
    """One set."""

    kind: str
    load: int
    contestant: str
    threads: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.load}-{self.contestant.replace(':', '-')}-{self.threads}-{self.number}"


def jobs(loads: Sequence[int], identical: int, slowed: int) -> list[Job]:
    """All sets, so ordered that a part of them says something of everything."""
    found = []
    for number in range(max(identical, slowed)):
        found += [Job("identical", count, *_who(count, number), number) for count in loads if number < identical]
        found += [Job("slowed", 0, *_who(0, number), number)] if number < slowed else []
    return found


def _who(load: int, number: int) -> tuple[str, int]:
    """The contestant of a set, and its threads. Where more programs run than there are processors, PyTorch with two threads
    comes last: its threads wait for each other at every operator, and a set takes twenty minutes."""
    turns = [(name, threads) for threads in (2, 1) for name in CONTESTANTS]
    return (turns if load < 2 else turns[1:] + turns[:1])[number % len(turns)]


def run(job: Job, bench: Bench) -> Row:
    """One set: the verdicts on all of its comparisons."""
    size = bench.batch_size
    if job.kind == "identical":
        arms: list[int | None] = [RAW] * (2 * PAIRS)
        tasks = [Task("train", size), Task("infer", 1), Task("infer", size // 4), Task("infer", size)]
        effort = SHORT
        pairs = [(2 * index, 2 * index + 1, 0) for index in range(PAIRS)]
    else:
        arms = list(FRACTIONS)
        tasks = [Task("train", size), Task("infer", size)]
        effort = BUDGET
        pairs = [(index, 0, fraction) for index, fraction in enumerate(FRACTIONS) if fraction]
    plan = bench.plan(job.contestant, arms, tasks, effort, job.name, seed=job.number, threads=job.threads)
    began = time.monotonic()
    with load(job.load), watch_manager() as cost:
        record = measure(plan, look=outlook)
    if record.interrupted:
        raise KeyboardInterrupt
    if record.failures:
        raise RuntimeError(f"{job.name}: {record.failures[0].reason}")
    return {
        "kind": job.kind,
        "load": job.load,
        "contestant": job.contestant,
        "threads": job.threads,
        "number": job.number,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "load_before": record.environment.load,
        "processes": record.processes,
        "manager_share": round(cost.share, 5),
        "verdicts": [row for task in tasks for row in _rows(record, job.contestant, task, pairs)],
    }


def _rows(record: Record, contestant: str, task: Task, pairs: Sequence[tuple[int, int, int]]) -> list[Row]:
    found = []
    key = (task.kind, task.batch_size)
    for one, other, fraction in pairs:
        a, b = arm(one, contestant), arm(other, contestant)
        verdict = verdict_on(record, a, b, key)
        floor = verdict.smallest_difference
        found.append(
            {
                "task": str(task),
                "pair": f"{one}/{other}",
                "slower_by": fraction / 100,
                "called": called(verdict, a),
                "smallest_difference": round(floor, 5) if floor is not None else None,
                **interval_of(record, a, b, key),
                "usual": {name: float(f"{p:.3g}") for name, p in usual_way(record, a, b, key).items()},
            }
        )
    return found


# ---------------------------------------------------------------- what the sets say together


def share(hits: int, trials: int) -> Row:
    """A share with its exact (Clopper & Pearson) 95 % interval."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    if not trials:
        return {"hits": 0, "trials": 0, "share": None, "low": None, "high": None}
    found = binomtest(hits, trials).proportion_ci(0.95, "exact")
    return {
        "hits": hits,
        "trials": trials,
        "share": round(hits / trials, 4),
        "low": round(float(found.low), 4),
        "high": round(float(found.high), 4),
    }


def _count(rows: Sequence[Row], test: Callable[[Row], bool]) -> Row:
    return share(sum(map(test, rows)), len(rows))


def _told(row: Row) -> bool:
    return row["called"] in ("faster", "slower")


def summarise(sets: Sequence[Row]) -> Row:
    """False verdicts by load, and the power curve."""
    identical = [one for one in sets if one["kind"] == "identical"]
    false: Row = {}
    for count in (None, *sorted({one["load"] for one in identical})):
        chosen = [one for one in identical if count in (None, one["load"])]
        rows = [row for one in chosen for row in one["verdicts"]]
        pairs = [
            [row for row in one["verdicts"] if row["pair"] == pair]
            for one in chosen
            for pair in dict.fromkeys(row["pair"] for row in one["verdicts"])
        ]
        false["all loads" if count is None else f"load {count}"] = {
            "assay": _count(rows, _told),
            "pairs of processes with any false verdict": share(
                sum(any(map(_told, pair)) for pair in pairs), len(pairs)
            ),
            "interval alone, without the twin and the busy rule": _count(rows, lambda row: row["p"] <= SIGNIFICANCE),
            "no verdict: machine too busy": _count(rows, lambda row: row["called"] == "busy"),
            "called equivalent": _count(rows, lambda row: row["called"] == "equivalent"),
            **{f"usual way, {name}": _count(rows, _usual(name)) for name in USUAL},
        }
    alone = sorted(abs(value) for one in identical for row in one["verdicts"] for value in row["of_processes"])
    slowed = [row for one in sets if one["kind"] == "slowed" for row in one["verdicts"]]
    power = {
        f"{fraction} %": {
            "found": _count(of_it, lambda row: row["called"] == "slower"),
            "called faster": _count(of_it, lambda row: row["called"] == "faster"),
            "called equivalent": _count(of_it, lambda row: row["called"] == "equivalent"),
            "median estimate": _median([math.expm1(row["log_ratio"]) for row in of_it]),
            **{f"usual way, {name}": _count(of_it, _usual(name, right=True)) for name in USUAL},
        }
        for fraction in FRACTIONS
        if fraction and (of_it := [row for row in slowed if row["slower_by"] == fraction / 100])
    }
    manager = max((one["manager_share"] for one in sets), default=None)
    return {
        "identical": false,
        "two processes of identical code: 95 % differ by less than": (
            round(math.expm1(alone[int(0.95 * len(alone))]), 4) if alone else None
        ),
        "slowed": power,
        "largest share of a core used by the manager": manager,
    }


def _usual(name: str, right: bool = False) -> Callable[[Row], bool]:
    return lambda row: row["usual"][name] <= SIGNIFICANCE and (not right or row["log_ratio"] > 0)


def _median(values: Sequence[float]) -> float | None:
    return round(sorted(values)[len(values) // 2], 4) if values else None


def table(content: Row) -> str:
    """The summary as text."""
    lines = ["Identical contestants: share of trials in which one is called faster (95 % interval)", ""]
    summary = content["summary"]
    for where, counts in summary["identical"].items():
        lines.append(where)
        lines += [f"    {name:<52} {_shown(found)}" for name, found in counts.items()]
    lines += [
        "",
        "Slowed contestants, effort standard, no load: share of trials in which the slower one is called slower",
        "",
    ]
    for fraction, counts in summary["slowed"].items():
        lines.append(f"{fraction} slower, estimated {100 * (counts['median estimate'] or 0):.1f} %")
        lines += [f"    {name:<52} {_shown(found)}" for name, found in counts.items() if name != "median estimate"]
    cost = summary["largest share of a core used by the manager"]
    lines += ["", f"Manager while samples are taken: at most {100 * (cost or 0):.2f} % of a core in any set"]
    sets = content["sets"]
    lines.append(f"{len(sets)} sets, {sum(one['seconds'] for one in sets) / 60:.0f} minutes")
    return "\n".join(lines) + "\n"


def _shown(found: Row) -> str:
    if found["share"] is None:
        return "–"
    hits = f"{found['hits']} of {found['trials']}"
    return f"{hits:>12}   {100 * found['share']:5.1f} %   ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


# ---------------------------------------------------------------- the file


def read(path: Path) -> list[Row]:
    sets: list[Row] = json.loads(path.read_text(encoding="utf-8"))["sets"] if path.exists() else []
    return sets


def save(path: Path, sets: Sequence[Row]) -> None:
    machine = environment(threads=2)
    content = {
        "machine": machine.summary(),
        "versions": dict(machine.versions),
        "workload": WORKLOAD,
        "summary": summarise(sets),
        "sets": sets,
    }
    for file, text in ((path, json.dumps(content, indent=1)), (path.with_suffix(".txt"), table(content))):
        partial = file.with_suffix(".partial")
        partial.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
        partial.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether verdicts can be trusted; see the top of this file.")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no set after this")
    parser.add_argument("--only", choices=("identical", "slowed"))
    parser.add_argument("--loads", default="0,1,3")
    parser.add_argument("--identical", type=int, default=3, help="sets of identical arms for each load")
    parser.add_argument("--slowed", type=int, default=10, help="sets of slowed arms")
    parser.add_argument("--json", type=Path, default=Path("docs/results/calibration.json"))
    options = parser.parse_args()
    began = time.monotonic()
    sets = read(options.json)
    done = {(one["kind"], one["load"], one["number"]) for one in sets}
    wanted = jobs([int(count) for count in options.loads.split(",")], options.identical, options.slowed)
    wanted = [job for job in wanted if options.only in (None, job.kind)]
    with tempfile.TemporaryDirectory(prefix="assay-calibration-") as folder:
        bench = Bench(WORKLOAD, Path(folder))
        for job in wanted:
            if (job.kind, job.load, job.number) in done:
                continue
            if time.monotonic() - began > 60 * options.minutes:
                break
            sets.append(run(job, bench))
            save(options.json, sets)
            said = sets[-1]
            told = sum(map(_told, said["verdicts"]))
            print(
                f"{job.name:<34} {said['seconds']:5.0f} s  {said['processes']:2d} processes  "
                f"{told} of {len(said['verdicts'])} told apart",
                flush=True,
            )
    save(options.json, sets)
    print(table(json.loads(options.json.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
