"""Work that is done while nothing is timed: proofs, imports, first calls; a few workers at a time.

A piece of work is a generator that starts a worker or sends it a request, yields the worker, and is resumed with the
answer: what has to happen one after another reads one after another, and any number of them go on side by side in one
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import WorkerError
from assay.measure.crew import Crew
from assay.measure.process import Answer, Progress, WorkerProcess

Script = Generator[WorkerProcess, Mapping[str, Any], None]


@dataclass
class Job:
    """A script that has not started. Two jobs that hold the same thing never run at the same time."""

    name: str
    begin: Callable[[], Script]
    failed: Callable[[WorkerError], None]
    holds: frozenset[str] = frozenset()
    ready: Callable[[], bool] = lambda: True  # False: it has to wait for another job
    wanted: Callable[[], bool] = lambda: True  # asked when it could start: a contestant may be out by then


class Background:
    """Runs jobs in the order they were added, `slots` at a time, as far as what they hold is free."""

    def __init__(self, crew: Crew, slots: int, lost: Callable[[WorkerProcess, WorkerError], None]) -> None:
        self._crew = crew
        self._slots = slots
        self._lost = lost  # told of workers that die while they have nothing to do
        self._queue: list[Job] = []
        self._running: dict[WorkerProcess, tuple[Job, Script]] = {}

    def add(self, job: Job) -> None:
        self._queue.append(job)

    @property
    def idle(self) -> bool:
        """True if nothing is going on and nothing can be started."""
        return not self._running and not any(job.ready() for job in self._queue)

    def turn(self, timeout: float | None = None) -> None:
        """Starts what can be started and waits until something has happened."""
        self._start()
        if not self._running:
            return
        for worker, answer in self._crew.wait(timeout):
            self.take(worker, answer)
        self._start()

    def take(self, worker: WorkerProcess, answer: Answer) -> None:
        """Hands an answer to the script that waits for it."""
        if worker not in self._running:
            if isinstance(answer, WorkerError):
                self._lost(worker, answer)
            return
        if isinstance(answer, Progress):
            return
        job, script = self._running.pop(worker)
        self._advance(job, script, answer)

    def cancel(self, worker: WorkerProcess) -> None:
        """Gives up the script that waits for this worker, if there is one."""
        if worker in self._running:
            _, script = self._running.pop(worker)
            script.close()

    def beside(self, worker: WorkerProcess) -> bool:
        """True if a worker other than this one has work to do."""
        return any(other is not worker for other in self._running)

    def _start(self) -> None:
        for job in list(self._queue):
            if len(self._running) >= self._slots:
                return
            if any(job.holds & running.holds for running, _ in self._running.values()) or not job.ready():
                continue
            self._queue.remove(job)
            if job.wanted():
                self._advance(job, job.begin(), None)

    def _advance(self, job: Job, script: Script, answer: Answer | None) -> None:
        """Runs a script up to its next question."""
        try:
            if answer is None:
                worker = next(script)
            elif isinstance(answer, WorkerError):
                worker = script.throw(answer)
            else:
                assert not isinstance(answer, Progress)
                worker = script.send(answer.content)
        except StopIteration:
            return
        except WorkerError as error:
            job.failed(error)
            return
        self._running[worker] = (job, script)
