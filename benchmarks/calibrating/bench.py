"""Plans whose arms are one contestant many times over, each arm in a process of its own, measured by the product itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.frameworks import Contestant, find
from assay.frameworks import target as find_target
from assay.judge import TaskVerdict, judge, paired
from assay.measure import Effort, Entry, Plan, Record, Task, caches
from assay.measure.crew import Crew
from assay.measure.process import WorkerProcess
from assay.verbs.proving import save_all, write_all
from assay.verbs.subject import subject_of
from assay.workloads import find_workload
from assay.workloads.data import save_arrays

HERE = Path(__file__).parent.parent
RAW = None  # a session as it is; a number: slowed by so many per cent


class Bench:
    """The written packages of a workload, and plans over them."""

    def __init__(self, workload: str, folder: Path) -> None:
        model = find_workload(workload).model()
        subject = subject_of(model, (), 0)
        self.batch_size = subject.batch_size
        self.folder = folder
        self.packages = save_all(write_all(model, ("pytorch", "jax")).packages, folder / "packages")
        self.data = folder / "data.safetensors"
        save_arrays(subject.dataset, self.data)

    def plan(
        self,
        contestant: str,
        arms: Sequence[int | None],
        tasks: Sequence[Task],
        effort: Effort,
        name: str,
        seed: int,
        threads: int = 0,
    ) -> Plan:
        """Arms are named `a00:eager`, `a01:eager` … in the order given; the twin is the first one's."""
        framework, _, mode = contestant.partition(":")
        own = f"assay.frameworks.{framework}.run:Session"
        entries = tuple(
            Entry(Contestant(f"a{number:02d}", mode), self.packages[framework], self.data)
            for number in range(len(arms))
        )
        sessions = {
            entry.contestant.target: own if slow is RAW else f"calibrating.sessions:{framework}_{slow}"
            for entry, slow in zip(entries, arms, strict=True)
        }
        environment = {
            **find(framework).environment,
            **caches.environment(find_target(framework), "calibration", contestant),
            "PYTHONPATH": str(HERE),
        }
        return Plan(
            entries=entries,
            folder=self.folder / name,
            tasks=tuple(tasks),
            effort=effort,
            seed=seed,
            threads=threads,
            sessions=sessions,
            environment=environment,
        )


def arm(number: int, contestant: str) -> str:
    """The name of an arm in the record."""
    return f"a{number:02d}:{contestant.partition(':')[2]}"


def verdict_on(record: Record, a: str, b: str, task: tuple[str, int]) -> TaskVerdict:
    """What the product says of two arms at one task, as if only they (and the twin) had been measured."""
    needed = {a, b, *(s.contestant for s in record.samples if s.twin)}  # the twin is held against its contestant
    kept = tuple(s for s in record.samples if s.contestant in needed)
    header = replace(record.header, contestants=(a, b), tasks=(task,))
    verdict = judge(replace(record, header=header, samples=kept))
    if not verdict.tasks:
        raise RuntimeError(verdict.reason)
    if verdict.tasks[0].smallest_difference is None:
        raise RuntimeError("the twin is missing, so nothing could be told of anybody")
    return verdict.tasks[0]


def called(verdict: TaskVerdict, name: str) -> str:
    """What was said of an arm: faster, slower, equivalent, not-resolved or busy (nothing was said of anybody)."""
    if verdict.too_busy is not None:
        return "busy"
    (pair,) = verdict.comparisons
    if pair.outcome not in ("faster", "slower"):
        return pair.outcome
    return pair.outcome if pair.a == name else {"faster": "slower", "slower": "faster"}[pair.outcome]


def usual_way(record: Record, a: str, b: str, task: tuple[str, int]) -> dict[str, float]:
    """p-values of Welch's t-test on mean times of samples, the way it is usually done.

    `blocked`: one process each, one after the other: a's first process, b's second one. `beside`: one process each, in the
    same rounds. `pooled`: the samples of all processes, as if they were independent.
    """
    from scipy.stats import ttest_ind  # type: ignore[import-untyped]

    def times(name: str, processes: Sequence[int]) -> list[float]:
        blocks = paired.blocks_of(record.samples, name, *task)
        return [value for process in processes for value in blocks[process].values()]

    every = sorted(paired.blocks_of(record.samples, a, *task))
    chosen = {"blocked": ([0], [1]), "beside": ([0], [0]), "pooled": (every, every)}
    return {
        name: float(ttest_ind(times(a, one), times(b, other), equal_var=False).pvalue)
        for name, (one, other) in chosen.items()
    }


def interval_of(record: Record, a: str, b: str, task: tuple[str, int]) -> Mapping[str, Any]:
    """The interval over processes without the twin and the rule of the busy machine, and what each process said."""
    one, other = (paired.blocks_of(record.samples, name, *task) for name in (a, b))
    found = paired.compare(one, other)
    if found is None:
        raise RuntimeError(f"{a} and {b} share no block")
    medians = [sorted(values)[len(values) // 2] for values in paired.log_ratios(one, other).values()]
    return {
        "log_ratio": round(found.log_ratio, 5),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
        "p": found.p_value,
        "of_processes": [round(value, 5) for value in medians],
    }


@contextmanager
def load(count: int) -> Iterator[None]:
    """So many other programs that keep a processor busy, each in a session of its own as other users' programs are."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True, env=dict(os.environ))
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@dataclass
class ManagerCost:
    """CPU time of this process, the manager, while a sample is taken, and how long that was."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0


@contextmanager
def watch_manager() -> Iterator[ManagerCost]:
    """Counts what the manager uses from the request of a sample to its answer."""
    cost, original = ManagerCost(), Crew.call

    def call(self: Crew, worker: WorkerProcess, name: str, limit: float, **fields: Any) -> Mapping[str, Any]:
        cpu, wall = time.process_time(), time.perf_counter()
        answer = original(self, worker, name, limit, **fields)
        if name == "sample":
            cost.cpu_s += time.process_time() - cpu
            cost.wall_s += time.perf_counter() - wall
        return answer

    Crew.call = call  # type: ignore[method-assign]
    try:
        yield cost
    finally:
        Crew.call = original  # type: ignore[method-assign]
