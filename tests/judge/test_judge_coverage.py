"""The intervals against simulation: how often they hold the truth, under each noise that machines are known to have.

Everything is drawn at once, so that thousands of trials take a moment: an array holds, for every trial, process and block,
the log-ratio of two arms of the same block, whose truth is known. From there the way is that of `paired.compare`: the median
over blocks, then the interval over processes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from judge_simulate import Noise, record
from numpy.typing import NDArray

from assay.judge import judge, paired
from assay.judge.outlook import outlook

TRIALS = 20_000  # a share of 95 % is known to ±0.3 % then
BLOCKS = 9
MOST = 30
TRUTH = math.log(1.04)
Array = NDArray[np.float64]
Noisy = Callable[[np.random.Generator, tuple[int, ...]], Array]


def between(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A process's memory layout makes all of its samples a little faster or slower; both arms have one."""
    return draw.normal(0, 0.02, (2, *shape, 1))


def normal(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Log-times of two arms: (arm, trial, process, block)."""
    return between(draw, shape) + draw.normal(0, 0.01, (2, *shape, BLOCKS))


def heavy_tails(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One sample in ten is interrupted and takes half as long again to three times as long."""
    hit = draw.random((2, *shape, BLOCKS)) < 0.1
    return normal(draw, shape) + hit * draw.uniform(0.4, 1.1, hit.shape)


def drift(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """The machine slows down by 30 % over the rounds of each process, and differently from process to process."""
    slope = draw.uniform(0, 0.3, (1, *shape, 1)) * np.linspace(0, 1, BLOCKS)
    inside = draw.uniform(0, 1 / BLOCKS, (2, *shape, BLOCKS)) * draw.uniform(0, 0.3, (1, *shape, 1))  # order in a round
    return normal(draw, shape) + slope + inside


def load(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Other programs come and go: whole rounds take up to ten times as long."""
    return normal(draw, shape) + np.abs(draw.normal(0, 0.7, (1, *shape, BLOCKS)))


def heavy_processes(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Processes differ by Student's t with 4 degrees of freedom: a few are far off."""
    return 0.02 * draw.standard_t(4, (2, *shape, 1)) + draw.normal(0, 0.01, (2, *shape, BLOCKS))


NOISES = (normal, heavy_tails, drift, load, heavy_processes)


@lru_cache
def medians(noise: Noisy, processes: int) -> Array:
    """What each process of each trial says: (trial, process)."""
    times = noise(np.random.default_rng(1), (TRIALS, processes))
    ratios: Array = np.median(times[0] - times[1], -1) + TRUTH
    return ratios


def covered(found: Array, design: paired.Design | None = None) -> float:
    mean, half = paired.mean_interval(found, design=design)
    return float((np.abs(mean - TRUTH) <= half).mean())


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("processes", [6, 10])
def test_intervals_hold_the_truth(noise: Noisy, processes: int) -> None:
    share = covered(medians(noise, processes))
    assert (
        0.94 <= share <= (0.97 if noise is heavy_processes else 0.96)
    )  # few far off: the interval is on the safe side


def after_a_pilot(found: Array, design: paired.Design, usual: bool = False) -> tuple[float, float]:
    """The share of trials whose interval holds the truth, and the mean number of processes, if the pilot decides it."""
    counts = np.clip(design.needed(found), design.pilot, found.shape[1]).astype(int)
    hits = sum(
        covered(found[counts == n, :n], None if usual else design) * (counts == n).sum() for n in np.unique(counts)
    )
    return float(hits) / len(found), float(counts.mean())


@pytest.mark.parametrize("noise", [normal, heavy_tails, drift, load])
@pytest.mark.parametrize("half_width", [0.005, 0.01, 0.02, 0.04])
def test_intervals_hold_the_truth_where_the_pilot_decides_how_many_follow(noise: Noisy, half_width: float) -> None:
    share, count = after_a_pilot(medians(noise, MOST), paired.Design(6, half_width))
    assert 0.94 <= share <= 0.96
    assert 6 <= count <= MOST


def test_the_usual_interval_would_not_hold_it_after_a_pilot() -> None:
    """Why it is Stein's: a pilot that scatters little by chance is followed by few."""
    assert after_a_pilot(medians(normal, MOST), paired.Design(6, 0.02), usual=True)[0] < 0.94


def test_the_wanted_width_is_reached() -> None:
    """In most trials, and nearly in the others: later processes may scatter more than the pilot did."""
    found, design = medians(normal, 60) - TRUTH, paired.Design(6, 0.02)
    counts = np.maximum(design.needed(found), 6).astype(int)
    widths = [paired.mean_interval(found[counts == n, :n], design=design)[1] for n in np.unique(counts) if n <= 60]
    halves = np.concatenate(widths)
    assert (halves <= 0.02).mean() >= 0.6 and np.quantile(halves, 0.95) <= 0.03


def test_all_at_once_is_the_same_as_one_by_one() -> None:
    """`mean_interval` of many trials and `compare` of blocks with their numbers give the same interval."""
    found = medians(normal, 8)[0]
    a = {process: dict.fromkeys(range(3), math.exp(value)) for process, value in enumerate(found)}
    b = {process: dict.fromkeys(range(3), 1.0) for process in range(8)}
    for design in (None, paired.Design(6, 0.02), paired.Design(6, 0.002), paired.Design(8, 0.02)):
        pair = paired.compare(a, b, design=design)
        mean, half = paired.mean_interval(found, design=design)
        assert pair is not None and (pair.low, pair.high) == pytest.approx((mean - half, mean + half))
        assert pair.p_value is not None and (pair.p_value < 0.05) == pair.excludes_zero


def test_many_identical_contestants_are_seldom_told_apart() -> None:
    """Holm's correction, the twin and the pilot together: the share of tasks with any false difference."""
    wrong = 0
    for seed in range(150):
        made = record(dict.fromkeys("abcdef", 1.0), Noise(process=0.02), seed, 6)
        wrong += any(pair.outcome in ("faster", "slower") for pair in judge(made).tasks[0].comparisons)
    assert wrong <= 0.05 * 150


def test_the_outlook_of_a_record() -> None:
    quiet = outlook(record({"a": 1.0, "b": 1.02}, Noise(process=0.003, sample=0.003), 0, 6))
    noisy = outlook(record({"a": 1.0, "b": 1.02}, Noise(process=0.04), 0, 6))
    assert quiet.processes is not None and quiet.processes <= 6
    assert noisy.processes is not None and noisy.processes > 12
    assert quiet.smallest_difference is not None and noisy.smallest_difference is not None
    assert quiet.smallest_difference < 0.02 < noisy.smallest_difference
    far = outlook(record({"a": 1.0, "b": 3.0}, Noise(process=0.02), 0, 6, twin=False))
    assert far.processes is not None and far.processes <= 6  # three times as slow needs no narrow interval
    assert outlook(record({"a": 1.0, "b": 1.0}, Noise(), 0, 1)).processes is None
    ratios = [0.01, -0.02, 0.015, 0.0, 0.03, -0.01, 5.0]  # the last one is not of the pilot
    expected = math.ceil((paired.student_quantile(0.975, 5) * statistics.stdev(ratios[:6]) / 0.01) ** 2)
    assert paired.Design(6, 0.01).needed(np.array(ratios)) == expected
