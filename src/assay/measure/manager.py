"""One run: every contestant proven and prepared in the background, then timed in interleaved rounds.

Contestants come in waves. The first wave is timed as soon as its members are ready, so that its rows can be shown; the
last wave times everybody who is alive, together, because only arms of the same round can be paired. While a sample is
timed nothing else of ours runs: workers that prepare are stopped, with the helpers they started.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from assay import __version__
from assay.errors import WorkerError
from assay.measure import events
from assay.measure.arm import Arm
from assay.measure.background import Background
from assay.measure.crew import Crew
from assay.measure.environment import environment
from assay.measure.plan import Plan, ProveCallback
from assay.measure.prepare import Preparing
from assay.measure.process import WorkerProcess
from assay.measure.prover import Prover
from assay.measure.record import FORMAT, End, Failure, Header, Record, RecordFile
from assay.measure.rounds import Rounds

OnEvent = Callable[[events.Event], None]


def measure(plan: Plan, prove: ProveCallback | None = None, on_event: OnEvent | None = None) -> Record:
    """Proves, prepares and times every contestant of the plan.

    Everything is written to `plan.folder/record.jsonl` as it becomes known. A contestant that fails is recorded with
    its reason and the others go on. Ctrl-C ends the run: what is there is returned, and `interrupted` says so.

    Raises OutputError if the folder cannot be written or holds a record already.
    """
    file = RecordFile(plan.folder / "record.jsonl")
    try:
        return _Run(plan, prove, on_event or (lambda event: None), file).run()
    finally:
        file.close()


class _Run:
    """The state of one run."""

    def __init__(self, plan: Plan, prove: ProveCallback | None, tell: OnEvent, file: RecordFile) -> None:
        self._plan = plan
        self._prove = prove
        self._tell = tell
        self._file = file
        self._arms = [Arm(entry) for entry in plan.entries]
        self._crew = Crew(plan.folder, plan.thread_count, plan.environment, plan.sessions, plan.effort.limits)
        self._background = Background(self._crew, plan.effort.slots, self._lost)
        self._preparing = Preparing(plan, self._crew, self._background, file, self._tell_state, self._fail, tell)
        self._rounds = Rounds(plan, self._crew, file, tell, random.Random(plan.seed), self._fail)

    def run(self) -> Record:
        """The whole run, ended by itself or by Ctrl-C."""
        began = time.monotonic()
        machine = environment(self._plan.thread_count, self._crew.cpus, self._plan.environment)
        self._file.write(_header(self._plan))
        self._file.write(machine)
        interrupted = False
        try:
            with self._crew:
                for condition in range(len(self._plan.conditions)):
                    self._under(condition)
                    for process in range(1, self._plan.effort.processes):
                        self._another_process(process)
                for arm in self._alive():
                    self._tell_state(arm.name, events.DONE)
        except KeyboardInterrupt:
            interrupted = True
        self._file.write(End(time.monotonic() - began, interrupted))
        record = self._file.record()
        self._tell(events.RowsReady(record.measurements, final=True))
        return record

    def _under(self, condition: int) -> None:
        """The first process of each contestant under a condition; proofs are made before the first."""
        if condition == 0:
            self._first_process()
            return
        for arm in self._arms:
            if arm.worker is not None:
                self._crew.end(arm.worker)
                arm.worker = None
            arm.condition = condition
            if not arm.out_for_good:
                arm.reason = None  # what a contestant cannot do under one condition it may do under another
        self._another_process(0)
        self._take_outputs()

    def _first_process(self) -> None:
        """Proofs, cold starts, and one process of each contestant timed."""
        self._queue_work()
        first = [arm for arm in self._arms if arm.name in self._plan.first_wave]
        if self._plan.tasks and first and len(first) < len(self._arms):
            self._settle(first)
            if self._time(first, self._plan.effort.first_rounds):
                self._tell(events.RowsReady(self._file.record().measurements, final=False))
        self._settle(self._arms)
        self._time(self._arms)
        self._take_outputs()

    def _take_outputs(self) -> None:
        """What the timed processes compute for the proof's inputs; and whatever else is still to be done."""
        if self._plan.tasks and self._plan.proving is not None:
            for arm in self._alive():
                self._background.add(self._preparing.outputs_job(arm))
        while not self._background.idle:
            self._background.turn()

    def _another_process(self, process: int) -> None:
        """One more replicate: new processes for all that are left, timed together."""
        arms = self._alive()
        for arm in arms:
            if arm.worker is not None:
                self._crew.end(arm.worker)
            arm.worker, arm.process, arm.prepared, arm.seconds = None, process, False, {}
            self._background.add(self._preparing.job(arm))
        self._settle(arms)
        self._time(arms)

    def _queue_work(self) -> None:
        """Each contestant's proof and preparation: those of the first wave, then the others, in the plan's order."""
        proving = self._plan.proving
        prover = Prover(self._plan, self._crew, self._file, self._prove, self._tell_state, self._fail)
        for arm in sorted(self._arms, key=lambda arm: arm.name not in self._plan.first_wave):
            self._tell_state(arm.name, events.WAITING)
            if proving is None:
                prover.skip(arm)
            else:
                self._background.add(prover.job(arm, proving))
            if self._plan.tasks:
                self._background.add(self._preparing.job(arm))
        if self._plan.curve is not None and proving is not None:
            for arm in self._arms:
                self._background.add(prover.curve_job(arm, self._plan.curve, "float32"))
                if arm.name in self._plan.curve.truth:
                    for rounding in range(self._plan.curve.roundings + 1):
                        self._background.add(prover.curve_job(arm, self._plan.curve, "float64", rounding))

    def _alive(self) -> list[Arm]:
        return [arm for arm in self._arms if arm.reason is None]

    def _settle(self, arms: Sequence[Arm]) -> None:
        """Lets the background work until each of these is ready or has failed."""
        timed = bool(self._plan.tasks)
        while not all(arm.settled(timed) for arm in arms) and not self._background.idle:
            self._background.turn()
        for arm in arms:
            if not arm.settled(timed):
                self._fail(arm, "prepare", "its preparation ended without a result")

    def _time(self, arms: Sequence[Arm], most: int | None = None) -> bool:
        ready = [arm for arm in arms if arm.reason is None and arm.prepared]
        if ready:
            self._rounds.run(ready, most)
        return bool(ready)

    def _lost(self, worker: WorkerProcess, error: WorkerError) -> None:
        for arm in self._arms:
            if arm.worker is worker:
                self._fail(arm, "waiting", str(error))

    def _fail(self, arm: Arm, stage: str, reason: str) -> None:
        """Takes a contestant out of the run; its samples so far stay."""
        if arm.reason is not None:
            return
        arm.reason = reason
        arm.out_for_good = stage == "prove"
        self._file.write(Failure(arm.name, stage, reason, None if arm.out_for_good else arm.condition))
        if arm.worker is not None:
            self._background.cancel(arm.worker)
            self._crew.end(arm.worker)
            arm.worker = None
        self._tell_state(arm.name, events.FAILED, reason)

    def _tell_state(self, contestant: str, state: str, detail: str = "") -> None:
        self._tell(events.StateChanged(contestant, state, detail))


def _header(plan: Plan) -> Header:
    effort = plan.effort
    facts = asdict(effort) | {"label": effort.label, "indicative": effort.indicative}
    return Header(
        format=FORMAT,
        assay=__version__,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        contestants=tuple(entry.name for entry in plan.entries),
        tasks=tuple((task.kind, task.batch_size) for task in plan.tasks),
        twin_of=plan.twin_of,
        threads=plan.conditions[0].threads,
        seed=plan.seed,
        proving=plan.proving is not None,
        effort=facts,
        constants=dict(plan.constants),
        conditions=tuple((condition.threads, condition.precision) for condition in plan.conditions),
    )
