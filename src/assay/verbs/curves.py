"""Training equality on real data: the same initial weights, the same batches, dropout off, every contestant's losses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay.measure import Curve as CurveRequest
from assay.measure import Record
from assay.model import Model
from assay.show import facts
from assay.verbs.proving import Written
from assay.workloads import Workload
from assay.workloads.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 50
PREFERRED_REFERENCE = ("pytorch:eager", "jax:jit", "tensorflow:graph")
# Within this many float32 roundings of the float64 curve every contestant is as good as any: the reference itself may be
# lucky to the last bit.
FLOOR = 64 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class CurvePlan:
    """The batches of the curves."""

    request: CurveRequest
    rows: np.ndarray


def order_of_batches(examples: int, batch: int, steps: int, seed: int) -> np.ndarray:
    """Rows of example numbers, one a step, in the neutral order: shuffled anew each epoch, incomplete batches left out."""
    from assay.workloads.data import Split, batches

    index = np.arange(examples)
    split = Split((index,), index)
    rows: list[np.ndarray] = []
    epoch = 0
    while len(rows) < steps:
        rows.extend(targets for _, targets in batches(split, batch, seed, epoch))
        epoch += 1
    return np.stack(rows[:steps])


def plan_curves(model: Model, dataset: Dataset, folder: Path, batch: int, contestants: Sequence[str]) -> CurvePlan:
    """What every contestant is asked to train on; one of them in float64 too."""
    assert model.training is not None
    rows = order_of_batches(len(dataset.train), batch, STEPS, model.training.seed)
    order = folder / "curve-order.npz"
    np.savez(order, rows=rows)
    reference = next((name for name in PREFERRED_REFERENCE if name in contestants), contestants[0])
    return CurvePlan(CurveRequest(order, truth=(reference,)), rows)


def curves_of(plan: CurvePlan, record: Record, written: Written, workload: Workload) -> facts.TrainingEquality | None:
    """The curves beside the float64 one; a contestant is equal if it stays within twice the reference's distance."""
    found = {item.contestant: item.losses for item in record.curves if item.dtype == "float32" and item.losses}
    truth = next((item for item in record.curves if item.dtype == "float64" and item.losses), None)
    if truth is None or not found:
        return None
    distances = {name: distance(losses, truth.losses) for name, losses in found.items()}
    reference = truth.contestant if truth.contestant in distances else next(iter(distances))
    limit = max(2 * distances[reference], FLOOR)
    return facts.TrainingEquality(
        steps=len(truth.losses),
        truth=truth.losses,
        truth_contestant=truth.contestant,
        reference=reference,
        limit=limit,
        curves=tuple(
            facts.Curve(name, "equal" if distances[name] <= limit else "different", losses, distances[name])
            for name, losses in found.items()
        ),
        metric=None,
        metric_goal=workload.goal,
    )


def distance(losses: Sequence[float], truth: Sequence[float]) -> float:
    """The largest difference of two curves, relative to the largest value of the true one."""
    a, b = np.asarray(losses), np.asarray(truth)
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(b).max())
