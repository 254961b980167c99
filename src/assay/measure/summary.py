"""From raw samples to one `Measurement` for every contestant and task."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from assay.measure.effort import describe
from assay.measure.record import Failure, FirstCalls, Measurement, Record, Sample

_FEWEST = 3
UPGRADE = "upgrade"  # the stage of a failure: a framework was exchanged while it was measured


def measurements(record: Record) -> tuple[Measurement, ...]:
    """In the order of the plan: conditions, contestants, and for each its tasks."""
    return tuple(
        _measurement(part, contestant, kind, size)
        for part in map(record.under, range(len(record.conditions)))
        for contestant in record.header.contestants
        for kind, size in record.header.tasks
    )


def _measurement(record: Record, contestant: str, kind: str, size: int) -> Measurement:
    mine = [
        sample
        for sample in record.samples
        if (sample.contestant, sample.task, sample.batch_size, sample.twin) == (contestant, kind, size, False)
    ]
    good = [sample for sample in mine if sample.void is None]
    failed = next((failure for failure in record.failures if failure.contestant == contestant), None)
    firsts = [
        first
        for first in record.first_calls
        if (first.contestant, first.task, first.batch_size) == (contestant, kind, size)
    ]
    status, reason = _status(record, mine, good, failed)
    shown = good if status == "ok" else []
    cold = _of_calls(firsts)
    ((threads, precision),) = record.conditions
    series = [
        warmup.series
        for warmup in record.warmups
        if (warmup.contestant, warmup.task, warmup.batch_size) == (contestant, kind, size)
    ]
    return Measurement(
        contestant=contestant,
        task=kind,
        batch_size=size,
        status=status,
        reason=reason,
        label=describe(max(1, record.processes)),
        samples_s=tuple(sample.seconds for sample in shown),
        blocks=tuple(sample.block for sample in shown),
        processes=tuple(sample.process for sample in shown),
        calls=tuple(sample.calls for sample in shown),
        **_speed(shown, size),
        first_call_s=cold[0],
        second_call_s=cold[1],
        third_call_s=cold[2],
        peak_memory_bytes=_peak(record, contestant, firsts),
        series=series[-1] if series else None,
        void_samples=len(mine) - len(good),
        threads=threads,
        precision=precision,
    )


def _status(
    record: Record, mine: Sequence[Sample], good: Sequence[Sample], failed: Failure | None
) -> tuple[str, str | None]:
    """A worker that is lost costs the samples it did not give; three that it gave still tell its contestant's speed."""
    if failed is not None and failed.stage == UPGRADE:  # which version was measured is not known
        return "failed", failed.reason
    if failed is not None and len(good) >= min(_FEWEST, record.header.effort["fewest_rounds"]):
        return "ok", f"stopped after {len(good)} samples: {failed.reason}"
    if failed is not None:
        return "failed", failed.reason
    if good:
        return "ok", None
    if mine:
        return "failed", f"every sample was void: {mine[-1].void}"
    if record.end is None:
        return "not-run", "not timed so far"
    return "not-run", "the run was interrupted before it was timed" if record.interrupted else "no sample was taken"


def _speed(samples: Sequence[Sample], size: int) -> dict[str, Any]:
    """Of one process the median of its samples; of several the median of their medians, which are what is independent."""
    if not samples:
        return {}
    by_process: dict[int, list[float]] = {}
    for sample in samples:
        by_process.setdefault(sample.process, []).append(sample.seconds)
    times = next(iter(by_process.values()))
    if len(by_process) > 1:
        times = [statistics.median(of_one) for of_one in by_process.values()]
    median = statistics.median(times)
    return {
        "median_s": median,
        "interval_s": median_interval(times)[:2],
        "samples_per_s": size / median if median else None,
        "cpu_s": statistics.median(sample.cpu_ns / sample.calls / 1e9 for sample in samples),
        "cpu_per_wall": sum(sample.cpu_ns for sample in samples) / max(1, sum(sample.wall_ns for sample in samples)),
    }


def _of_calls(firsts: Sequence[FirstCalls]) -> list[float | None]:
    """First, second and third call: the median over processes."""
    columns = list(zip(*(first.wall_s for first in firsts), strict=False))
    found: list[float | None] = [statistics.median(column) for column in columns[:3]]
    return found + [None] * (3 - len(found))


def _peak(record: Record, contestant: str, firsts: Sequence[FirstCalls]) -> int | None:
    """Memory above what the import took; the median over processes."""
    base = {cold.process: cold.base_bytes for cold in record.colds if cold.contestant == contestant}
    peaks = []
    for first in firsts:
        before = base.get(first.process)
        if before is not None:
            peaks.append(max(0, first.peak_bytes - before))
    return int(statistics.median(peaks)) if peaks else None


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """A distribution-free interval for the median: two order statistics, and the confidence that they really have.

    For independent values the number below the median is binomial(n, ½), so [x₍ᵣ₎, x₍ₙ₊₁₋ᵣ₎] covers the median with
    probability 1 - 2·P(B < r). The largest r that keeps the confidence is taken; with fewer than 6 values even the
    whole range has less than 95 %, and is returned with what it has. (David & Nagaraja, *Order Statistics*, 7.1)
    """
    if not values:
        raise ValueError("no values: the median of nothing has no interval")
    ordered, size = sorted(values), len(values)
    tail, rank, term = 0.0, 0, 0.5**size if size < 1000 else 0.0
    if size >= 1000:  # the normal approximation is exact to the last rank here
        rank = max(
            1, math.floor(size / 2 - statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(size) / 2)
        )
        return ordered[rank - 1], ordered[size - rank], confidence
    while rank < (size + 1) // 2 and (rank == 0 or 2 * (tail + term) <= 1 - confidence):
        tail += term
        term *= (size - rank) / (rank + 1)
        rank += 1
    return ordered[rank - 1], ordered[size - rank], 1 - 2 * tail
