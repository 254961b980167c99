"""Brings a contestant to where it can be timed: import, build, first calls; and asks for its outputs afterwards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from assay.errors import WorkerError
from assay.measure import events
from assay.measure.arm import Arm, Fail, TellState
from assay.measure.background import Background, Job, Script
from assay.measure.crew import Crew
from assay.measure.plan import Plan, Task
from assay.measure.process import WorkerProcess
from assay.measure.record import Cold, FirstCalls, Outputs
from assay.measure.record_file import RecordFile


class Preparing:
    """The scripts that run beside others in the background; what they time is the cold start, labelled so."""

    def __init__(
        self,
        plan: Plan,
        crew: Crew,
        background: Background,
        file: RecordFile,
        state: TellState,
        fail: Fail,
        tell: Callable[[events.Event], None],
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._background = background
        self._file = file
        self._state = state
        self._fail = fail
        self._tell = tell
        # Prediction before training: what training leaves in memory must not count as prediction's.
        self._tasks = sorted(plan.tasks, key=lambda task: (task.kind == "train", task.batch_size))

    def job(self, arm: Arm) -> Job:
        return Job(
            f"prepare {arm.name}",
            begin=lambda: self._script(arm),
            failed=lambda error: self._fail(arm, "prepare", str(error)),
            holds=frozenset({arm.name}),
            wanted=lambda: arm.reason is None,
        )

    def _script(self, arm: Arm) -> Script:
        limits, name = self._plan.effort.limits, arm.name
        self._state(name, events.IMPORTING, "")
        condition = self._plan.conditions[arm.condition]
        worker = arm.worker = self._crew.start("timing", arm.contestant, condition.threads)
        yield worker
        loaded, beside_load = yield from self._ask(worker, "load", limits.load)
        self._state(name, events.BUILDING, "")
        folder = str(arm.entry.folder.absolute())
        mode = arm.contestant.mode
        opened, beside_open = yield from self._ask(
            worker, "open", limits.load, folder=folder, mode=mode, dtype=condition.precision
        )
        self._file.write(
            Cold(
                name,
                arm.process,
                import_s=_wall(worker, loaded),
                import_cpu_s=loaded["cpu_ns"] / 1e9,
                build_s=_wall(worker, opened),
                build_cpu_s=opened["cpu_ns"] / 1e9,
                base_bytes=loaded["resident_bytes"],
                beside=beside_load or beside_open,
                cache=tuple(opened["cache"]),
                device=opened["device"],
                condition=arm.condition,
                arithmetic=opened["arithmetic"],
            )
        )
        yield from self._ask(
            worker,
            "place",
            limits.call,
            data=str(arm.entry.data_file.absolute()),
            tasks=[(task.kind, task.batch_size) for task in self._tasks],
            count=self._plan.effort.batches,
            constants=dict(self._plan.constants),
        )
        for task in self._tasks:
            self._state(name, events.COMPILING, str(task))
            reply, beside = yield from self._ask(worker, "first", limits.compile, task=str(task))
            self._file.write(_first_calls(arm, worker, task, reply, beside))
        arm.prepared = True
        self._state(name, events.READY, "")

    def _ask(
        self, worker: WorkerProcess, name: str, limit: float, **fields: Any
    ) -> Generator[WorkerProcess, Mapping[str, Any], tuple[Mapping[str, Any], bool]]:
        """The answer, and whether another worker ran while it was worked on."""
        before = self._background.beside(worker)
        worker.send(name, limit, **fields)
        reply = yield worker
        return reply, before or self._background.beside(worker)

    def outputs_job(self, arm: Arm) -> Job:
        """After timing: what the timed process computes for the proof's inputs, from its starting weights."""
        return Job(
            f"outputs of {arm.name}",
            begin=lambda: self._outputs(arm),
            failed=lambda error: self._fail(arm, "outputs", str(error)),
            wanted=lambda: arm.reason is None and arm.worker is not None,
        )

    def _outputs(self, arm: Arm) -> Script:
        worker, proving = arm.worker, self._plan.proving
        if worker is None or proving is None:
            raise WorkerError(f"{arm.name}: there is no worker or no proof to take outputs for")
        condition = self._plan.conditions[arm.condition]
        save = self._plan.array_file(arm.name, f"{condition.precision}-{condition.threads}")
        arrays = str(proving.arrays.absolute())
        reply, _ = yield from self._ask(
            worker, "outputs", self._plan.effort.limits.compile, arrays=arrays, save=str(save)
        )
        health = (reply["not_finite"], reply["subnormal"])
        self._file.write(Outputs(arm.name, arm.process, str(save), *health, condition=arm.condition))
        self._tell(events.OutputsReady(arm.name, str(save)))
        if reply["not_finite"] or reply["subnormal"]:
            self._tell(
                events.Notice(
                    f"{arm.name}: while it was timed {reply['not_finite']} numbers of its state became infinite or NaN "
                    f"and {reply['subnormal']} subnormal, which can change its speed"
                )
            )


def _wall(worker: WorkerProcess, reply: Mapping[str, Any]) -> float:
    """Seconds without the time for which we had stopped the worker."""
    began, ended = reply["began_ns"], reply["ended_ns"]
    return float(ended - began - worker.paused_ns(began, ended)) / 1e9


def _first_calls(arm: Arm, worker: WorkerProcess, task: Task, reply: Mapping[str, Any], beside: bool) -> FirstCalls:
    calls = reply["calls"]
    return FirstCalls(
        arm.name,
        arm.process,
        task.kind,
        task.batch_size,
        wall_s=tuple(_wall(worker, call) for call in calls),
        cpu_s=tuple(call["cpu_ns"] / 1e9 for call in calls),
        compiles=tuple(call["compiles"] for call in calls),
        peak_bytes=reply["high_water_bytes"],
        peak_is_of_the_task=reply["high_water_is_of_the_task"],
        beside=beside,
        cache=tuple(reply["cache"]),
        condition=arm.condition,
    )
