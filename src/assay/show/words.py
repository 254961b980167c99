"""Numbers and names as a person reads them. Names come from outside (models, files): `one_line` makes them harmless."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from datetime import datetime

NOTHING = "–"
CHECKS = ("outputs", "loss", "gradients", "steps", "statistics", "dropout")  # in the order a reader expects
UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def one_line(text: str, limit: int | None = None) -> str:
    """Text on one line without control, escape or direction-changing characters, shortened to `limit`."""
    spaced = " ".join(text.split())
    harmless = "".join("\N{REPLACEMENT CHARACTER}" if _steers(character) else character for character in spaced)
    return harmless if limit is None or len(harmless) <= limit else harmless[: limit - 1] + "…"


def sentence(text: str) -> str:
    """Text on one line that begins with a capital, unless with a contestant's name, and ends with a full stop."""
    said = one_line(text)
    named = ":" in said.partition(" ")[0].removesuffix(":")
    return (said if named else said[:1].upper() + said[1:]) + ("" if said.endswith((".", "!", "?")) else ".")


def many_lines(text: str) -> str:
    """Like `one_line`, keeping line breaks and tabs: for source code."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(c) and c not in "\n\t" else c for c in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def unit_for(values: Iterable[float]) -> tuple[str, float]:
    """The unit that suits a whole column of seconds: the smallest value reads 0.1 or more in it."""
    smallest = min((value for value in values if value > 0 and math.isfinite(value)), default=1.0)
    return next((unit for unit in UNITS[:2] if smallest >= unit[1] * 0.1), UNITS[2])


def three_digits(value: float) -> str:
    """`2.10`, `87.4`, `1,210`; three significant digits, never an exponent."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.0995 or size == 0 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A single duration with the unit that suits it: `2.10 ms`."""
    if value is None:
        return NOTHING
    unit, factor = unit_for([value])
    return f"{three_digits(value / factor)} {unit}"


def roughly(value: float) -> str:
    """A time that is an estimate: `40 s`, `3 min`."""
    return f"{max(1, round(value, -1 if value >= 20 else 0)):.0f} s" if value < 90 else f"{value / 60:.0f} min"


def amount_of_bytes(value: float | None) -> str:
    if value is None:
        return NOTHING
    unit, factor = next((pair for pair in BYTES if value >= pair[1]), ("B", 1.0))
    return f"{three_digits(value / factor) if factor > 1 else int(value)} {unit}"


def spread(median: float, interval: tuple[float, float] | None) -> str:
    """The wider half of an interval relative to its median: `±2%`."""
    if interval is None or not median > 0:
        return ""
    half = 100 * max(interval[1] - median, median - interval[0]) / median
    return f"±{half:.1f}%" if half < 0.95 else f"±{half:.0f}%"


def ratio(value: float) -> str:
    """How many times the fastest's time: `1.00×`, `12.3×`, `290×`."""
    return f"{three_digits(value)}×"


def error(value: float | None) -> str:
    """A relative deviation: `3e-13`, `exact`, `not finite`."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return "exact" if value == 0 else f"{value:.0e}"


def percent(value: float) -> str:
    """`2.5 %`, `14 %`, `360 %`."""
    return f"{100 * value:.2g} %" if abs(value) < 0.995 else f"{100 * value:,.0f} %"


def task_name(task: str, batch_size: int) -> str:
    """`training step, batch 64`."""
    return f"{'training step' if task == 'train' else 'inference'}, batch {batch_size:,}"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(items: Iterable[str]) -> str:
    """`a, b and c`."""
    found = list(items)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def moment(date: str) -> str:
    """An ISO 8601 date and time as `22 November 2025, 12:47 UTC`; what is not one is given back as it is."""
    try:
        when = datetime.fromisoformat(date)
    except ValueError:
        return one_line(date)
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()
