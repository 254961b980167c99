"""The timed region, and everything that is read around it. Runs in the worker."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

from assay.frameworks.base import Session
from assay.measure import host

_LONGEST_SERIES = 2000
_SHORTEST_SERIES = 2

Batch = tuple[tuple[Any, ...], Any]  # placed inputs, placed targets (None for inference)


def training(session: Session) -> tuple[Callable[..., Any], bool]:
    """How a training step is called. The next step needs this one's weights, so one wait at the end waits for all."""
    return session.train_step, False


def inference(session: Session) -> tuple[Callable[..., Any], bool]:
    """How a prediction is called. Each one is waited for: its time is the time until the answer is there."""

    def predict(inputs: Sequence[Any], _: Any) -> Any:
        return session.predict(inputs)

    return predict, True


def run(session: Session, call: Callable[..., Any], each: bool, batches: Sequence[Batch], calls: int) -> None:
    """Calls the step this many times over rotating batches, and waits until the results and new weights are there."""
    rotation = islice(cycle(batches), calls)
    wait = session.wait
    if each:
        for inputs, targets in rotation:
            wait(call(inputs, targets))
        return
    value = None
    for inputs, targets in rotation:
        value = call(inputs, targets)
    wait(value)


def timed(session: Session, action: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU time of an action, and what disturbed it.

    Times are nanoseconds; `began_ns` and `ended_ns` are the system's monotonic clock, the same in all processes.
    """
    compiles = session.compile_count()
    steal = host.steal_ticks()
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    cpu = time.process_time_ns()
    began = time.perf_counter_ns()
    action()
    ended = time.perf_counter_ns()
    cpu = time.process_time_ns() - cpu
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
    after = host.steal_ticks()
    return {
        "began_ns": began,
        "ended_ns": ended,
        "wall_ns": ended - began,
        "cpu_ns": cpu,
        "switches": switches,
        "steal_ticks": None if steal is None or after is None else after - steal,
        "compiles": session.compile_count() - compiles,
    }


def sample(
    session: Session, call: Callable[..., Any], each: bool, batches: Sequence[Batch], calls: int, run_in: float
) -> dict[str, Any]:
    """One sample: untimed calls for `run_in` seconds (at least one, unless it is 0), then `calls` timed ones.

    The run-in brings caches and sleeping threads back after other processes ran, so that the first of many calls costs
    the same as the first of few.
    """
    until = time.perf_counter() + run_in
    while time.perf_counter() < until:
        run(session, call, each, batches, 1)
    return {"calls": calls} | timed(session, lambda: run(session, call, each, batches, calls))


def series(
    session: Session, call: Callable[..., Any], each: bool, batches: Sequence[Batch], calls: int, seconds: float
) -> dict[str, Any]:
    """Single calls, each waited for: `calls` of them and for a tenth of `seconds`, but no longer than `seconds`."""
    times: list[int] = []
    compiles = session.compile_count()
    rotation = cycle(batches)
    start = time.perf_counter()
    elapsed = 0.0
    while len(times) < _LONGEST_SERIES and (len(times) < calls or elapsed < seconds / 10):
        if elapsed >= seconds and len(times) >= _SHORTEST_SERIES:
            break
        inputs, targets = next(rotation)
        began = time.perf_counter_ns()
        session.wait(call(inputs, targets))
        times.append(time.perf_counter_ns() - began)
        elapsed = time.perf_counter() - start
    return {"times_ns": times, "compiles": session.compile_count() - compiles}
