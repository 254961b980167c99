"""One run: every contestant proven and prepared in the background, then timed in interleaved rounds.

Contestants come in waves. The first wave is timed as soon as its members are ready, so that its rows can be shown; the
last wave times everybody who is alive, together, because only arms of the same round can be paired. While a sample is
timed nothing else of ours runs: workers that prepare are stopped, with the helpers they started.

All of that happens in the first process of each contestant. More processes of each, as many as the effort and the
scatter of the first ones ask for, are replicates of it, without proofs and waves.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.errors import WorkerError
from assay.frameworks import installed_versions
from assay.measure import events, moments
from assay.measure.arm import Arm
from assay.measure.background import Background
from assay.measure.crew import Crew
from assay.measure.environment import Environment
from assay.measure.heading import header_of, machine_of, now
from assay.measure.outlook import Look, blind
from assay.measure.pace import ENDED, Pace
from assay.measure.passes import Passes
from assay.measure.past import Past, upgraded
from assay.measure.plan import Plan, ProveCallback
from assay.measure.prepare import Preparing
from assay.measure.process import WorkerProcess
from assay.measure.prover import Prover
from assay.measure.record import Decision, End, Failure, Loss, Record, Remark, Resumed
from assay.measure.record_file import RecordFile
from assay.measure.rounds import Rounds
from assay.measure.summary import UPGRADE

OnEvent = Callable[[events.Event], None]


def measure(
    plan: Plan,
    prove: ProveCallback | None = None,
    on_event: OnEvent | None = None,
    look: Look = blind,
    past: Past | None = None,
) -> Record:
    """Proves, prepares and times every contestant of the plan.

    `look` is asked between processes how many of them the measurement needs.
    Everything is written to `plan.folder/record.jsonl` as it becomes known. A contestant that fails is recorded with
    its reason and the others go on. Ctrl-C ends the run: what is there is returned, and `interrupted` says so.

    `past` is what an earlier part of the same run left in the folder's record: its samples stand, and what is missing is
    added. Contestants whose code or framework has changed since are out.

    Raises OutputError if the folder cannot be written or holds a record already, and DataError for a past that cannot be
    gone on with: another plan, another machine.
    """
    if past is not None:
        past.check(header_of(plan), machine_of(plan))
    file = RecordFile(plan.folder / "record.jsonl", resume=past is not None)
    try:
        return _Run(plan, prove, on_event or (lambda event: None), file, look, past).run()
    finally:
        file.close()


class _Run:
    """The state of one run."""

    def __init__(
        self,
        plan: Plan,
        prove: ProveCallback | None,
        tell: OnEvent,
        file: RecordFile,
        look: Look,
        past: Past | None = None,
    ) -> None:
        self._plan = plan
        self._past = past
        self._prove = prove
        self._tell = tell
        self._file = file
        self._look = look
        self._began = time.monotonic() - (past.seconds if past else 0.0)  # the budget counts the earlier parts
        self._pace = Pace(plan.effort)
        self._versions: dict[str, str] = {}  # of what is installed, when the run was begun
        self._arms = [Arm(entry) for entry in plan.entries]
        self._twin: Arm | None = None  # of a process of its own
        self._crew = Crew(
            plan.folder,
            plan.thread_count,
            plan.environment,
            plan.sessions,
            plan.effort.limits,
            plan.environments,
            plan.device,
        )
        self._background = Background(self._crew, plan.effort.slots, self._waiting_lost)
        self._preparing = Preparing(
            plan, self._crew, self._background, file, self._tell_state, self._preparation_failed, tell
        )
        self._passes = Passes(plan, self._crew, file, tell)
        self._rounds = Rounds(
            plan,
            self._crew,
            file,
            tell,
            random.Random(plan.seed if past is None else f"{plan.seed} from block {past.next_block}"),
            lambda arm, error: self._lost(arm, "timing", str(error)),
            lambda arm: self._preparing.job(arm).begin(),
            past,
        )

    def run(self) -> Record:
        """The whole run, ended by itself or by Ctrl-C."""
        machine = machine_of(self._plan, self._crew.cpus)
        began = moments.now()
        self._versions = dict(machine.versions)
        if self._past is None:
            self._file.write(header_of(self._plan))
            self._file.write(machine)
        interrupted = False
        try:
            with self._crew:
                if self._past is not None:
                    self._go_on(self._past, machine)
                for condition in range(len(self._plan.conditions)):
                    self._under(condition)
                self._watch_versions()
                for arm in self._alive():
                    self._tell_state(arm.name, events.DONE)
        except KeyboardInterrupt:
            interrupted = True
        for text in moments.remarks(began, moments.now()):
            self._file.write(Remark(text))
        self._file.write(End(time.monotonic() - self._began, interrupted))
        record = self._file.record()
        self._tell(events.RowsReady(record.measurements, final=True))
        return record

    def _watch_versions(self) -> None:
        """Takes out whose framework has been exchanged since the run was begun: nobody knows which one was measured."""
        now = installed_versions(list(self._versions))
        for name, reason in upgraded([arm.name for arm in self._alive()], self._versions, now).items():
            self._fail(next(arm for arm in self._alive() if arm.name == name), UPGRADE, reason)

    def _go_on(self, past: Past, machine: Environment) -> None:
        """Says that the run goes on, and who cannot."""
        then = past.record.environment.versions
        changed = {name: version for name, version in machine.versions.items() if then.get(name) != version}
        self._file.write(Resumed(now(), changed))
        out = {**past.changed, **past.upgraded(machine)}
        for arm in self._arms:
            if arm.name in out and arm.name not in past.failed(0):
                self._fail(arm, "resume", out[arm.name])

    def _under(self, condition: int) -> None:
        """All processes under one condition; proofs are made before the first."""
        self._pace = Pace(self._plan.effort, (condition + 1) / len(self._plan.conditions), self._began)
        for arm in self._arms:
            self._end_worker(arm)
            arm.condition, arm.losses = condition, 0
            if not arm.out_for_good:
                arm.reason = None  # what a contestant cannot do under one condition it may do under another
        done = self._recall(condition)
        self._first_process(condition, done)
        if done:
            self._pace.go_on(done, lambda: self._look(self._file.record().under(condition)))
        if self._past is None or not self._past.ended(condition):
            self._further_processes(condition)
        if self._plan.tasks and self._plan.effort.costs:
            if self._pace.over:
                text = f"{ENDED} the budget of {self._plan.effort.budget_s:g} s: starts, memory and energy were not measured"
                self._file.write(Decision(text))
            else:
                self._passes.costs(self._without("costs", condition))
        if self._plan.tasks and self._plan.effort.attribute and condition == 0:
            self._passes.profiles(self._without("profile", condition))

    def _further_processes(self, condition: int) -> None:
        """As many replicates as the effort and the scatter of the first ones ask for."""
        while self._plan.tasks and self._alive() and self._pace.another():
            self._another_process(self._pace.done)
            self._end_process(condition)
        if self._plan.effort.most_processes > 1 and self._plan.tasks and self._alive():
            self._file.write(Decision(self._pace.summary()))

    def _recall(self, condition: int) -> int:
        """Who was out before the run was cut short; how many replicates under this condition had been completed."""
        if self._past is None:
            return 0
        failed = self._past.failed(condition)
        for arm in self._arms:
            if arm.reason is None and arm.name in failed:
                arm.reason, arm.out_for_good = failed[arm.name]
                self._tell_state(arm.name, events.FAILED, arm.reason)
        return self._past.replicates(condition)

    def _first_process(self, condition: int, done: int) -> None:
        """Proofs, if they have not been made, cold starts, and one process of each contestant timed.

        `done`: replicates that an earlier part of the run completed; then only what is missing of all that is added.
        """
        effort = self._plan.effort
        self._rounds.replicates_left = effort.processes - 1
        self._crew.cache_home = self._cache_of(0)
        begun = condition > 0 or (self._past is not None and self._past.begun(condition))
        if condition == 0:
            self._queue_work(prepare=not begun)
        if not begun:
            first = [arm for arm in self._arms if arm.name in self._plan.first_wave]
            if self._plan.tasks and first and len(first) < len(self._arms):
                self._settle(first)
                if self._time(first, effort.first_rounds):
                    self._tell(events.RowsReady(self._file.record().measurements, final=False))
            self._settle(self._arms)
            self._time(self._with_twin(0))
        elif self._plan.tasks and (
            done == 0 or self._outputs_missing(condition) or self._without("latency", condition)
        ):
            self._another_process(0)
        self._passes.latencies(self._without("latency", condition))
        self._take_outputs()
        if self._plan.tasks and done == 0:
            self._end_process(condition, self._seconds_of_a_process(condition))
        elif effort.most_processes > 1:
            self._end_workers()

    def _outputs_missing(self, condition: int) -> list[Arm]:
        """Contestants that have not shown what their timed process computes."""
        if self._plan.proving is None:
            return []
        past = self._past
        return [arm for arm in self._alive() if past is None or not past.has_outputs(arm.name, condition)]

    def _without(self, what: str, condition: int) -> list[Arm]:
        """Contestants of whom an earlier part of the run did not record the pass that is named."""
        past = self._past
        return [arm for arm in self._alive() if past is None or not past.has_pass(what, arm.name, condition)]

    def _take_outputs(self) -> None:
        """What the timed processes compute for the proof's inputs; and whatever else is still to be done."""
        if self._plan.tasks:
            for arm in self._alive():
                if arm in self._outputs_missing(arm.condition):
                    self._background.add(self._preparing.outputs_job(arm))
        while not self._background.idle:
            self._background.turn()

    def _another_process(self, process: int) -> None:
        """One more replicate: new processes for all that are left, timed together."""
        self._watch_versions()
        self._rounds.replicates_left = max(0, self._pace.wanted - process - 1)
        self._crew.cache_home = self._cache_of(process)
        for arm in self._alive():
            arm.begin(process)
            self._background.add(self._preparing.job(arm))
        self._time(self._with_twin(process))

    def _end_process(self, condition: int, expected: float | None = None) -> None:
        """Ends the processes of a replicate, whose memory the next one needs, and sees how many more there will be."""
        if self._plan.effort.most_processes > 1:
            self._end_workers()
        self._tell(self._pace.finished(lambda: self._look(self._file.record().under(condition)), expected))

    def _end_workers(self) -> None:
        for arm in [*self._arms, *([self._twin] if self._twin else [])]:
            self._end_worker(arm)

    def _end_worker(self, arm: Arm) -> None:
        if arm.worker is not None:
            self._crew.end(arm.worker)
            arm.worker = None

    def _with_twin(self, process: int) -> list[Arm]:
        """All that are left, ready to be timed, with the baseline's A/A twin, which has a process of its own."""
        arms = self._alive()
        if not self._plan.effort.own_twin or not self._plan.tasks or not arms:
            self._settle(arms)
            return self._alive()
        named = next((arm for arm in arms if arm.name == self._plan.twin_of), arms[0])
        twin = self._twin = Arm(named.entry, twin=True, proven=True, process=process, condition=named.condition)
        self._background.add(self._preparing.job(twin))
        self._settle([*arms, twin])
        return [arm for arm in [*arms, twin] if arm.reason is None]

    def _seconds_of_a_process(self, condition: int) -> float:
        """About how long one more process of all contestants will take: the last one, without its proofs and waits."""
        record = self._file.record().under(condition)
        seconds = sum(cold.import_s + cold.build_s for cold in record.colds if not cold.process)
        seconds += sum(sum(first.wall_s) for first in record.first_calls if not first.process)
        timed = sum(sample.wall_ns for sample in record.samples if not sample.process) / 1e9
        warming = sum(sum(warmup.times_s) for warmup in record.warmups if not warmup.process)
        return seconds / self._plan.effort.slots + timed * 1.2 + warming

    def _cache_of(self, process: int) -> Path | None:
        """An empty folder for compiled programs where a replicate has to start cold."""
        cold = process < self._plan.effort.cold_processes
        return self._plan.folder / "caches" / str(process) if cold else None

    def _queue_work(self, prepare: bool) -> None:
        """Each contestant's proof and preparation: those of the first wave, then the others, in the plan's order."""
        proving = self._plan.proving
        prover = Prover(self._plan, self._crew, self._file, self._prove, self._tell_state, self._fail)
        proved = self._past.proved if self._past is not None else {}
        for arm in sorted(self._arms, key=lambda arm: arm.name not in self._plan.first_wave):
            self._tell_state(arm.name, events.WAITING)
            if arm.name in proved:
                prover.reuse(arm, proved[arm.name])
            elif arm.reason is not None:
                continue
            elif proving is None:
                prover.skip(arm)
            else:
                self._background.add(prover.job(arm, proving))
            if self._plan.tasks and prepare:
                self._background.add(self._preparing.job(arm))
        prover.ask_again()
        self._queue_curves(prover)

    def _queue_curves(self, prover: Prover) -> None:
        """The loss curves that are asked for and not there yet."""
        curve = self._plan.curve
        if curve is None or self._plan.proving is None:
            return
        for arm in self._arms:
            wanted = [("float32", 0)]
            if arm.name in curve.truth:
                wanted += [("float64", rounding) for rounding in range(curve.roundings + 1)]
            for dtype, rounding in wanted:
                if self._past is None or not self._past.has_curve(arm.name, dtype, rounding):
                    self._background.add(prover.curve_job(arm, curve, dtype, rounding))

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

    def _waiting_lost(self, worker: WorkerProcess, error: WorkerError) -> None:
        for arm in [*self._arms, *([self._twin] if self._twin else [])]:
            if arm.worker is worker and self._lost(arm, "waiting", str(error)):
                self._background.add(self._preparing.job(arm))

    def _preparation_failed(self, arm: Arm, stage: str, reason: str) -> None:
        if stage == "prepare" and self._lost(arm, stage, reason):
            self._background.add(self._preparing.job(arm))
        else:
            self._fail(arm, stage, reason)

    def _lost(self, arm: Arm, stage: str, reason: str) -> bool:
        """A worker failed. If its process is gone the arm may go on in a new one; if that has been tried, it is out."""
        gone = arm.worker is not None and arm.worker.dead is not None
        allowed = self._plan.effort.restarts
        if arm.worker is not None and arm.worker.hung:  # waiting for it costs minutes each time
            allowed = 0 if stage == "prepare" else min(1, allowed)
        if not gone or arm.losses >= allowed or arm.reason is not None:
            self._fail(arm, stage, reason)
            return False
        arm.losses += 1
        self._file.write(Loss(arm.name, arm.process, stage, reason, self._rounds.block + (stage == "timing")))
        self._tell(events.Notice(f"{reason}; it goes on in a new process"))
        self._end_worker(arm)
        arm.begin(arm.process)
        return True

    def _fail(self, arm: Arm, stage: str, reason: str) -> None:
        """Takes a contestant out of the run; its samples so far stay."""
        if arm.reason is not None:
            return
        arm.reason = reason
        arm.out_for_good = stage in ("prove", "resume", UPGRADE)
        if arm.twin:  # of this process only: the next one has another
            self._file.write(Decision(f"process {arm.process} has no A/A twin: {reason}"))
        else:
            self._file.write(Failure(arm.name, stage, reason, None if arm.out_for_good else arm.condition))
        if arm.worker is not None:
            self._background.cancel(arm.worker)
            self._crew.end(arm.worker)
            arm.worker = None
        self._tell_state(arm.name, events.FAILED, reason)

    def _tell_state(self, contestant: str, state: str, detail: str = "") -> None:
        if self._twin is None or contestant != self._twin.name:
            self._tell(events.StateChanged(contestant, state, detail))
