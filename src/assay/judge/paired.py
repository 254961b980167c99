"""The statistics of paired samples: pure functions of numbers.

Two arms are compared by the logarithm of the ratio of their times *within a block* (the same round of the same task),
so that whatever slows the machine for a while slows both sides of the ratio. Within one process the median of these is
taken; over processes the mean of those medians with Student's t, because processes, not samples, are the independent
repetitions: one process's memory layout alone can make identical code a few per cent faster or slower.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.measure.record import Sample
from assay.measure.summary import median_interval

CONFIDENCE = 0.95

# Process → block → seconds of a call.
Blocks = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True)
class Paired:
    """The logarithm of time(a) / time(b), and what is known of its uncertainty."""

    log_ratio: float
    low: float
    high: float
    blocks: int
    processes: int
    p_value: float | None  # that there is no difference; None with one process, which cannot tell

    @property
    def ratio(self) -> float:
        return math.exp(self.log_ratio)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the ratio."""
        return math.exp(self.low), math.exp(self.high)

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def blocks_of(samples: Sequence[Sample], contestant: str, task: str, batch_size: int, twin: bool = False) -> Blocks:
    """The valid samples of one arm at one task, by process and block."""
    found: dict[int, dict[int, float]] = {}
    for sample in samples:
        arm = (sample.contestant, sample.task, sample.batch_size, sample.twin)
        if arm == (contestant, task, batch_size, twin) and sample.void is None:
            found.setdefault(sample.process, {})[sample.block] = sample.seconds
    return found


def log_ratios(a: Blocks, b: Blocks) -> dict[int, list[float]]:
    """For every process, the log-ratios of the blocks that both arms have."""
    found: dict[int, list[float]] = {}
    for process in sorted(set(a) & set(b)):
        shared = sorted(set(a[process]) & set(b[process]))
        if shared:
            found[process] = [math.log(a[process][block] / b[process][block]) for block in shared]
    return found


def compare(a: Blocks, b: Blocks, confidence: float = CONFIDENCE) -> Paired | None:
    """How the times of two arms relate; None if they share no block.

    One process: the median over blocks with an order-statistic interval (its range, if there are fewer than 6 blocks).
    More: the mean of the processes' medians with Student's t interval.
    """
    ratios = log_ratios(a, b)
    if not ratios:
        return None
    count = sum(map(len, ratios.values()))
    if len(ratios) == 1:
        (values,) = ratios.values()
        low, high, _ = median_interval(values, confidence)
        return Paired(statistics.median(values), low, high, count, 1, None)
    medians = [statistics.median(values) for values in ratios.values()]
    mean, freedom = statistics.fmean(medians), len(medians) - 1
    error = statistics.stdev(medians) / math.sqrt(len(medians))
    half = student_quantile((1 + confidence) / 2, freedom) * error
    p_value = 2 * (1 - student_cdf(abs(mean) / error, freedom)) if error > 0 else (1.0 if mean == 0 else 0.0)
    return Paired(mean, mean - half, mean + half, count, len(medians), p_value)


def smallest_difference(twins: Paired) -> float:
    """What an A/A pair shows though nothing differs: the larger end of its interval, as a relative difference."""
    return math.expm1(max(abs(twins.low), abs(twins.high)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: the family's error rate holds, whatever the dependence of the tests."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def student_cdf(value: float, freedom: int) -> float:
    """P(T ≤ value) for Student's t with a whole number of degrees of freedom.

    The finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4, with θ = arctan(value / √freedom).
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom: expected at least 1")
    theta = math.atan(value / math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    if freedom % 2:
        total, term = 0.0, cosine
        for k in range(1, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        inside = 2 / math.pi * (theta + sine * total)
    else:
        total, term = 0.0, 1.0
        for k in range(0, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        inside = sine * total
    return (1 + inside) / 2


def student_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t stays below with this probability; by bisection of `student_cdf`."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability of {probability}: expected one between 0 and 1")
    if probability < 0.5:
        return -student_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2
