"""A worker process seen from the manager: its pipes, its log, its death."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import assay
from assay.errors import WorkerError
from assay.measure import host

_LONGEST_LINE = 64 * 1024 * 1024  # an answer longer than this is nonsense
_READ = 1 << 20


@dataclass(frozen=True)
class Progress:
    """A sign of life from a worker that is not ready yet."""

    content: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    content: Mapping[str, Any]


Answer = Progress | Reply | WorkerError


@dataclass
class Pending:
    """A request that has not been answered. `deadline` is monotonic time, moved on by every pause."""

    number: int
    name: str
    limit: float
    deadline: float


class WorkerProcess:
    """One worker. After `send`, answers come out of `receive` whenever `fileno()` is readable."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], requests: int, replies: int, log: Path) -> None:
        self.name = name
        self.log = log
        self.pending: Pending | None = None
        self.paused_since: float | None = None
        self.pauses: list[tuple[int, int]] = []  # perf_counter_ns from and to
        self.dead: WorkerError | None = None
        self.hung = False  # it was ended because it did not answer in time, or took too much memory
        self._process = process
        self._requests = requests
        self._replies = replies
        self._buffer = b""
        self._count = 0
        self._pidfd = _pidfd(process.pid)

    @property
    def pid(self) -> int:
        """The process id, which is also its process group and session."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        return self.pending is not None

    def descriptors(self) -> list[int]:
        """What becomes readable when there is something to receive: an answer, or the process's end."""
        return [self._replies] if self._pidfd is None else [self._replies, self._pidfd]

    def expect_greeting(self, limit: float) -> None:
        """The worker answers request 0, which is never sent, as soon as it runs."""
        self.pending = Pending(0, "start", limit, time.monotonic() + limit)

    def send(self, name: str, limit: float, **fields: Any) -> None:
        """Asks for something; at most one request at a time."""
        if self.dead is not None:
            raise self.dead
        if self.pending is not None:
            raise WorkerError(f"{self.name}: asked for {name!r} while {self.pending.name!r} is being worked on")
        self._count += 1
        self.pending = Pending(self._count, name, limit, time.monotonic() + limit)
        with contextlib.suppress(BrokenPipeError):  # its death is told by `receive`, with the reason
            self._write({"id": self._count, "request": name, **fields})

    def ask_to_stop(self, limit: float) -> None:
        """Asks a training that is under way to end after its current step, within `limit` seconds."""
        if self.pending is not None and self.dead is None:
            self.pending.deadline = time.monotonic() + limit
            with contextlib.suppress(BrokenPipeError):
                self._write({"request": "stop"})

    def _write(self, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode() + b"\n"
        while data:
            data = data[os.write(self._requests, data) :]

    def receive(self) -> list[Answer]:
        """What has come since the last time, without waiting. A WorkerError is the last thing ever received."""
        if self.dead is not None:
            return []
        ended = self._process.poll() is not None  # before reading: what it wrote in its last moment is still read
        closed = self._fill()
        answers: list[Answer] = []
        while self.dead is None and b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            answers.append(self._understand(line))
        if self.dead is None and len(self._buffer) > _LONGEST_LINE:
            answers.append(self._fail(f"answered more than {_LONGEST_LINE >> 20} MiB on one line"))
        if self.dead is None and (closed or ended):
            answers.append(self._fail(self._how_it_ended()))
        return answers

    def _fill(self) -> bool:
        """Reads what is there; True at the end of the pipe."""
        while True:
            try:
                data = os.read(self._replies, _READ)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._buffer += data

    def _understand(self, line: bytes) -> Answer:
        try:
            content = json.loads(line)
            number = content["id"]
        except (ValueError, TypeError, KeyError):
            return self._fail(f"answered nonsense on its pipe: {_shown(line)}")
        pending = self.pending
        if pending is None or number != pending.number:
            return self._fail(f"answered a request that was not made: {_shown(line)}")
        if isinstance(content.get("progress"), dict):
            pending.deadline = time.monotonic() + pending.limit
            return Progress(content["progress"])
        if isinstance(content.get("reply"), dict):
            self.pending = None
            return Reply(content["reply"])
        if isinstance(content.get("error"), dict):
            self.pending = None
            return WorkerError(
                f"{self.name}: {pending.name} failed: {content['error'].get('message')} (log: {self.log})"
            )
        return self._fail(f"answered nonsense on its pipe: {_shown(line)}")

    def overdue(self, now: float) -> WorkerError | None:
        """Kills the worker if its request has taken longer than it may; the reason, else None."""
        if self.dead is not None or self.pending is None or self.paused_since is not None:
            return None
        if now < self.pending.deadline:
            return None
        self.hung = True
        words = last_words(self.log)
        size = self.log.stat().st_size if self.log.exists() else 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)  # writes where it hangs to the log
        time.sleep(0.1)
        place = innermost_frame(self.log, size)
        where = f" (it was at {place})" if place else ""
        return self._fail(f"did not answer within {self.pending.limit:g} s{where} and was ended", words)

    def oversized(self, limit: int) -> WorkerError | None:
        """Kills the worker if it has more memory in RAM than it may; the reason, else None."""
        size = host.resident_bytes_of(self.pid) if self.dead is None else None
        if size is None or size <= limit:
            return None
        self.hung = True
        sizes = f"{size / 1e9:.2f} GB of memory, more than the {limit / 1e9:.2f} GB that a worker may have"
        return self._fail(f"took {sizes}, and was ended")

    def pause(self) -> None:
        """Stops the worker and every helper it started, until `resume`."""
        if self.paused_since is None and self.dead is None:
            self.paused_since = time.monotonic()
            self.pauses.append((time.perf_counter_ns(), 0))
            host.signal_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.paused_since is None:
            return
        host.signal_group(self.pid, signal.SIGCONT)
        self.pauses[-1] = (self.pauses[-1][0], time.perf_counter_ns())
        if self.pending is not None:
            self.pending.deadline += time.monotonic() - self.paused_since
        self.paused_since = None

    def is_stopped(self) -> bool:
        """True once no process of the group can run any more."""
        return all(state in "TtZX" for _, state in host.group_members(self.pid))

    def paused_ns(self, began: int, ended: int) -> int:
        """For how much of a span of `perf_counter_ns` this worker was stopped."""
        now = time.perf_counter_ns()
        return sum(max(0, min(ended, stop or now) - max(began, start)) for start, stop in self.pauses)

    def kill(self) -> None:
        """Ends the worker and every helper it started. Harmless when repeated."""
        host.signal_group(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self.dead is None:
            self.dead = WorkerError(f"{self.name}: the worker was closed")
        for descriptor in (self._requests, self._replies, self._pidfd):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._requests = self._replies = -1
        self._pidfd = None
        self.pending = None

    def _fail(self, what: str, words: str | None = None) -> WorkerError:
        doing = f" during {self.pending.name!r}" if self.pending else ""
        words = last_words(self.log) if words is None else words
        said = f"; its last words: {words}" if words else ""
        self.dead = WorkerError(f"{self.name}: the worker {what}{doing}{said} (log: {self.log})")
        self.kill()
        return self.dead

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(1)  # the pipe closes a moment before the process is gone
        except subprocess.TimeoutExpired:
            return "closed its pipe without ending"
        if status >= 0:
            return f"exited with status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = " (somebody's kill -9, or the machine is out of memory)" if -status == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"


def last_words(log: Path) -> str:
    """The line of a log that best says why a worker died: a fatal error's first line, else the last line."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 65536))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    lines = [line for line in lines if line]
    fatal = [line for line in lines if line.startswith(("Fatal Python error", "F0", "terminate called", "Assertion"))]
    chosen = fatal[-1] if fatal else (lines[-1] if lines else "")
    return chosen if len(chosen) <= 200 else chosen[:199] + "…"


def innermost_frame(log: Path, start: int) -> str:
    """Where the main thread was, from the stack that faulthandler wrote to the log after `start`."""
    try:
        with open(log, "rb") as file:
            file.seek(start)
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    heads = [index for index, line in enumerate(lines) if "hread 0x" in line and "most recent call first" in line]
    frames = [line.strip() for line in lines[heads[-1] + 1 :]] if heads else []  # the main thread comes last
    return frames[0].removeprefix("File ").replace('"', "") if frames else ""


def spawn(
    name: str,
    contestant: str,
    session: str,
    log: Path,
    environment: Mapping[str, str],
    cpus: Sequence[int] = (),
    python: str = sys.executable,
) -> WorkerProcess:
    """Starts a worker in a session of its own; `environment` replaces ours."""
    log.parent.mkdir(parents=True, exist_ok=True)
    worker_in, requests = os.pipe()
    replies, worker_out = os.pipe()
    arguments = [python, "-P", "-m", "assay.measure.worker", "--contestant", contestant, "--session", session]
    arguments += ["--requests", str(worker_in), "--replies", str(worker_out), "--parent", str(os.getpid())]
    arguments += ["--cpus", ",".join(map(str, cpus))] if cpus else []
    try:
        with open(log, "ab") as output:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(worker_in, worker_out),
                start_new_session=True,
                env=dict(environment),
            )
    except OSError as error:
        os.close(requests)
        os.close(replies)
        raise WorkerError(f"{name}: the worker could not be started: {error}") from error
    finally:
        os.close(worker_in)
        os.close(worker_out)
    os.set_blocking(replies, False)
    return WorkerProcess(name, process, requests, replies, log)


def worker_environment(threads: int, run: str, *extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with what makes all frameworks use `threads` threads, and what `extra` says."""
    environment = dict(os.environ)
    count = str(threads)
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "ASSAY_THREADS")
    environment.update(dict.fromkeys(limits, count))
    path = [str(Path(assay.__file__).resolve().parent.parent)]  # the same assay as ours, wherever we were started
    for variables in extra:
        path += [variables["PYTHONPATH"]] if "PYTHONPATH" in variables else []
        environment.update(variables)
    path += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    environment["PYTHONPATH"] = os.pathsep.join(path)
    environment[host.MARK] = run
    return environment


def _pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, even while helpers of it hold its pipe open."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _shown(line: bytes) -> str:
    return repr(line[:80]) + ("…" if len(line) > 80 else "")
