"""What the timed processes computed, held against the float64 truth, in whatever precision they computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from assay.measure import Record
from assay.measure.plan import FLOAT32
from assay.measure.record import Failure
from assay.show import facts
from assay.verbs.proving import SMALLEST_FLOAT32, Prover

# Distances that are always allowed, beside twice the reference's: a few roundings of the precision (bfloat16 has 8 bits),
# and for float64 what the proof allows outputs.
_SMALLEST: Mapping[str, float] = {FLOAT32: SMALLEST_FLOAT32, "bfloat16": 8 * 2.0**-8, "float64": 1e-9}


def check_timed(record: Record, prover: Prover) -> tuple[facts.Precision, ...]:
    """The distance of every timed process's outputs from float64.

    Allowed is twice the reference's distance in the same precision. What goes further in float32 is not equal, and its
    proof says so from here on; in another precision it loses its figures there.
    """
    found: list[facts.Precision] = []
    for index, (threads, precision) in enumerate(record.conditions):
        part = record.under(index)
        outputs = {item.contestant: Path(item.arrays) for item in part.outputs if not item.process}
        if index == 0 and precision == FLOAT32:
            prover.check_timed(outputs)
        errors = prover.timed_errors(outputs)
        reference = prover.judge.reference[0] if errors and prover.judge.reference is not None else ""
        limit = max(2 * errors.get(reference, min(errors.values(), default=0.0)), _SMALLEST[precision])
        for cold in part.colds:
            if cold.process or cold.contestant not in errors:
                continue
            error = errors[cold.contestant]
            reason = f"outputs in {precision} are {error:.1e} away from float64, at most {limit:.1e} expected"
            found.append(
                facts.Precision(
                    contestant=cold.contestant,
                    precision=precision,  # type: ignore[arg-type]
                    threads=threads,
                    status="equal" if error <= limit else "different",
                    arithmetic=cold.arithmetic,
                    distance=error,
                    limit=limit,
                    reason=None if error <= limit else reason,
                )
            )
    return tuple(found)


def withheld(record: Record, precisions: tuple[facts.Precision, ...]) -> Record:
    """The record without the samples of contestants whose outputs in a precision other than float32 were too far off."""
    out = {
        (item.contestant, item.threads, item.precision): item.reason for item in precisions if item.status != "equal"
    }
    out = {key: reason for key, reason in out.items() if key[2] != FLOAT32}
    if not out:
        return record
    conditions = record.conditions
    samples = tuple(s for s in record.samples if (s.contestant, *conditions[s.condition]) not in out)
    failures = tuple(
        Failure(name, "outputs", reason or "", conditions.index((threads, precision)))
        for (name, threads, precision), reason in out.items()
    )
    return replace(record, samples=samples, failures=(*record.failures, *failures))
