"""In which order the arms of a round run: rows of Latin squares, drawn anew for every square."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

Arm = TypeVar("Arm")


def latin_square(arms: Sequence[Arm], draw: random.Random) -> list[list[Arm]]:
    """A random Latin square: every arm once in each row and once at each position.

    A cyclic square with its rows, columns and symbols shuffled (Fisher & Yates' way), so that a drift of the machine
    over a round favours no arm, and no fixed neighbourhood of arms repeats from one square to the next.
    """
    size = len(arms)
    rows, columns, symbols = (draw.sample(range(size), size) for _ in range(3))
    return [[arms[symbols[(row + column) % size]] for column in columns] for row in rows]


def orders(arms: Sequence[Arm], draw: random.Random) -> Iterator[list[Arm]]:
    """Endless rounds: the rows of one random Latin square after another."""
    while arms:
        yield from latin_square(arms, draw)
