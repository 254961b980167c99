"""What the judge can tell while a run goes on: how many processes it needs, and what could be told now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assay.measure.record import Record


@dataclass(frozen=True)
class Outlook:
    """`processes`: of each contestant, so that the intervals become as narrow as the effort wants them.

    `smallest_difference`: the relative difference below which nothing could be told if the run ended now.
    None: not known yet.
    """

    processes: int | None
    smallest_difference: float | None


Look = Callable[[Record], Outlook]


def blind(record: Record) -> Outlook:
    """Nobody looks: as many processes as the effort asks for in any case."""
    return Outlook(None, None)
