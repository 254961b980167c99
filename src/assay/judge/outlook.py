"""While a run goes on: how many processes it needs, and what could be told if it ended now.

Both are asked between processes only. How many are needed follows from the scatter of the first ones (the pilot), by the
comparisons that a ranking is made of: every contestant with the fastest of its task, and the A/A twin with its own, whose
interval must be as narrow as the narrowest that is wanted of these.
"""

from __future__ import annotations

import statistics

import numpy as np
from numpy.typing import NDArray

from assay.judge import paired
from assay.judge.verdict import design_of, ordered, twins_of
from assay.measure.outlook import Outlook
from assay.measure.record import Record


def outlook(record: Record) -> Outlook:
    """What a record, as far as it has come, says of how it should go on. Wrong samples say nothing."""
    design = design_of(record)
    needed: list[int] = []
    widths: list[float] = []
    for kind, size in record.header.tasks:
        try:
            needed += _needed(record, design, kind, size) if design is not None else []
            if (twins := twins_of(record, kind, size)[1]) is not None:
                widths.append(paired.smallest_difference(twins))
        except (ValueError, ArithmeticError):  # as in `judge`: what cannot be computed is no reason to stop or go on
            continue
    return Outlook(max(needed, default=None), max(widths, default=None))


def _needed(record: Record, design: paired.Design, kind: str, size: int) -> list[int]:
    """The processes that each comparison of one task needs."""
    medians = {
        m.contestant: m.median_s
        for m in record.measurements
        if (m.task, m.batch_size, m.status) == (kind, size, "ok") and m.median_s
    }
    blocks = {name: paired.blocks_of(record.samples, name, kind, size) for name in medians}
    found, aims = [], []
    if blocks:
        fastest, *others = ordered(blocks, medians)
        for name in others:
            ratios = _of_processes(blocks[name], blocks[fastest])
            if len(ratios) > 1:
                aims.append(float(design.aim(ratios[: design.pilot].mean())))
                found.append(int(design.needed(ratios)))
    for name in sorted({s.contestant for s in record.samples if s.twin} & set(blocks)):
        ratios = _of_processes(paired.blocks_of(record.samples, name, kind, size, twin=True), blocks[name])
        if len(ratios) > 1:
            found.append(int(design.needed(ratios, aim=min(aims, default=design.half_width))))
    return found


def _of_processes(a: paired.Blocks, b: paired.Blocks) -> NDArray[np.float64]:
    """What each process says of two arms."""
    return np.array([statistics.median(values) for values in paired.log_ratios(a, b).values()])
