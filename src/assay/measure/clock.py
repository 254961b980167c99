"""The timed region, and everything that is read around it. Runs in the worker."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from typing import Any

from assay.frameworks.base import Session
from assay.measure import host

_LONGEST_SERIES = 2000
_SHORTEST_SERIES = 2

Batch = tuple[tuple[Any, ...], Any]  # placed inputs, placed targets (None for inference)
Runner = Callable[[Session, Iterable[Batch]], None]


def train(session: Session, batches: Iterable[Batch]) -> None:
    """A training step for each batch. Each needs the weights of the one before, so the last wait waits for all."""
    step = session.train_step
    value = None
    for inputs, targets in batches:
        value = step(inputs, targets)
    session.wait(value)


def infer(session: Session, batches: Iterable[Batch]) -> None:
    """A prediction for each batch, each waited for: its time is the time until the answer is there."""
    predict, wait = session.predict, session.wait
    for inputs, _ in batches:
        wait(predict(inputs))


def timed(session: Session, action: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU time of an action, and what disturbed it.

    Times are nanoseconds; `began_ns` and `ended_ns` are the system's monotonic clock, the same in all processes.
    """
    compiles = session.compile_count()
    steal, waited = host.steal_ticks(), host.waited_ns()
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    cpu = time.process_time_ns()
    began = time.perf_counter_ns()
    action()
    ended = time.perf_counter_ns()
    cpu = time.process_time_ns() - cpu
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
    return {
        "began_ns": began,
        "ended_ns": ended,
        "wall_ns": ended - began,
        "cpu_ns": cpu,
        "switches": switches,
        "steal_ticks": _gained(steal, host.steal_ticks()),
        "waited_ns": _gained(waited, host.waited_ns()),
        "compiles": session.compile_count() - compiles,
    }


def _gained(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)


def sample(session: Session, runner: Runner, batches: Sequence[Batch], calls: int, run_in: float) -> dict[str, Any]:
    """One sample: untimed calls for `run_in` seconds (at least one, unless it is 0), then `calls` timed ones.

    The run-in brings caches and sleeping threads back after other processes ran, so that the first of many calls costs
    the same as the first of few.
    """
    until = time.perf_counter() + run_in
    while time.perf_counter() < until:
        runner(session, batches[:1])
    rotation = islice(cycle(batches), calls)
    return {"calls": calls} | timed(session, lambda: runner(session, rotation))


def single_calls(
    session: Session, runner: Runner, batches: Sequence[Batch], calls: int, seconds: float
) -> dict[str, Any]:
    """Calls timed one by one after a run-in of a tenth of `seconds`: `calls` of them, or as many as `seconds` allow."""
    rotation = cycle([batch] for batch in batches)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds / 10:
        runner(session, next(rotation))
    times: list[int] = []
    compiles, waited = session.compile_count(), host.waited_ns()
    start = time.perf_counter()
    while len(times) < calls and time.perf_counter() - start < seconds:
        one = next(rotation)
        began = time.perf_counter_ns()
        runner(session, one)
        times.append(time.perf_counter_ns() - began)
    return {
        "times_ns": times,
        "compiles": session.compile_count() - compiles,
        "waited_ns": _gained(waited, host.waited_ns()),
    }


def series(session: Session, runner: Runner, batches: Sequence[Batch], calls: int, seconds: float) -> dict[str, Any]:
    """Single calls, each waited for: `calls` of them and for a tenth of `seconds`, but no longer than `seconds`."""
    times: list[int] = []
    compiles = session.compile_count()
    rotation = cycle([batch] for batch in batches)
    start = time.perf_counter()
    elapsed = 0.0
    while len(times) < _LONGEST_SERIES and (len(times) < calls or elapsed < seconds / 10):
        if elapsed >= seconds and len(times) >= _SHORTEST_SERIES:
            break
        one = next(rotation)
        began = time.perf_counter_ns()
        runner(session, one)
        times.append(time.perf_counter_ns() - began)
        elapsed = time.perf_counter() - start
    return {"times_ns": times, "compiles": session.compile_count() - compiles}
