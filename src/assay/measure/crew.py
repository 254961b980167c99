"""All workers of a run: starting them, waiting for any of them, keeping them still, leaving none behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from assay.errors import OutputError, WorkerError
from assay.frameworks import find, frameworks
from assay.frameworks import target as find_target
from assay.frameworks.base import Contestant
from assay.measure import caches, devices, host, janitor
from assay.measure.effort import Limits
from assay.measure.plan import allowed_cpus
from assay.measure.process import Answer, Progress, Reply, WorkerProcess, spawn, worker_environment
from assay.measure.venvs import Environment

_POLL = 0.5  # seconds between looks at the clock where nothing wakes us
_MEMORY_CHECK = 0.5  # seconds between two looks at the memory of workers that are busy
_SHARE = 0.9  # of the memory that programs may use, for one worker


PROOF = "proof"  # the role of workers that are never timed


class Crew:
    """The workers of one run, all ended when the `with` block is left, however it is left.

    >>> with Crew(Path("run"), threads=2) as crew:
    ...     worker = crew.start("proof of jax", Contestant("jax", "jit"))
    ...     crew.call(worker, "open", 300, folder="package", mode="jit", dtype="float64")
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        environment: Mapping[str, str] | None = None,
        sessions: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        environments: Sequence[Environment] = (),
        device: str = devices.CPU,
    ) -> None:
        self.folder = folder
        self.threads = threads
        self.cpus = host.choose_cpus(threads, allowed_cpus())
        self.limits = limits or Limits()
        self._memory = self.limits.memory_bytes or int((host.memory_bytes() or 0) * _SHARE)
        self.workers: list[WorkerProcess] = []
        self.cache_home: Path | None = (
            None  # where compiled programs of timed workers are kept; None: the user's folder
        )
        self._environment = devices.variables(device) | dict(environment or {})
        self._environments = {one.name: one for one in environments}
        self._sessions = dict(sessions or {})
        self.mark = uuid.uuid4().hex  # in the environment of every process of the run
        self._selector = selectors.DefaultSelector()
        self._held: list[tuple[WorkerProcess, Answer]] = []  # came while we waited for another worker
        self._janitor: subprocess.Popen[bytes] | None = None
        self._names = 0

    def __enter__(self) -> Crew:
        try:
            (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write to {self.folder}: {error.strerror or error}") from error
        self._janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", janitor.__file__, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end_all()
        except KeyboardInterrupt:  # an impatient second Ctrl-C must not leave processes behind
            self._end_all()

    def _end_all(self) -> None:
        for worker in self.workers:
            host.signal_group(worker.pid, 9)  # all at once, then wait for each
        for worker in self.workers:
            self._forget(worker)
            worker.kill()
        for pid in host.marked_processes(self.mark):  # helpers that left their worker's process group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)
        if self._janitor is not None and self._janitor.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._janitor.stdin.write(b"done\n")
                self._janitor.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._janitor.wait(5)
            self._janitor = None
        self._selector.close()

    def start(self, role: str, contestant: Contestant, threads: int | None = None) -> WorkerProcess:
        """Starts a worker for what one process can hold; `wait` gives its greeting as the reply to `start`.

        `threads`: of this worker, instead of the crew's.
        """
        wanted = threads or self.threads
        self._names += 1
        file_name = f"{self._names:02d}-{role}-{contestant.name}".replace("/", "-").replace(":", "-").replace("@", "-")
        framework = find(contestant.framework) if contestant.framework in frameworks() else None
        backend = {"KERAS_BACKEND": contestant.backend} if contestant.backend else {}
        # Proofs run two at a time beside others: with one thread each they do not wait for one another's threads.
        count = 1 if role == PROOF else wanted
        environment = worker_environment(
            count,
            self.mark,
            framework.environment if framework else {},
            backend,
            self._compile_cache(role, contestant),
            self._environment,
        )
        python = sys.executable
        if contestant.environment is not None:
            own = self._environments[contestant.environment]
            python = str(own.python)
            environment |= own.variables()
            if given := self._environment.get("PYTHONPATH"):  # the run's own; the user's belongs to this interpreter
                environment["PYTHONPATH"] += os.pathsep + given
        worker = spawn(
            contestant.name,
            contestant.name,
            self._session_class(contestant),
            (self.folder / "logs" / f"{file_name}.log").absolute(),
            environment,
            self.cpus if wanted == self.threads else host.choose_cpus(wanted, allowed_cpus()),
            python,
        )
        self.workers.append(worker)
        if self._janitor is not None and self._janitor.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._janitor.stdin.write(f"{worker.pid}\n".encode())
                self._janitor.stdin.flush()
        for descriptor in worker.descriptors():
            self._selector.register(descriptor, selectors.EVENT_READ, worker)
        worker.expect_greeting(self.limits.start)
        return worker

    def _compile_cache(self, role: str, contestant: Contestant) -> dict[str, str]:
        """Where a framework's own session keeps its compiled programs; one proof process holds all modes of a target."""
        if contestant.framework not in frameworks() or contestant.target in self._sessions:
            return {}
        owner = contestant.host if role == PROOF else contestant.name
        home = None if role == PROOF else self.cache_home
        return caches.environment(find_target(contestant.target), role, owner, home)

    def _session_class(self, contestant: Contestant) -> str:
        if contestant.target in self._sessions:
            return self._sessions[contestant.target]
        return f"{session_module(find(contestant.framework).name)}:Session"

    def wait(
        self, timeout: float | None = None, only: WorkerProcess | None = None
    ) -> list[tuple[WorkerProcess, Answer]]:
        """Sleeps until a worker answers, dies, or is overdue; answers of others than `only` are kept for later."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            ready = [(worker, answer) for worker, answer in self._held if only is None or worker is only]
            if ready:
                self._held = [pair for pair in self._held if pair not in ready]
                return ready
            self._listen(until)
            if until is not None and time.monotonic() >= until and not self._held:
                return []

    def _listen(self, until: float | None) -> None:
        """One turn of select: until something is readable, a request is overdue, or `until`."""
        now = time.monotonic()
        running = [worker for worker in self.workers if worker.pending and worker.paused_since is None]
        deadlines = [worker.pending.deadline for worker in running if worker.pending]
        deadlines += [until] if until is not None else []
        if not deadlines and not any(worker.dead is None for worker in self.workers):
            raise WorkerError("no worker is left to wait for")
        if deadlines:
            timeout: float | None = max(0.0, min(deadlines) - now)
        else:
            timeout = _POLL
        if self._memory and running:
            timeout = min(_MEMORY_CHECK, timeout) if timeout is not None else _MEMORY_CHECK
        readable = {key.data for key, _ in self._selector.select(timeout)}
        for worker in readable:
            self._collect(worker)
        now = time.monotonic()
        for worker in list(self.workers):
            late = worker.overdue(now)
            if late is None and self._memory and worker.busy:
                late = worker.oversized(self._memory)
            if late is not None:
                self._forget(worker)
                self._held.append((worker, late))

    def _collect(self, worker: WorkerProcess) -> None:
        for answer in worker.receive():
            self._held.append((worker, answer))
        if worker.dead is not None:
            self._forget(worker)

    def _forget(self, worker: WorkerProcess) -> None:
        """Stops listening to a worker; its descriptors may be closed already."""
        for key in list(self._selector.get_map().values()):
            if key.data is worker:
                self._selector.unregister(key.fileobj)

    def call(self, worker: WorkerProcess, name: str, limit: float, **fields: Any) -> Mapping[str, Any]:
        """Asks and waits for the answer of this one worker; raises its WorkerError."""
        worker.send(name, limit, **fields)
        return self.answer(worker)

    def answer(
        self, worker: WorkerProcess, progress: Callable[[Mapping[str, Any]], None] | None = None
    ) -> Mapping[str, Any]:
        """Waits for what a worker was asked (of a new worker: its greeting), while others' answers are kept."""
        while True:
            for _, answer in self.wait(only=worker):
                if isinstance(answer, Reply):
                    return answer.content
                if isinstance(answer, WorkerError):
                    raise answer
                if progress is not None:
                    progress(answer.content)

    def end(self, worker: WorkerProcess) -> None:
        """Ends one worker; nothing more is heard of it."""
        self._forget(worker)
        worker.kill()
        self._held = [pair for pair in self._held if pair[0] is not worker]
        self.workers = [other for other in self.workers if other is not worker]

    @contextlib.contextmanager
    def still(self, except_for: Sequence[WorkerProcess] = ()) -> Iterator[None]:
        """While the block runs, no other worker that has work to do may run."""
        stopped = [worker for worker in self.workers if worker.busy and worker not in except_for]
        for worker in stopped:
            worker.pause()
        try:
            self._settle(stopped)
            yield
        finally:
            for worker in stopped:
                worker.resume()

    def _settle(self, stopped: Iterable[WorkerProcess]) -> None:
        """A stop signal takes effect when a thread next enters or leaves the kernel: look until it has."""
        until = time.monotonic() + 0.5
        for worker in stopped:
            while not worker.is_stopped() and time.monotonic() < until:
                time.sleep(0.002)


def session_module(framework: str) -> str:
    """The module that holds a framework's `Session`: `run` in the framework's folder, plug-ins included."""
    for entry in entry_points(group="assay.frameworks"):
        if entry.name == framework:
            return f"{entry.module}.run"
    return f"assay.frameworks.{framework}.run"


__all__ = ["Answer", "Crew", "Progress", "Reply", "session_module"]
