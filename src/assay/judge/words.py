"""Numbers as a person says them."""

from __future__ import annotations

from collections.abc import Sequence


def seconds(value: float) -> str:
    """`3.1 ms`, with two or three significant digits."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, one = next((pair for pair in units if value >= pair[1]), units[-1])
    amount = value / one
    if amount >= 10_000:
        return f"{amount:,.0f} {unit}"
    return f"{amount:.0f} {unit}" if amount >= 100 else f"{amount:.3g} {unit}"


def size(value: float) -> str:
    """`312 MB`, in powers of ten."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= one:
            return f"{value / one:.3g} {unit}"
    return f"{value:.0f} bytes"


def times_as_fast(ratio: float) -> str:
    """For the ratio slow / fast: `12 % faster than`, `1.8 times as fast as`."""
    if ratio < 1.5:
        return f"{(ratio - 1) * 100:.{0 if ratio >= 1.1 else 1}f} % faster than"
    return f"{ratio:.{1 if ratio < 10 else 0}f} times as fast as"


def percent(value: float) -> str:
    return f"{value * 100:.{1 if value < 0.1 else 0}f} %"


def signed_percent(value: float) -> str:
    """`+1.2 %`, `−0.3 %`."""
    return ("−" if value < 0 else "+") + percent(abs(value))


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def condition(threads: int, precision: str, among: Sequence[tuple[int, str]]) -> str:
    """`2 threads, bfloat16`: only what tells a condition from the others; empty where there are none."""
    parts = [f"{threads} {'thread' if threads == 1 else 'threads'}"] if len({one for one, _ in among}) > 1 else []
    return ", ".join([*parts, *([precision] if len({one for _, one in among}) > 1 else [])])


def task(kind: str, batch_size: int) -> str:
    """`training step, batch of 64`."""
    what = "training step" if kind == "train" else "inference"
    return f"{what}, {'one example' if batch_size == 1 else f'batch of {batch_size}'}"
