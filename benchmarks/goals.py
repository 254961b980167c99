"""Whether training reaches its goal: every built-in workload, trained once by each framework's written code.

    python benchmarks/goals.py [--targets pytorch,jax,…] [--workloads mnist-cnn,…] [--threads N] [--json FILE]

One training after another, each in a process of its own. FILE (docs/results/goals.json) is written after each, and what
it already holds is not trained again: a run that was stopped continues where it was. Exit status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.measure.environment import environment
from assay.verbs.train import train
from assay.workloads import WORKLOADS, find_workload

TARGETS = ("pytorch", "tensorflow", "keras/tensorflow", "keras/jax", "keras/torch", "jax")
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are processors")
    parser.add_argument("--json", type=Path, default=Path("docs/results/goals.json"))
    options = parser.parse_args()
    rows = _read(options.json)
    done = {(row["workload"], row["target"]) for row in rows if "score" in row}
    for name in options.workloads.split(","):
        for target in options.targets.split(","):
            if (name, target) not in done:
                rows = [row for row in rows if (row["workload"], row["target"]) != (name, target)]
                rows.append(_row(name, target, options.threads))
                _write(options.json, rows)
    missed = [row for row in rows if not row.get("reached")]
    print(f"{len(rows) - len(missed)} of {len(rows)} reach their goal")
    raise SystemExit(1 if missed else 0)


def _row(name: str, target: str, threads: int) -> Row:
    """One training; a failure is a row with its reason."""
    row: Row = {"workload": name, "target": target, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        trained = train(find_workload(name).model(), target, threads=threads)
    except AssayError as error:
        print(f"{name:<11} {target:<16} failed: {error}", flush=True)
        return {**row, "reached": False, "reason": str(error)}
    print(f"{name:<11} {trained.describe()}", flush=True)
    if trained.stopped:  # by Ctrl-C: nothing to keep
        raise SystemExit(130)
    return {
        **row,
        "contestant": trained.contestant,
        "metric": trained.metric,
        "score": trained.score,
        "goal": trained.goal,
        "reached": trained.reached,
        "steps": len(trained.losses),
        "loss": trained.losses[-1],
        "seconds": round(trained.seconds, 1),
    }


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["trainings"]
    return rows


def _write(path: Path, rows: list[Row]) -> None:
    machine = environment(threads=1)
    order = list(WORKLOADS)
    content = {
        "machine": machine.summary(),
        "versions": dict(machine.versions),
        "trainings": sorted(rows, key=lambda row: (order.index(row["workload"]), TARGETS.index(row["target"]))),
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    main()
