"""Percentiles of single calls with bounds that hold without assumptions about their distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PERCENTS = (50, 90, 95, 99)
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Percentile:
    """`value_s`: the percentile of what was seen. `upper_s`: with 95 % confidence the true one is not above it."""

    percent: int
    value_s: float
    upper_s: float


def percentiles(times: Sequence[float]) -> tuple[Percentile, ...]:
    """Those percentiles that so many calls can bound: the 50th from 5 calls, the 90th from 29, the 95th from 59, the
    99th from 299.

    The bound is the smallest order statistic x₍ᵣ₎ with P(B ≤ r - 1) ≥ 95 %, where B, the number of calls below the true
    percentile p, is binomial(n, p). (David & Nagaraja, *Order Statistics*, 7.1)
    """
    ordered = sorted(times)
    found = []
    for percent in PERCENTS:
        rank = upper_rank(len(ordered), percent / 100)
        if rank is not None:
            value = ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
            found.append(Percentile(percent, value, ordered[rank - 1]))
    return tuple(found)


def upper_rank(count: int, part: float, confidence: float = CONFIDENCE) -> int | None:
    """The rank, from 1, of the order statistic that bounds a quantile from above; None if even the largest does not."""
    below = 0.0
    for successes in range(count):
        below += math.exp(_log_binomial(count, successes, part))
        if below >= confidence:
            return successes + 1
    return None


def _log_binomial(count: int, successes: int, part: float) -> float:
    choose = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    return choose + successes * math.log(part) + (count - successes) * math.log1p(-part)
