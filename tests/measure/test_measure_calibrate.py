"""The shape of a warm-up, and the calls that make a sample."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.measure.calibrate import FLAT, SLOWING, UNSTEADY, WARMING, choose_calls, classify, level
from assay.measure.effort import QUICK


def noisy(levels: list[float], seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [one * (1 + 0.01 * draw.gauss(0, 1)) for one in levels]


@pytest.mark.parametrize(
    ("levels", "shape"),
    [
        ([1.0] * 30, FLAT),
        ([2.0] * 10 + [1.0] * 20, WARMING),
        ([1.0 + 0.02 * index for index in range(30)], SLOWING),
        ([1.0, 3.0] * 15, UNSTEADY),
        ([1.0] * 29 + [50.0], FLAT),  # one interruption is no trend
        ([1.0] * 5, "too short to tell"),
    ],
)
def test_shapes(levels: list[float], shape: str) -> None:
    assert classify(noisy(levels)) == shape


def test_noise_alone_is_rarely_called_a_trend() -> None:
    trends = sum(classify(noisy([1.0] * 12, seed)) in (WARMING, SLOWING) for seed in range(300))
    assert trends <= 3


def test_level_is_that_of_the_later_half() -> None:
    assert level([9.0, 9.0, 9.0, 1.0, 1.0, 1.2]) == 1.0


def test_one_number_of_calls_where_speeds_are_alike() -> None:
    chosen = choose_calls("train/64", {"a": 0.010, "b": 0.012, "c": 0.030}, QUICK)
    assert set(chosen.calls.values()) == {5}  # the fastest arm's sample lasts 50 ms
    assert set(chosen.rounds.values()) == {QUICK.rounds}
    assert len(chosen.reasons) == 1


def test_arms_are_divided_at_their_largest_gap() -> None:
    chosen = choose_calls("infer/1", {"fast": 15e-6, "near": 40e-6, "slow": 2e-3, "slower": 3e-3}, QUICK)
    assert chosen.calls["fast"] == chosen.calls["near"] == 3334
    assert chosen.calls["slow"] == chosen.calls["slower"] == 25
    assert "200-fold" in chosen.reasons[0] and "3334 for fast, near; 25 for slow, slower" in chosen.reasons[0]


def test_a_very_slow_arm_takes_part_in_fewer_rounds() -> None:
    chosen = choose_calls("train/64", {"a": 0.02, "b": 5.0}, QUICK)
    assert chosen.calls["b"] == 1 and chosen.rounds == {"a": QUICK.rounds, "b": QUICK.fewest_rounds}
    assert any("takes part in" in reason for reason in chosen.reasons)


@given(st.dictionaries(st.text("abcdefgh", min_size=1), st.floats(1e-7, 100.0), min_size=1, max_size=12))
def test_samples_are_long_enough_and_shared_or_far_apart(seconds: dict[str, float]) -> None:
    effort = replace(QUICK, rounds=9)
    chosen = choose_calls("x", seconds, effort)
    assert set(chosen.calls) == set(chosen.rounds) == set(seconds)
    for arm, each in seconds.items():
        assert chosen.calls[arm] >= 1
        assert effort.fewest_rounds <= chosen.rounds[arm] <= effort.rounds
        assert each * chosen.calls[arm] >= effort.sample_seconds * 0.999
        # Either one call is long anyway, or the sample is bounded (rounding up may double a sample of one call).
        assert chosen.calls[arm] == 1 or each * chosen.calls[arm] <= 2 * effort.longest_sample
    ordered = sorted(seconds, key=lambda arm: seconds[arm])
    for fast, slow in pairwise(ordered):
        if chosen.calls[fast] != chosen.calls[slow]:
            span = max(seconds.values()) / min(seconds.values())
            assert seconds[slow] / seconds[fast] >= min(2, (effort.longest_sample / effort.sample_seconds)) ** (1 / 11)
            assert span > 1
