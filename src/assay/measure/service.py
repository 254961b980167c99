"""What a worker does when asked: each public method of `Service` is a request. Runs in the worker.

A request's fields are the method's keyword arguments; what it returns is the reply. Only `open` and what follows need
the framework; all of them work on one session at a time.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import DataError, WorkerError
from assay.frameworks.base import Session
from assay.measure import clock, host, proving, training
from assay.measure.arrays import batches_of, load_data, save_arrays
from assay.measure.attribution import shares
from assay.measure.energy import Energy
from assay.measure.plan import TRAIN

Reply = dict[str, Any]
Progress = Callable[[Mapping[str, Any]], None]


class Service:
    """The requests that a worker answers. `where` is the session's class as `module:Class`."""

    def __init__(self, where: str, progress: Progress, stop_asked: Callable[[], bool]) -> None:
        self._where = where
        self._progress = progress
        self._stop_asked = stop_asked
        self._class: type[Session] | None = None
        self._session: Session | None = None
        self._initial: dict[str, np.ndarray] = {}
        self._batches: dict[str, list[clock.Batch]] = {}

    @property
    def session(self) -> Session:
        if self._session is None:
            raise WorkerError("no package is open in this worker: the request 'open' has to come first")
        return self._session

    def load(self) -> Reply:
        """Imports the framework, timed."""
        module, _, name = self._where.partition(":")
        before = host.resident_bytes()
        cpu, began = time.process_time_ns(), time.perf_counter_ns()
        self._class = getattr(importlib.import_module(module), name)
        ended = time.perf_counter_ns()
        return {
            "began_ns": began,
            "ended_ns": ended,
            "cpu_ns": time.process_time_ns() - cpu,
            "resident_before_bytes": before,
            "resident_bytes": host.resident_bytes(),
        }

    def open(self, folder: str, mode: str, dtype: str) -> Reply:
        """Imports the package's code and builds its model with its weights, timed."""
        self._require_class()
        self._session, self._batches = None, {}
        cpu, began = time.process_time_ns(), time.perf_counter_ns()
        self._session = self._make(folder, mode, dtype)
        ended = time.perf_counter_ns()
        cpu = time.process_time_ns() - cpu
        cache = self._session.cache_lookups()  # of this process, which is new where this is measured
        self._initial = self._session.state()
        return {
            "began_ns": began,
            "ended_ns": ended,
            "cpu_ns": cpu,
            "parameters": len(self._initial),
            "cache": cache,
            "device": self._session.device(),
            "arithmetic": self._session.arithmetic(),
        }

    def prove(self, folder: str, mode: str, dtype: str, save: str, **spec: Any) -> Reply:
        """Everything that the prove stage compares, in a session of its own; see `proving.run`."""
        self._require_class()
        self._session, self._batches = None, {}
        started = time.perf_counter()
        reply = proving.run(lambda: self._make(folder, mode, dtype), Path(save), **spec)
        return reply | {"seconds": time.perf_counter() - started, "high_water_bytes": host.high_water_bytes()}

    def place(self, data: str, tasks: list[tuple[str, int]], count: int, constants: Mapping[str, Any]) -> Reply:
        """Puts `count` distinct batches of each task on the device, and makes the optimizer."""
        arrays = load_data(Path(data))
        for kind, size in tasks:
            placed = []
            for inputs, targets in batches_of(arrays, kind, size, count):
                on_device = self.session.place([*inputs, targets] if targets is not None else inputs)
                placed.append((on_device[: len(inputs)], on_device[-1] if targets is not None else None))
            self._batches[f"{kind}/{size}"] = placed
        if any(kind == TRAIN for kind, _ in tasks):
            self.session.begin_training(constants)
        return {"tasks": sorted(self._batches)}

    def first(self, task: str) -> Reply:
        """The first three calls of a task, each timed with everything around it: the first one compiles."""
        runner, batches = self._task(task)
        exact = host.reset_high_water()
        found, missed = self.session.cache_lookups()
        calls = []
        for index in range(3):
            calls.append(clock.timed(self.session, partial(runner, self.session, [batches[index % len(batches)]])))
        now_found, now_missed = self.session.cache_lookups()
        return {
            "calls": calls,
            "high_water_bytes": host.high_water_bytes(),
            "high_water_is_of_the_task": exact,
            "cache": (now_found - found, now_missed - missed),
        }

    def warm(self, task: str, calls: int, seconds: float) -> Reply:
        """Single calls until the task is warm: at least `calls`, or as many as fit into `seconds`."""
        runner, batches = self._task(task)
        return clock.series(self.session, runner, batches, calls, seconds)

    def sample(self, task: str, calls: int, run_in: float, start: int) -> Reply:
        """One timed sample; rotation begins with batch `start`, the same for all arms of a round."""
        runner, batches = self._task(task)
        start %= len(batches)
        return clock.sample(self.session, runner, batches[start:] + batches[:start], calls, run_in)

    def latency(self, task: str, calls: int, seconds: float) -> Reply:
        """Single calls after a run-in: `calls` of them, or as many as `seconds` allow."""
        runner, batches = self._task(task)
        return clock.single_calls(self.session, runner, batches, calls, seconds)

    def cost(self, task: str, calls: int, seconds: float) -> Reply:
        """Memory over `calls` calls and, where the machine counts energy, what calls of `seconds` together take."""
        runner, batches = self._task(task)
        host.reset_high_water()
        for index in range(calls):
            runner(self.session, [batches[index % len(batches)]])
        found = {"high_water_bytes": host.high_water_bytes(), "device_bytes": self.session.device_memory()}
        counters = Energy()
        if not counters.sources:
            return found | {"joules": None, "calls": 0, "energy_source": counters.absent or ""}
        made, before, until = 0, counters.read(), time.perf_counter() + seconds
        while time.perf_counter() < until:
            runner(self.session, [batches[made % len(batches)]])
            made += 1
        joules = counters.joules(before, counters.read())
        return found | {"joules": joules, "calls": made, "energy_source": "; ".join(counters.sources)}

    def profile(self, task: str, seconds: float, most: int) -> Reply:
        """Where the time of warm calls goes, by the framework's own profiler: `most` of them, fewer if they are slow."""
        runner, batches = self._task(task)
        runner(self.session, batches[:1])
        began = time.perf_counter()
        runner(self.session, batches[:1])
        calls = max(1, min(most, int(seconds / max(time.perf_counter() - began, 1e-9))))
        took: list[float] = []

        def run() -> None:
            began = time.perf_counter()
            runner(self.session, [batches[index % len(batches)] for index in range(calls)])
            took.append(time.perf_counter() - began)

        self.session.profile(run)  # the first time a profiler runs it loads itself
        found = shares(self.session.profile(run), took[-1], calls)
        return {
            "calls": calls,
            "seconds": took[-1] / calls,
            "kinds": found.kinds,
            "operators": [(one.name, one.kind, one.share, one.count) for one in found.operators],
        }

    def save(self, folder: str) -> Reply:
        """The model as its framework saves it, for the shapes of the first task's batches."""
        batches = next(iter(self._batches.values()), None)
        if batches is None:
            raise DataError("no batches are placed: the request 'place' has to come first")
        return {"format": self.session.save(Path(folder), batches[0][0])}

    def outputs(self, arrays: str, save: str) -> Reply:
        """The timed session's own outputs, with the weights that it started from."""
        with np.load(arrays, allow_pickle=False) as file:
            inputs = proving.numbered(file, "inputs_")
        found = self._health()
        self.session.set_state(self._initial)
        outputs = self.session.numpy(self.session.predict(self.session.place(inputs)))
        save_arrays(Path(save), {f"output/{index}": array for index, array in enumerate(outputs)})
        return found

    def train(self, **spec: Any) -> Reply:
        """Trains on real data in a given order; see `training.run`."""
        return training.run(self.session, self._progress, self._stop_asked, **spec)

    def predict(self, data: str, split: str, batch_size: int, save: str, examples: int | None = None) -> Reply:
        """The model's outputs for a split of a data file, or for its first examples, in evaluation."""
        return training.predict(self.session, Path(data), split, batch_size, Path(save), examples)

    def restore(self, arrays: str) -> Reply:
        """Overwrites parameters and statistics by native path."""
        with np.load(arrays, allow_pickle=False) as file:
            self.session.set_state({name: file[name] for name in file.files})
        return {}

    def state(self, save: str) -> Reply:
        """Parameters and statistics as they are now, by native path."""
        save_arrays(Path(save), self.session.state())
        return {}

    def memory(self) -> Reply:
        return {"resident_bytes": host.resident_bytes(), "high_water_bytes": host.high_water_bytes()}

    def facts(self) -> Reply:
        """What this process is, for the record."""
        return {
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "cpus": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        }

    def _health(self) -> Reply:
        """How many numbers of the state became infinite or subnormal while it was timed: both change the speed."""
        infinite = subnormal = 0
        for array in self.session.state().values():
            if array.dtype.kind == "f":
                infinite += int(array.size - np.isfinite(array).sum())
                subnormal += int(((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)).sum())
        return {"not_finite": infinite, "subnormal": subnormal}

    def _make(self, folder: str, mode: str, dtype: str) -> Session:
        assert self._class is not None
        return self._class(Path(folder), mode, dtype)

    def _require_class(self) -> None:
        if self._class is None:
            self.load()

    def _task(self, task: str) -> tuple[clock.Runner, list[clock.Batch]]:
        if task not in self._batches:
            raise DataError(f"no batches are placed for {task!r}: the request 'place' has to come first")
        return clock.train if task.startswith(TRAIN) else clock.infer, self._batches[task]
