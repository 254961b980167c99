"""Two runs held against each other: the interval covers what it says, and says nothing where it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from assay.judge.unpaired import compare


def run(
    draw: np.random.Generator, level: float, processes: int, between: float, within: float = 0.01
) -> dict[int, list[float]]:
    """Times of a contestant: each process has its own speed, each sample its own noise, seldom much more."""
    found = {}
    for process in range(processes):
        own = level * math.exp(draw.normal(0, between))
        found[process] = [own * math.exp(abs(draw.normal(0, within))) for _ in range(9)]
    return found


def test_it_is_welchs_test_of_the_processes_medians() -> None:
    draw = np.random.default_rng(1)
    a, b = run(draw, 1.0, 7, 0.02), run(draw, 1.1, 9, 0.05)
    found = compare(a, b)
    assert found is not None and found.interval is not None and found.p_value is not None
    first, second = ([np.median(np.log(samples)) for samples in side.values()] for side in (a, b))
    expected = stats.ttest_ind(second, first, equal_var=False)
    assert found.ratio == pytest.approx(math.exp(np.mean(second) - np.mean(first)))
    low, high = (math.exp(bound) for bound in expected.confidence_interval(0.95))
    assert found.interval[0] <= low * (1 + 1e-12) and found.interval[1] >= high * (
        1 - 1e-12
    )  # whole degrees of freedom
    assert found.interval == pytest.approx((low, high), rel=0.005)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.15)
    assert found.processes == (7, 9)


@pytest.mark.parametrize(
    ("processes", "scatters"), [((6, 6), (0.02, 0.02)), ((6, 12), (0.03, 0.01)), ((10, 6), (0.01, 0.04))]
)
def test_the_interval_covers_the_truth(processes: tuple[int, int], scatters: tuple[float, float]) -> None:
    """Coverage of at least 94 %, and not much wider than it must be; 3,000 draws have a standard error of 0.4 %."""
    draw = np.random.default_rng(2)
    covered = 0
    for _ in range(3000):
        found = compare(run(draw, 1.0, processes[0], scatters[0]), run(draw, 1.07, processes[1], scatters[1]))
        assert found is not None and found.interval is not None
        covered += found.interval[0] <= 1.07 <= found.interval[1]
    assert 0.94 <= covered / 3000 <= 0.97


def test_one_process_has_no_interval() -> None:
    draw = np.random.default_rng(3)
    found = compare(run(draw, 1.0, 1, 0.0), run(draw, 2.0, 8, 0.01))
    assert found is not None and found.interval is None and found.p_value is None
    assert found.ratio == pytest.approx(2.0, rel=0.05)
    assert compare({}, run(draw, 1.0, 6, 0.0)) is None and compare({0: []}, {0: [1.0]}) is None


def test_processes_that_all_agree() -> None:
    same = {process: [0.5] * 9 for process in range(6)}
    found = compare(same, same)
    assert found is not None and found.interval == (1.0, 1.0) and found.p_value == 1.0
    other = compare(same, {process: [1.0] * 9 for process in range(6)})
    assert other is not None and other.p_value == 0.0 and other.interval == pytest.approx((2.0, 2.0))
