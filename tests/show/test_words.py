"""Numbers and names as a person reads them."""

from __future__ import annotations

import math

import pytest

from assay.show import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.1, "2.10"),
        (87.44, "87.4"),
        (9.996, "10.0"),
        (99.96, "100"),
        (121.4, "121"),
        (1210, "1,210"),
        (0.1, "0.10"),
        (0.05, "0.050"),
        (0, "0.00"),
        (math.inf, "inf"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert words.three_digits(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(84.2, "84.2 s"), (0.00671, "6.71 ms"), (0.00031, "0.31 ms"), (0.000024, "24.0 µs"), (None, "–"), (0.0, "0.00 s")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


def test_a_column_has_one_unit_that_suits_its_smallest_value() -> None:
    assert words.unit_for([0.002, 12.0]) == ("ms", 1e-3)
    assert words.unit_for([0.00002, 0.5]) == ("µs", 1e-6)
    assert words.unit_for([0.4, 12.0]) == ("s", 1.0)
    assert words.unit_for([]) == ("s", 1.0)
    assert words.unit_for([math.nan, 0.0, 0.003]) == ("ms", 1e-3)


def test_spread_takes_the_wider_half() -> None:
    assert words.spread(2.0, (1.9, 2.3)) == "±15%"
    assert words.spread(2.0, (1.99, 2.01)) == "±0.5%"
    assert words.spread(2.0, None) == ""


def test_errors() -> None:
    assert words.error(3.2e-13) == "3e-13"
    assert words.error(0.0) == "exact"
    assert words.error(math.nan) == "not finite"
    assert words.error(None) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (12, "12 B"), (96_000_000, "96.0 MB"), (16e9, "16.0 GB"), (1500, "1.50 kB")]
)
def test_bytes(value: float | None, text: str) -> None:
    assert words.amount_of_bytes(value) == text


def test_names_cannot_steer_a_terminal_or_a_reader() -> None:
    hostile = "a\x1b[31mb\x07c\u202ed\u2066e\x9bf\ud800g\nh\ti\u2028j"
    harmless = words.one_line(hostile)
    assert harmless == "a\ufffd[31mb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg h i j"
    harmless.encode("utf-8")
    assert words.one_line("x" * 50, 10) == "x" * 9 + "…"
    assert words.many_lines("a\n\tb\x1b\u202e") == "a\n\tb\ufffd\ufffd"


def test_sentences_and_lists() -> None:
    assert words.sentence("the machine is busy") == "The machine is busy."
    assert words.sentence("Is it?") == "Is it?"
    assert words.sentence("jax:jit is fastest") == "jax:jit is fastest."
    assert words.sentence("indicative: one process") == "Indicative: one process."
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.counted(1, "example") == "1 example"
    assert words.counted(2000, "entry", "entries") == "2,000 entries"


def test_moments() -> None:
    assert words.moment("2025-11-22T12:47:05+00:00") == "22 November 2025, 12:47 UTC"
    assert words.moment("yesterday\x1b") == "yesterday\ufffd"


def test_percentages_and_rough_times() -> None:
    assert [words.percent(value) for value in (0.0254, 0.14, 1.0, 3.6, 12.5)] == [
        "2.5 %",
        "14 %",
        "100 %",
        "360 %",
        "1,250 %",
    ]
    assert [words.roughly(value) for value in (0.2, 11.2, 44, 100, 240)] == ["1 s", "11 s", "40 s", "2 min", "4 min"]
