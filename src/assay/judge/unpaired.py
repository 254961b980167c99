"""Two runs held against each other, across time or machines: their samples were never taken together, so nothing is paired.

What is repeated independently in a run is its processes. Each gives one number, the median of the logarithm of its times;
two runs are compared by the difference of these numbers' means, with Welch's (1947) interval, which does not ask that
both scatter alike. Its degrees of freedom are rounded down, to a wider interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.judge.paired import CONFIDENCE, student_cdf, student_quantile

# Process → seconds of a call, sample by sample.
Processes = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Unpaired:
    """The logarithm of time(b) / time(a). Without two processes on either side there is no interval, and no p-value."""

    log_ratio: float
    low: float | None
    high: float | None
    processes: tuple[int, int]
    p_value: float | None  # that there is no difference

    @property
    def ratio(self) -> float:
        return math.exp(self.log_ratio)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the ratio."""
        return None if self.low is None or self.high is None else (math.exp(self.low), math.exp(self.high))


def compare(a: Processes, b: Processes, confidence: float = CONFIDENCE) -> Unpaired | None:
    """How the times of two runs relate; None if one of them has none."""
    first, second = _levels(a), _levels(b)
    if not first or not second:
        return None
    difference = statistics.fmean(second) - statistics.fmean(first)
    counts = len(first), len(second)
    if min(counts) < 2:
        return Unpaired(difference, None, None, counts, None)
    parts = [statistics.variance(levels) / len(levels) for levels in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Unpaired(difference, difference, difference, counts, 1.0 if difference == 0 else 0.0)
    freedom = _freedom(parts, counts)
    half = student_quantile((1 + confidence) / 2, freedom) * error
    p_value = 2 * (1 - student_cdf(abs(difference) / error, freedom))
    return Unpaired(difference, difference - half, difference + half, counts, p_value)


def _levels(processes: Processes) -> list[float]:
    return [statistics.median(math.log(one) for one in samples) for samples in processes.values() if samples]


def _freedom(parts: Sequence[float], counts: Sequence[int]) -> int:
    """Welch and Satterthwaite's degrees of freedom, rounded down; never fewer than the smaller side's."""
    below = sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    return max(min(counts) - 1, math.floor(sum(parts) ** 2 / below))
