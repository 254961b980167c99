"""The statistics, against scipy and against simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_simulate import Noise, record
from scipy import stats

from assay.judge import paired
from assay.judge.paired import Blocks

SECONDS = st.floats(1e-6, 1e3)
BLOCKS = st.dictionaries(st.integers(0, 3), st.dictionaries(st.integers(0, 12), SECONDS, max_size=10), max_size=3)


@given(st.floats(-50, 50), st.integers(1, 60))
def test_students_t(value: float, freedom: int) -> None:
    assert paired.student_cdf(value, freedom) == pytest.approx(
        stats.t.cdf(value, freedom), abs=1e-9
    )  # scipy is 2e-10 off near 0


@given(st.floats(0.001, 0.999), st.integers(1, 60))
def test_quantiles_of_students_t(probability: float, freedom: int) -> None:
    found = paired.student_quantile(probability, freedom)
    assert found == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-8)


def test_what_students_t_refuses() -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        paired.student_cdf(1.0, 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired.student_quantile(1.0, 3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm(p_values: list[float]) -> None:
    adjusted = paired.holm(p_values)
    assert all(0 <= p <= a <= 1 or math.isclose(p, a) for p, a in zip(p_values, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1, len(p_values) * min(p_values)))
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)


def test_holm_by_hand() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(BLOCKS, BLOCKS)
def test_swapping_the_sides_turns_the_ratio_over(a: Blocks, b: Blocks) -> None:
    one, other = paired.compare(a, b), paired.compare(b, a)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.log_ratio == pytest.approx(-other.log_ratio)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
        assert one.low <= one.log_ratio + 1e-12 and one.log_ratio <= one.high + 1e-12
        assert one.blocks == other.blocks


@given(BLOCKS.filter(lambda blocks: any(blocks.values())), st.floats(0.01, 100))
def test_a_constant_factor_is_found_exactly(a: Blocks, factor: float) -> None:
    b = {process: {block: value * factor for block, value in blocks.items()} for process, blocks in a.items()}
    found = paired.compare(b, a)
    assert found is not None
    assert found.ratio == pytest.approx(factor) and found.interval == pytest.approx((factor, factor))


def test_only_shared_blocks_are_compared() -> None:
    a, b = {0: {0: 1.0, 1: 2.0, 2: 9.0}}, {0: {1: 1.0, 2: 3.0, 5: 1.0}, 1: {0: 1.0}}
    assert paired.log_ratios(a, b) == {0: pytest.approx([math.log(2), math.log(3)])}
    assert paired.compare(a, {1: {0: 1.0}}) is None
    assert paired.compare({}, {}) is None


def test_load_that_slows_a_whole_block_cancels() -> None:
    draw = random.Random(0)
    load = [draw.uniform(1, 10) for _ in range(9)]
    a = {0: {block: 1.1 * slow for block, slow in enumerate(load)}}
    b = {0: dict(enumerate(load))}
    found = paired.compare(a, b)
    assert found is not None and found.interval == pytest.approx((1.1, 1.1))


def coverage(processes: int, trials: int, noise: Noise, truth: float = 1.04) -> float:
    """How often the interval holds the true ratio."""
    hits = 0
    for seed in range(trials):
        made = record({"a": truth, "b": 1.0}, noise, seed, processes, twin=False)
        blocks = {name: paired.blocks_of(made.samples, name, "train", 64) for name in "ab"}
        found = paired.compare(blocks["a"], blocks["b"])
        assert found is not None
        hits += found.low <= math.log(truth) <= found.high
    return hits / trials


def test_coverage_over_processes() -> None:
    # 95 % is meant; 600 trials have a standard deviation of 0.9 %.
    assert 0.92 <= coverage(6, 600, Noise(process=0.02)) <= 0.98


def test_one_process_does_not_cover_what_processes_differ_by() -> None:
    """Why a single process is only ever indicative."""
    assert coverage(1, 300, Noise(process=0.0)) >= 0.93  # its own samples it describes well
    assert coverage(1, 300, Noise(process=0.03)) < 0.5  # another process it does not
