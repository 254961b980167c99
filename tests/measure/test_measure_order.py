"""Latin squares: no arm is favoured by its place."""

from __future__ import annotations

import random
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from assay.measure.order import latin_square, orders


@given(st.integers(1, 14), st.integers(0, 2**32))
def test_every_arm_once_in_each_row_and_column(size: int, seed: int) -> None:
    arms = [f"arm {index}" for index in range(size)]
    square = latin_square(arms, random.Random(seed))
    assert all(sorted(row) == sorted(arms) for row in square)
    assert all(sorted(column) == sorted(arms) for column in zip(*square, strict=True))


def test_squares_are_drawn_anew_and_repeat_with_the_seed() -> None:
    arms = list(range(6))
    first = list(islice(orders(arms, random.Random(1)), 18))
    assert first == list(islice(orders(arms, random.Random(1)), 18))
    assert first[:6] != first[6:12]
    assert first != list(islice(orders(arms, random.Random(2)), 18))


def test_neighbours_change_between_squares() -> None:
    rows = list(islice(orders(list(range(5)), random.Random(3)), 100))
    pairs = [pair for row in rows for pair in pairwise(row)]
    assert len(set(pairs)) == 20  # every ordered pair of neighbours occurs


def test_no_arms_no_rounds() -> None:
    assert list(orders([], random.Random(0))) == []
