"""How long a verdict takes: two contestants that differ by 5 %, from the moment their first workers are warm.

    python benchmarks/time_to_verdict.py [--trials 6] [--json FILE]

One arm's calls are made 5 % longer by spinning (see `calibrating/sessions.py`); both are measured as `assay compare --effort standard
--task train` does it, until the product ends by itself. FILE (docs/results/time-to-verdict.json) is written after each trial and
what it holds is not done again. Beside it: what the manager uses of a core from the request of a sample to its answer.
Exit status 1 if the median is over a minute or the manager over 1 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibrating.bench import Bench, arm, called, verdict_on, watch_manager

from assay.judge.outlook import outlook
from assay.measure import STANDARD, Task, events, measure
from assay.measure.environment import environment

CONTESTANTS = ("pytorch:eager", "jax:jit")
STEPS = replace(STANDARD, latency_seconds=0.0, costs=False)  # no passes of their own for latencies and costs
MOST_SECONDS, MOST_OF_A_CORE = 60.0, 0.01


def trial(bench: Bench, number: int) -> dict[str, Any]:
    contestant = CONTESTANTS[number % 2]
    task = Task("train", bench.batch_size)
    plan = bench.plan(contestant, [0, 5], [task], STEPS, f"trial-{number}", seed=number)
    warm: list[float] = []

    def tell(event: events.Event) -> None:
        if isinstance(event, events.StateChanged) and event.state == events.TIMING and not warm:
            warm.append(time.monotonic())

    began = time.monotonic()
    with watch_manager() as cost:
        record = measure(plan, on_event=tell, look=outlook)
    if record.interrupted:
        raise KeyboardInterrupt
    verdict = verdict_on(record, arm(1, contestant), arm(0, contestant), (task.kind, task.batch_size))
    ended = time.monotonic()
    return {
        "contestant": contestant,
        "number": number,
        "seconds_after_warm": round(ended - warm[0], 1),
        "seconds": round(ended - began, 1),
        "processes": record.processes,
        "called": called(verdict, arm(1, contestant)),
        "smallest_difference": verdict.smallest_difference,
        "manager_share_of_a_core": round(cost.share, 5),
        "load_before": record.environment.load,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="How long a verdict on a difference of 5 % takes.")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--json", type=Path, default=Path("docs/results/time-to-verdict.json"))
    options = parser.parse_args()
    trials = json.loads(options.json.read_text())["trials"] if options.json.exists() else []
    done = {one["number"] for one in trials}
    with tempfile.TemporaryDirectory(prefix="assay-verdict-") as folder:
        bench = Bench("outcome-mlp", Path(folder))
        for number in range(options.trials):
            if number not in done:
                trials.append(trial(bench, number))
                print(trials[-1], flush=True)
                machine = environment(threads=2)
                content = {
                    "machine": machine.summary(),
                    "versions": dict(machine.versions),
                    "median_seconds_after_warm": statistics.median(one["seconds_after_warm"] for one in trials),
                    "largest_manager_share": max(one["manager_share_of_a_core"] for one in trials),
                    "trials": trials,
                }
                options.json.write_text(json.dumps(content, indent=1) + "\n")
    median = statistics.median(one["seconds_after_warm"] for one in trials)
    manager = max(one["manager_share_of_a_core"] for one in trials)
    print(f"median {median:.0f} s after the workers are warm; manager at most {100 * manager:.2f} % of a core")
    return int(median > MOST_SECONDS or manager > MOST_OF_A_CORE)


if __name__ == "__main__":
    sys.exit(main())
