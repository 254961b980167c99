"""Has every contestant compute what its proof needs, and asks the prove stage whether it is equal."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from assay.errors import AssayError, WorkerError
from assay.measure import events
from assay.measure.arm import Arm, Fail, TellState
from assay.measure.arrays import remove_unfinished
from assay.measure.background import Job, Script
from assay.measure.crew import PROOF, Crew
from assay.measure.plan import LATER, Curve, Plan, ProofResult, ProveCallback, Proving
from assay.measure.process import WorkerProcess
from assay.measure.record import LossCurve, Proved
from assay.measure.record_file import RecordFile


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
        self._workers: dict[str, WorkerProcess] = {}  # by target
        self._open: dict[str, Arm] = {}  # whose proof has not come, or has not been judged
        self._curves: dict[str, Arm] = {}  # whose loss curves are still to come
        self._postponed: list[tuple[Arm, ProofResult]] = []
        self._recorded: set[str] = set()  # whose proof stands in the record already

    def skip(self, arm: Arm) -> None:
        """No proof was asked for."""
        arm.proven = True
        self._file.write(Proved(arm.name, "not-run", "no proof was asked for"))

    def reuse(self, arm: Arm, proved: Proved) -> None:
        """A proof that was made before the run was cut short is judged again by its arrays, not made again."""
        self._open[arm.name] = arm
        self._recorded.add(arm.name)
        layers, arrays = tuple((path, rate) for path, rate in proved.dropout), Path(proved.arrays or "")
        self._judge(arm, ProofResult(arm.contestant, arrays, layers, dict(proved.errors), proved.seconds or 0.0))

    def job(self, arm: Arm, proving: Proving) -> Job:
        self._open[arm.name] = arm
        return Job(
            f"prove {arm.name}",
            begin=lambda: self._prove(arm, proving),
            failed=lambda error: self._crashed(arm, error),
            holds=frozenset({arm.name, f"proof of {arm.contestant.host}"}),
        )

    def curve_job(self, arm: Arm, curve: Curve, dtype: str, rounding: int = 0) -> Job:
        """The loss curve of a contestant that is proven, in the process that proved it."""
        key = f"{arm.name} {dtype} {rounding}"
        self._curves[key] = arm
        return Job(
            f"curve of {arm.name} in {dtype}",
            begin=lambda: self._curve(arm, curve, dtype, rounding),
            failed=lambda error: self._curve_failed(arm, dtype, rounding, error),
            holds=frozenset({f"proof of {arm.contestant.host}"}),
            ready=lambda: arm.proven or arm.reason is not None,
            wanted=lambda: self._curve_wanted(arm, key),
        )

    def _curve_wanted(self, arm: Arm, key: str) -> bool:
        if arm.reason is not None:
            self._curves.pop(key, None)
            self._release(arm.contestant.host)
        return arm.reason is None

    def _worker(self, arm: Arm) -> Generator[WorkerProcess, Mapping[str, Any], WorkerProcess]:
        """The living worker of a contestant's target, with the framework loaded."""
        target = arm.contestant.host
        worker = self._workers.get(target)
        if worker is None or worker.dead is not None:
            worker = self._workers[target] = self._crew.start(PROOF, arm.contestant)
            yield worker
            worker.send("load", self._plan.effort.limits.load)
            yield worker
        worker.name = arm.name  # for its error messages
        return worker

    def _prove(self, arm: Arm, proving: Proving) -> Script:
        self._state(arm.name, events.PROVING, "")
        worker = yield from self._worker(arm)
        save = self._plan.array_file(arm.name, "proof")
        remove_unfinished(save)
        worker.send(
            "prove",
            self._plan.effort.limits.prove,
            folder=str(proving.folders.get(arm.contestant.code, arm.entry.folder).absolute()),
            mode=arm.contestant.mode,
            dtype=proving.dtype,
            save=str(save),
            arrays=str(proving.arrays.absolute()),
            constants=dict(proving.constants),
            steps=proving.steps,
            dropout_shape=list(proving.dropout_shape) if proving.dropout_shape else None,
            training=proving.training,
        )
        reply = yield worker
        layers = tuple((path, rate) for path, rate in reply["dropout"])
        cost = (reply["seconds"], reply["high_water_bytes"])
        self._judge(arm, ProofResult(arm.contestant, save, layers, dict(reply["errors"]), *cost))
        self._after(arm)

    def _curve(self, arm: Arm, curve: Curve, dtype: str, rounding: int) -> Script:
        worker = yield from self._worker(arm)
        limits = self._plan.effort.limits
        worker.send("open", limits.load, folder=str(arm.entry.folder.absolute()), mode=arm.contestant.mode, dtype=dtype)
        yield worker
        worker.send(
            "train",
            limits.compile,
            data=str(arm.entry.data_file.absolute()),
            order=str(curve.order.absolute()),
            constants=dict(curve.constants),
            dropout=False,
            save=None,
            checkpoint_seconds=None,
            rounding=rounding,
        )
        reply = yield worker
        outputs = None
        if dtype == "float32" and curve.examples:
            outputs = str(self._plan.array_file(arm.name, "curve"))
            fields = {"split": "test", "batch_size": curve.batch, "examples": curve.examples, "save": outputs}
            worker.send("predict", limits.compile, data=str(arm.entry.data_file.absolute()), **fields)
            yield worker
        losses = tuple(reply["losses"])
        self._file.write(LossCurve(arm.name, dtype, losses, reply["seconds"], rounding=rounding, outputs=outputs))
        self._curves.pop(f"{arm.name} {dtype} {rounding}", None)
        self._release(arm.contestant.host)

    def _curve_failed(self, arm: Arm, dtype: str, rounding: int, error: WorkerError) -> None:
        self._file.write(LossCurve(arm.name, dtype, (), None, str(error), rounding))
        self._curves.pop(f"{arm.name} {dtype} {rounding}", None)
        self._discard(arm.contestant.host)

    def _crashed(self, arm: Arm, error: WorkerError) -> None:
        self._discard(arm.contestant.host)
        remove_unfinished(self._plan.array_file(arm.name, "proof"))
        self._settle(arm, "not-run", str(error), None)
        self._after(arm)

    def _discard(self, target: str) -> None:
        worker = self._workers.pop(target, None)
        if worker is not None:
            self._crew.end(worker)

    def _release(self, target: str) -> None:
        """Ends a target's process when nothing more is asked of it."""
        judged = {other.name for other, _ in self._postponed}
        proofs = [arm for arm in self._open.values() if arm.name not in judged]
        if not any(arm.contestant.host == target for arm in [*proofs, *self._curves.values()]):
            self._discard(target)

    def _after(self, arm: Arm) -> None:
        """One more proof is known."""
        self.ask_again()
        self._release(arm.contestant.host)

    def ask_again(self) -> None:
        """Asks again about those that waited for another, once more are known, or none is left to come."""
        waiting, self._postponed = self._postponed, []
        for other, result in waiting:
            self._judge(other, result)
        if len(self._open) == len(self._postponed):
            lonely, self._postponed = self._postponed, []
            for other, result in lonely:
                reason = "there is nothing to compare it with: no other proof came through"
                self._settle(other, "not-run", reason, result)

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
        if arm.name in self._recorded:
            pass
        elif result is None:
            self._file.write(Proved(arm.name, status, reason))
        else:
            arrays, errors = str(result.arrays), dict(result.errors)
            self._file.write(Proved(arm.name, status, reason, arrays, errors, result.dropout, result.seconds))
        arm.proven = status == "equal" or (self._callback is None and result is not None)
        if arm.reason is not None:
            return  # it failed otherwise meanwhile
        if arm.proven:
            self._state(arm.name, events.PROVED, "")
        else:
            self._fail(arm, "prove", reason or "its proof failed")
