"""Workers for official cases: several processes, each restarted when it crashes or hangs, and the case it died of recorded."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from assay.testing.conformance import Trial
from assay.testing.gaps import Fault

START_LIMIT = 180.0  # seconds to import a framework and compute the cases
CASE_LIMIT = 90.0


class _Died(Exception):
    """The worker crashed or hung; the message says which."""


class _Worker:
    """One process and its pipe."""

    def __init__(self, target: str, check: str, log: IO[bytes]) -> None:
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "assay.testing.worker", target, str(writing), check]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[writing])
        os.close(writing)
        self.pipe = os.fdopen(reading, "rb", buffering=0)
        self.buffer = b""
        self.answer(START_LIMIT)

    def run(self, name: str) -> Trial:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{name}\n".encode())
            self.process.stdin.flush()
        except OSError as error:
            raise _Died(self._end()) from error
        answer = self.answer(CASE_LIMIT)
        return Trial(
            [Fault(stage, None, text) for stage, text in answer["faults"]], answer["seconds"], answer["slopes"]
        )

    def answer(self, limit: float) -> dict:  # type: ignore[type-arg]
        with selectors.DefaultSelector() as selector:
            selector.register(self.pipe, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(limit):
                    self.close()
                    raise _Died(f"hung for {limit:g} s")
                if not (part := self.pipe.read(1 << 16)):
                    raise _Died(self._end())
                self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        found: dict = json.loads(line)  # type: ignore[type-arg]
        return found

    def _end(self) -> str:
        code = self.process.wait()
        return f"crashed with {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):  # what was still to be sent goes nowhere
                self.process.stdin.close()
        self.pipe.close()


@dataclass
class Crew:
    """Runs cases by name in `jobs` processes, and reports each trial as it ends."""

    target: str
    jobs: int
    log: Path
    check: str = "conformance"  # or "gradients", "double"

    def run(self, names: Iterable[str], report: Callable[[str, Trial], None]) -> None:
        """Returns when all are done. Ctrl-C ends the workers."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            waiting.put(name)
        done: queue.SimpleQueue[tuple[str, Trial] | BaseException | None] = queue.SimpleQueue()
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._serve, args=(waiting, done, stop), daemon=True) for _ in range(self.jobs)
        ]
        for thread in threads:
            thread.start()
        ended = 0
        try:
            while ended < len(threads):
                item = done.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    ended += 1
                else:
                    report(*item)
        finally:
            stop.set()
            for thread in threads:
                thread.join(CASE_LIMIT)

    def _serve(
        self,
        waiting: queue.SimpleQueue[str],
        done: queue.SimpleQueue[tuple[str, Trial] | BaseException | None],
        stop: threading.Event,
    ) -> None:
        worker: _Worker | None = None
        try:
            with self.log.open("ab") as log:
                while not stop.is_set():
                    try:
                        name = waiting.get_nowait()
                    except queue.Empty:
                        break
                    worker = worker or _Worker(self.target, self.check, log)
                    try:
                        done.put((name, worker.run(name)))
                    except _Died as error:
                        done.put((name, Trial([Fault("run", None, f"WorkerDied: {error}")])))
                        worker.close()
                        worker = None
            done.put(None)
        except BaseException as error:  # a worker that cannot start: told to whoever waits
            done.put(error)
        finally:
            if worker is not None:
                worker.close()
