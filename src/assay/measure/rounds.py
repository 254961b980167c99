"""The timing itself: rounds in which every arm is sampled once, in an order drawn from Latin squares."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.errors import WorkerError
from assay.measure import events
from assay.measure.arm import Arm
from assay.measure.background import Script
from assay.measure.calibrate import Calls, choose_calls, classify, level
from assay.measure.crew import Crew
from assay.measure.order import orders
from assay.measure.past import Past
from assay.measure.plan import Plan, Task
from assay.measure.record import Decision, Sample, Warmup
from assay.measure.record_file import RecordFile

_RUN_IN = 0.01  # seconds of untimed calls before each sample
_NO_RUN_IN = 0.1  # a call that takes this long hides what waking up costs
_ATTEMPTS = 2  # at a sample, if something was compiled during the first


@dataclass(frozen=True)
class Slot:
    """An arm's place in a round: the contestant, or its twin (the same contestant once more).

    A twin is an arm with a process of its own, or else the contestant's own arm, sampled twice.
    """

    arm: Arm
    twin: bool


# Told that a worker was lost while it was timed; True if its arm may go on in a new process.
Lost = Callable[[Arm, WorkerError], bool]
# The script that brings an arm, in a new process, to where it can be timed.
Prepare = Callable[[Arm], Script]


class Rounds:
    """Times waves of arms. Waves, rounds and blocks are numbered through the run."""

    def __init__(
        self,
        plan: Plan,
        crew: Crew,
        file: RecordFile,
        tell: Callable[[events.Event], None],
        draw: random.Random,
        lost: Lost,
        prepare: Prepare,
        past: Past | None = None,
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._file = file
        self._tell = tell
        self._draw = draw
        self._lost = lost
        self._prepare = prepare
        self._past = past
        self._chosen: dict[tuple[int, Task], Calls] = {}
        self.replicates_left = 0  # after the one that is timed, for the progress
        self._wave = past.next_wave if past else 0
        self.block = past.next_block if past else 0
        self._done = 0
        self._expected = 0

    def run(self, arms: Sequence[Arm], most: int | None = None) -> None:
        """One wave: warm-up where it is needed, then rounds of every task, while nothing else of ours runs.

        `most`: at most so many rounds, for a wave that is not the last one of its arms.
        """
        workers = [arm.worker for arm in arms if arm.worker is not None]
        with self._crew.still(except_for=workers):
            for arm in arms:
                self._warm(arm)
            alive = [arm for arm in arms if arm.reason is None]
            if alive:
                for arm in alive:
                    self._state(arm, events.TIMING)
                self._rounds(alive, min(self._plan.effort.rounds, most or self._plan.effort.rounds))
        self._wave += 1

    def _warm(self, arm: Arm) -> None:
        effort = self._plan.effort
        for task in self._plan.tasks:
            if str(task) in arm.seconds or arm.reason is not None:
                continue
            self._state(arm, events.WARMING, str(task))
            calls, seconds = effort.warmup_calls, effort.warmup_seconds
            reply = self._ask(arm, "warm", task, calls=calls, seconds=seconds)
            if reply is not None:
                times = tuple(nanoseconds / 1e9 for nanoseconds in reply["times_ns"])
                arm.seconds[str(task)] = level(times)
                shape = classify(times)
                of_task = (arm.name, arm.process, task.kind, task.batch_size)
                self._file.write(Warmup(*of_task, times, reply["compiles"], shape, condition=arm.condition))
        self._revive(arm)

    def _revive(self, arm: Arm) -> None:
        """Brings an arm whose worker was lost back in a new process, which warms up; nothing else runs meanwhile."""
        if arm.worker is not None or arm.reason is not None:
            return
        try:
            script = self._prepare(arm)
            worker = next(script)
            while not arm.prepared:
                try:
                    worker = script.send(self._crew.answer(worker))
                except StopIteration:
                    break
        except WorkerError as error:
            if not self._lost(arm, error):
                return
        self._warm(arm)

    def _rounds(self, arms: Sequence[Arm], count: int) -> None:
        chosen = {task: self._choose(task, arms) for task in self._plan.tasks}
        slots = self._slots(arms)
        begun = {task: self._rounds_before(task, arms) for task in self._plan.tasks}
        in_wave = sum(
            max(0, min(count, c.rounds[slot.arm.entry.name]) - begun[task])
            for task, c in chosen.items()
            for slot in slots
        )
        self._expected = self._done + in_wave * (1 + self.replicates_left)
        rows = {task: orders(slots, self._draw) for task in self._plan.tasks}
        for number in range(count):
            for task in self._draw.sample(self._plan.tasks, len(self._plan.tasks)):
                if number >= begun[task]:
                    self._round(number, task, next(rows[task]), chosen[task])

    def _rounds_before(self, task: Task, arms: Sequence[Arm]) -> int:
        """The rounds of this replicate that were timed before the run was cut short."""
        if self._past is None:
            return 0
        names = [arm.name for arm in arms if not arm.twin]
        return self._past.rounds(arms[0].condition, arms[0].process, task, names)

    def _slots(self, arms: Sequence[Arm]) -> list[Slot]:
        slots = [Slot(arm, arm.twin) for arm in arms]
        if not self._plan.effort.own_twin:
            slots.append(Slot(next((arm for arm in arms if arm.name == self._plan.twin_of), arms[0]), True))
        return slots

    def _choose(self, task: Task, arms: Sequence[Arm]) -> Calls:
        """The number of calls of each contestant's sample: that of the replicates before, as long as all have one."""
        key = arms[0].condition, task
        known = self._chosen.get(key)
        if known is not None and all(arm.entry.name in known.calls for arm in arms):
            return known
        seconds = {arm.entry.name: arm.seconds[str(task)] for arm in sorted(arms, key=lambda arm: not arm.twin)}
        chosen = choose_calls(str(task), seconds, self._plan.effort)
        before = self._past.calls(*key) if self._past else {}
        kept = {name: count for name, count in before.items() if name in chosen.calls}
        chosen = self._chosen[key] = replace(chosen, calls={**chosen.calls, **kept})
        for reason in chosen.reasons:
            self._file.write(Decision(f"wave {self._wave}, {reason}"))
        return chosen

    def _round(self, number: int, task: Task, order: Sequence[Slot], chosen: Calls) -> None:
        """One block: every arm that takes part in this round once."""
        present = [slot for slot in order if number < chosen.rounds[slot.arm.entry.name]]
        for position, slot in enumerate(present):
            for _ in range(_ATTEMPTS):
                if slot.arm.worker is None:
                    break
                sample = self._sample(number, task, position, slot, chosen.calls[slot.arm.entry.name])
                if sample is None or sample.void is None:
                    break
        self.block += 1
        for slot in present:
            self._revive(slot.arm)

    def _sample(self, number: int, task: Task, position: int, slot: Slot, calls: int) -> Sample | None:
        run_in = _RUN_IN if slot.arm.seconds[str(task)] < _NO_RUN_IN else 0.0
        reply = self._ask(slot.arm, "sample", task, calls=calls, run_in=run_in, start=number * calls)
        if reply is None:
            return None
        sample = Sample(
            contestant=slot.arm.entry.name,
            twin=slot.twin,
            process=slot.arm.process,
            task=task.kind,
            batch_size=task.batch_size,
            wave=self._wave,
            round=number,
            block=self.block,
            position=position,
            calls=calls,
            wall_ns=reply["wall_ns"],
            cpu_ns=reply["cpu_ns"],
            switches=reply["switches"],
            steal_ticks=reply["steal_ticks"],
            waited_ns=reply["waited_ns"],
            compiles=reply["compiles"],
            began_ns=reply["began_ns"],
            void=_void(slot.arm, reply["compiles"]),
            condition=slot.arm.condition,
        )
        self._file.write(sample)
        self._done += sample.void is None
        self._tell(events.SampleTaken(sample, self._done, max(self._expected, self._done)))
        return sample

    def _ask(self, arm: Arm, name: str, task: Task, **fields: Any) -> Mapping[str, Any] | None:
        """A request to a worker while all others are still; None, and the arm has no worker, if it fails."""
        if arm.worker is None:
            return None
        try:
            return self._crew.call(arm.worker, name, self._plan.effort.limits.call, task=str(task), **fields)
        except WorkerError as error:
            self._lost(arm, error)
            return None

    def _state(self, arm: Arm, state: str, detail: str = "") -> None:
        if not arm.twin:
            self._tell(events.StateChanged(arm.name, state, detail))


def _void(arm: Arm, compiles: int) -> str | None:
    """Why a sample does not count. Eager execution that compiles an operation at every call pays for it at every call:
    there it is part of the time."""
    if compiles and arm.contestant.mode != "eager":
        return "something was compiled while it was timed"
    return None
