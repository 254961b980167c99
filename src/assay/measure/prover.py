"""Has every contestant compute what its proof needs, and asks the prove stage whether it is equal."""

from __future__ import annotations

from assay.errors import AssayError, WorkerError
from assay.measure import events
from assay.measure.arm import Arm, Fail, TellState
from assay.measure.background import Job, Script
from assay.measure.crew import Crew
from assay.measure.plan import LATER, Plan, ProofResult, ProveCallback, Proving
from assay.measure.process import WorkerProcess
from assay.measure.record import Proved, RecordFile


class Prover:
    """One proof process for each target, which holds all of its modes, one after another.

    A mode that crashes the process costs itself alone: the next one gets a new process.
    """

    def __init__(
        self, plan: Plan, crew: Crew, file: RecordFile, callback: ProveCallback | None, state: TellState, fail: Fail
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._file = file
        self._callback = callback
        self._state = state
        self._fail = fail
        self._workers: dict[str, WorkerProcess] = {}
        self._open: dict[str, Arm] = {}  # whose outcome is not known
        self._postponed: list[tuple[Arm, ProofResult]] = []

    def skip(self, arm: Arm) -> None:
        """No proof was asked for."""
        arm.proven = True
        self._file.write(Proved(arm.name, "not-run", "no proof was asked for"))

    def job(self, arm: Arm, proving: Proving) -> Job:
        self._open[arm.name] = arm
        return Job(
            f"prove {arm.name}",
            begin=lambda: self._script(arm, proving),
            failed=lambda error: self._crashed(arm, error),
            holds=frozenset({arm.name, f"proof of {arm.contestant.target}"}),
            wanted=lambda: arm.reason is None,
        )

    def _script(self, arm: Arm, proving: Proving) -> Script:
        self._state(arm.name, events.PROVING, "")
        limits = self._plan.effort.limits
        target = arm.contestant.target
        if target not in self._workers:
            worker = self._workers[target] = self._crew.start("proof", arm.contestant)
            yield worker
            worker.send("load", limits.load)
            yield worker
        worker = self._workers[target]
        worker.name = arm.name  # for its error messages
        save = self._plan.folder / "arrays" / f"{arm.name.replace('/', '-').replace(':', '-')}-proof.npz"
        worker.send(
            "prove",
            limits.prove,
            folder=str(arm.entry.folder.absolute()),
            mode=arm.contestant.mode,
            dtype=proving.dtype,
            save=str(save.absolute()),
            arrays=str(proving.arrays.absolute()),
            constants=dict(proving.constants),
            steps=proving.steps,
            dropout_shape=list(proving.dropout_shape) if proving.dropout_shape else None,
            training=proving.training,
        )
        reply = yield worker
        layers = tuple((path, rate) for path, rate in reply["dropout"])
        result = ProofResult(arm.contestant, save, layers, dict(reply["errors"]), reply["seconds"])
        self._judge(arm, result)
        self._after(arm)

    def _crashed(self, arm: Arm, error: WorkerError) -> None:
        worker = self._workers.pop(arm.contestant.target, None)
        if worker is not None:
            self._crew.end(worker)
        self._settle(arm, "not-run", str(error), None)
        self._after(arm)

    def _after(self, arm: Arm) -> None:
        """One more proof is known: asks again about those that waited for another, and ends a process without work."""
        waiting, self._postponed = self._postponed, []
        for other, result in waiting:
            self._judge(other, result)
        if len(self._open) == len(self._postponed):
            for other, result in self._postponed:
                self._settle(
                    other, "not-run", "there is nothing to compare it with: no other proof came through", result
                )
            self._postponed = []
        target = arm.contestant.target
        postponed = {other.name for other, _ in self._postponed}
        still_wanted = any(o.contestant.target == target and o.name not in postponed for o in self._open.values())
        if not still_wanted and target in self._workers:
            self._crew.end(self._workers.pop(target))

    def _judge(self, arm: Arm, result: ProofResult) -> None:
        if self._callback is None:
            self._settle(arm, "not-run", "nobody compared its arrays", result)
            return
        try:
            verdict = self._callback(arm.contestant, result)
        except AssayError as error:
            self._settle(arm, "not-run", str(error), result)
            return
        if verdict is LATER:
            self._postponed.append((arm, result))
        else:
            self._settle(arm, "equal" if verdict is None else "different", verdict, result)

    def _settle(self, arm: Arm, status: str, reason: str | None, result: ProofResult | None) -> None:
        self._open.pop(arm.name, None)
        if result is None:
            self._file.write(Proved(arm.name, status, reason))
        else:
            arrays, errors = str(result.arrays), dict(result.errors)
            self._file.write(Proved(arm.name, status, reason, arrays, errors, result.dropout, result.seconds))
        arm.proven = status == "equal" or (self._callback is None and result is not None)
        if arm.proven:
            self._state(arm.name, events.PROVED, "")
        else:
            self._fail(arm, "prove", reason or "its proof failed")
