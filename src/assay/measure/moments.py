"""Whether the clock on the wall was set, or the machine slept, while a run went on.

Durations are never taken from the wall's clock. Dates are, and a reader of them should know.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

_WORTH_A_LINE = 2.0  # seconds; time services move a clock by less without a step


@dataclass(frozen=True)
class Moment:
    """One moment by three clocks, in seconds."""

    wall: float
    boot: float  # goes on while the machine sleeps
    running: float  # stands still then; what durations are measured by


def now() -> Moment:
    """This moment; where the system has no clock of its own for sleep, none is seen."""
    running = time.monotonic()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else running
    return Moment(time.time(), boot, running)


def remarks(began: Moment, ended: Moment) -> Iterator[str]:
    """What happened to the clocks between two moments."""
    elapsed = ended.boot - began.boot
    stepped = ended.wall - began.wall - elapsed
    slept = elapsed - (ended.running - began.running)
    if abs(stepped) > _WORTH_A_LINE:
        yield (
            f"the system's clock was set {'forward' if stepped > 0 else 'back'} by {abs(stepped):,.0f} s during the run: its "
            "dates are not to be relied on, its durations do not use that clock"
        )
    if slept > _WORTH_A_LINE:
        yield f"the machine slept for {slept:,.0f} s during the run; that time is in no sample"
