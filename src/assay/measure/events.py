"""What a run tells while it goes on, to whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass

from assay.measure.record import Measurement, Sample

# The states of a contestant, in their usual order.
WAITING = "waiting"
PROVING = "proving"
PROVED = "proved"
IMPORTING = "importing"
BUILDING = "building"
COMPILING = "compiling"
READY = "ready"
WARMING = "warming"
TIMING = "timing"
DONE = "done"
FAILED = "failed"


@dataclass(frozen=True)
class StateChanged:
    """A contestant is at another point of its way. `detail`: the reason of a failure, the task being compiled …"""

    contestant: str
    state: str
    detail: str = ""


@dataclass(frozen=True)
class SampleTaken:
    """One more sample; `expected` is how many the run will take as far as is known now."""

    sample: Sample
    done: int
    expected: int


@dataclass(frozen=True)
class RowsReady:
    """The measurements so far: after each wave of contestants."""

    measurements: tuple[Measurement, ...]
    final: bool


@dataclass(frozen=True)
class ReplicateDone:
    """One more process of every contestant has been timed; `wanted` is how many there will be, as far as is known now.

    `smallest_difference`: below this relative difference nothing could be told if the run ended now.
    """

    done: int
    wanted: int
    seconds_left: float
    smallest_difference: float | None


@dataclass(frozen=True)
class OutputsReady:
    """Float32 outputs of a timed process are in a file (`output/0` …)."""

    contestant: str
    arrays: str


@dataclass(frozen=True)
class Notice:
    """Something that a reader should know."""

    text: str


Event = StateChanged | SampleTaken | RowsReady | ReplicateDone | OutputsReady | Notice
