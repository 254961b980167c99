"""What is measured outside the rounds, each in a pass of its own: latency, starts, memory, energy, what is saved.

Percentiles need single calls, which the rounds' samples are not; memory and energy need a process that does nothing
else. While a pass runs, no other worker of the run does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from assay.errors import WorkerError
from assay.measure import caches, events
from assay.measure.arm import Arm
from assay.measure.crew import Crew
from assay.measure.plan import INFER, TRAIN, Plan, Task
from assay.measure.process import WorkerProcess
from assay.measure.record import Costs, Decision, Latency, Profile, Saved, Start
from assay.measure.record_file import RecordFile

PROFILE_CALLS, PROFILE_SECONDS = 20, 1.0  # at most, of each task
LATENCY_CALLS = 400  # the 99th percentile can be bounded from 299 on


class Passes:
    """The passes of a run. A contestant that fails in one keeps what it has: the failure is noted with the figures."""

    def __init__(self, plan: Plan, crew: Crew, file: RecordFile, tell: Callable[[events.Event], None]) -> None:
        self._plan = plan
        self._crew = crew
        self._file = file
        self._tell = tell

    # ------------------------------------------------------------------------------------------------------ latency

    def latencies(self, arms: list[Arm]) -> None:
        """Single predictions of each contestant's timed process, one contestant after another."""
        tasks = [task for task in self._plan.tasks if task.kind == INFER]
        for arm in arms:
            worker = arm.worker
            if worker is None or worker.dead is not None:
                continue
            with self._crew.still(except_for=[worker]):
                for task in tasks:
                    self._tell(events.StateChanged(arm.name, events.TIMING, f"latency, {task}"))
                    if not self._attempt(arm, f"latency of {task}", partial(self._latency, arm, worker, task)):
                        break

    def _latency(self, arm: Arm, worker: WorkerProcess, task: Task) -> None:
        reply = self._crew.call(
            worker,
            "latency",
            self._plan.effort.limits.call,
            task=str(task),
            calls=LATENCY_CALLS,
            seconds=self._plan.effort.latency_seconds,
        )
        times = tuple(nanoseconds / 1e9 for nanoseconds in reply["times_ns"])
        self._file.write(
            Latency(arm.name, arm.process, task.batch_size, times, reply["compiles"], reply["waited_ns"], arm.condition)
        )

    # -------------------------------------------------------------------------------------------------------- costs

    def costs(self, arms: list[Arm]) -> None:
        """A fresh process of each contestant with an empty compile cache, then another with what the first one left."""
        for arm in arms:
            if arm.worker is not None:  # its memory is wanted, and its threads must not disturb
                self._crew.end(arm.worker)
                arm.worker = None
        home = self._crew.cache_home
        for arm in arms:
            self._crew.cache_home = folder = self._plan.folder / "caches" / f"costs-{arm.condition}"
            self._tell(events.StateChanged(arm.name, events.COMPILING, "cost of a fresh process"))
            went_well = self._attempt(arm, "its costs", partial(self._in_fresh_process, arm, whole=True))
            if went_well and caches.keeps_programs(arm.contestant) and arm.condition == 0:
                self._attempt(arm, "its warm start", partial(self._in_fresh_process, arm, whole=False))
            self._tell(events.StateChanged(arm.name, events.DONE))
            shutil.rmtree(folder, ignore_errors=True)
        self._crew.cache_home = home

    def _in_fresh_process(self, arm: Arm, *, whole: bool) -> None:
        """Starts a process alone; `whole`: measures everything that one can be asked, not only how it starts."""
        condition = self._plan.conditions[arm.condition]
        worker = self._crew.start("costs", arm.contestant, condition.threads)
        try:
            with self._crew.still(except_for=[worker]):
                self._crew.answer(worker)  # its greeting
                loaded, opened = self._open(worker, arm)
                self._place(worker, arm)
                self._tasks(arm, worker, loaded, opened, whole=whole)
                if whole and arm.condition == 0:
                    self._save(arm, worker)
        finally:
            self._crew.end(worker)

    # ---------------------------------------------------------------------------------------------------- attribution

    def profiles(self, arms: list[Arm]) -> None:
        """A profile of every task, in a process of its own for each contestant."""
        for arm in arms:
            if arm.worker is not None:
                self._crew.end(arm.worker)
                arm.worker = None
        for arm in arms:
            self._tell(events.StateChanged(arm.name, events.TIMING, "profile"))
            self._attempt(arm, "its profile", partial(self._profile, arm))
            self._tell(events.StateChanged(arm.name, events.DONE))

    def _profile(self, arm: Arm) -> None:
        condition, limits = self._plan.conditions[arm.condition], self._plan.effort.limits
        worker = self._crew.start("timing", arm.contestant, condition.threads)  # with the timed one's compiled programs
        try:
            with self._crew.still(except_for=[worker]):
                self._crew.answer(worker)
                self._open(worker, arm)
                self._place(worker, arm)
                for task in self._plan.tasks:
                    self._crew.call(worker, "first", limits.compile, task=str(task))
                    reply = self._crew.call(
                        worker, "profile", limits.call, task=str(task), seconds=PROFILE_SECONDS, most=PROFILE_CALLS
                    )
                    self._file.write(
                        Profile(
                            contestant=arm.name,
                            condition=arm.condition,
                            task=task.kind,
                            batch_size=task.batch_size,
                            calls=reply["calls"],
                            seconds=reply["seconds"],
                            kinds=tuple((kind, share) for kind, share in reply["kinds"]),
                            operators=tuple(tuple(one) for one in reply["operators"]),
                        )
                    )
        finally:
            self._crew.end(worker)

    def _open(self, worker: WorkerProcess, arm: Arm) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The replies to `load` and `open`."""
        limits = self._plan.effort.limits
        loaded = self._crew.call(worker, "load", limits.load)
        where = {"folder": str(arm.entry.folder.absolute()), "mode": arm.contestant.mode}
        precision = self._plan.conditions[arm.condition].precision
        return loaded, self._crew.call(worker, "open", limits.load, dtype=precision, **where)

    def _place(self, worker: WorkerProcess, arm: Arm) -> None:
        self._crew.call(
            worker,
            "place",
            self._plan.effort.limits.call,
            data=str(arm.entry.data_file.absolute()),
            tasks=[(task.kind, task.batch_size) for task in self._plan.tasks],
            count=self._plan.effort.batches,
            constants=dict(self._plan.constants),
        )

    def _tasks(
        self, arm: Arm, worker: WorkerProcess, loaded: Mapping[str, Any], opened: Mapping[str, Any], *, whole: bool
    ) -> None:
        """The first task's start, then what each task costs. Prediction comes before training, whose memory stays."""
        limits, effort = self._plan.effort.limits, self._plan.effort
        for number, task in enumerate(sorted(self._plan.tasks, key=lambda one: (one.kind == TRAIN, one.batch_size))):
            first = self._crew.call(worker, "first", limits.compile, task=str(task))
            if number == 0:
                self._file.write(_start(arm, task, loaded, opened, first))
            if not whole:
                return
            reply = self._crew.call(
                worker, "cost", limits.call, task=str(task), calls=10, seconds=effort.energy_seconds
            )
            base = loaded["resident_bytes"]
            self._file.write(
                Costs(
                    contestant=arm.name,
                    task=task.kind,
                    batch_size=task.batch_size,
                    condition=arm.condition,
                    first_bytes=_above(first["high_water_bytes"], base),
                    steady_bytes=_above(reply["high_water_bytes"], base),
                    device_bytes=reply["device_bytes"],
                    joules=reply["joules"],
                    calls=reply["calls"],
                    energy_source=reply["energy_source"],
                )
            )

    def _save(self, arm: Arm, worker: WorkerProcess) -> None:
        """What the framework itself saves of the model, with its size; some models cannot be saved."""
        folder = self._plan.folder / "artefacts" / arm.name.replace("/", "-").replace(":", "-")
        folder.mkdir(parents=True, exist_ok=True)
        weights = arm.entry.folder / "weights.safetensors"
        size = weights.stat().st_size if weights.exists() else None
        try:
            reply = self._crew.call(worker, "save", self._plan.effort.limits.compile, folder=str(folder.absolute()))
        except WorkerError as error:
            if worker.dead is not None:
                raise
            self._file.write(Saved(arm.name, None, None, size, str(error)))
            return
        self._file.write(Saved(arm.name, reply["format"], _size(folder), size))

    def _attempt(self, arm: Arm, what: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except WorkerError as error:
            self._file.write(Decision(f"{arm.name}: {what} could not be measured: {error}"))
            self._tell(events.Notice(f"{arm.name}: {what} could not be measured: {error}"))
            return False
        return True


def _start(
    arm: Arm, task: Task, loaded: Mapping[str, Any], opened: Mapping[str, Any], first: Mapping[str, Any]
) -> Start:
    calls = [call["wall_ns"] / 1e9 for call in first["calls"]]
    found, missed = (a + b for a, b in zip(opened["cache"], first["cache"], strict=True))
    return Start(
        contestant=arm.name,
        condition=arm.condition,
        task=task.kind,
        batch_size=task.batch_size,
        cache=caches.state(found, missed),
        import_s=(loaded["ended_ns"] - loaded["began_ns"]) / 1e9,
        build_s=(opened["ended_ns"] - opened["began_ns"]) / 1e9,
        first_s=calls[0],
        # What a later call does not need: tracing, compiling, loading programs, making buffers.
        compile_s=max(0.0, calls[0] - min(calls[1:])),
    )


def _above(bytes_: int, base: int | None) -> int | None:
    return max(0, bytes_ - base) if base is not None else None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
