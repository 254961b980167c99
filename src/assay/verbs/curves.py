"""Training equality on real data: the same initial weights, the same batches, dropout off, every contestant's losses."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay.errors import DataError
from assay.measure import Curve as CurveRequest
from assay.measure import Record
from assay.model import Model
from assay.show import facts
from assay.workloads.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 50
EXAMPLES = 1024  # of the test split, at most, for the metric after the steps
PREFERRED_REFERENCE = ("pytorch:eager", "jax:jit", "tensorflow:graph")


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
    size = min(batch, len(dataset.test))
    examples = min(EXAMPLES, len(dataset.test)) // size * size  # whole batches: no other shape has to be compiled
    return CurvePlan(CurveRequest(order, truth=(reference,), batch=size, examples=examples or size), rows)


def curves_of(record: Record, model: Model, dataset: Dataset) -> facts.TrainingEquality | None:
    """The curves beside the float64 one. A contestant is equal if its distance from it is at most twice the reference's.

    Training amplifies rounding, and the reference may be lucky; so the reference's distance is the largest of its own
    float32 curve's and of those of float64 trainings whose weights and inputs are one float32 rounding away.
    """
    found = {item.contestant: item.losses for item in record.curves if item.dtype == "float32" and item.losses}
    exact = [item for item in record.curves if item.dtype == "float64" and item.losses]
    truth = next((item for item in exact if not item.rounding), None)
    if truth is None or not found:
        return None
    distances = {name: distance(losses, truth.losses) for name, losses in found.items()}
    reference = truth.contestant if truth.contestant in distances else next(iter(distances))
    rounded = [distance(item.losses, truth.losses) for item in exact if item.rounding]
    limit = 2 * max([distances[reference], *rounded])
    scores, examples = _scores(record, model, dataset)
    return facts.TrainingEquality(
        steps=len(truth.losses),
        truth=truth.losses,
        truth_contestant=truth.contestant,
        reference=reference,
        limit=limit,
        curves=tuple(_curve(name, losses, distances[name], limit, scores.get(name)) for name, losses in found.items()),
        metric=model.training.metric if model.training is not None and scores else None,
        metric_examples=examples,
        metric_goal=None,  # the workload's goal is for its whole training
    )


def _scores(record: Record, model: Model, dataset: Dataset) -> tuple[dict[str, float], int | None]:
    """The metric of each contestant after its float32 curve, and on how many of the first test examples."""
    from assay.workloads.metrics import find_metric

    assert model.training is not None
    metric = find_metric(model.training.metric)
    scores: dict[str, float] = {}
    examples = None
    for item in record.curves:
        if item.outputs is None or item.dtype != "float32":
            continue
        with np.load(item.outputs, allow_pickle=False) as file:
            outputs = file["output/0"]
        examples = len(outputs)
        with contextlib.suppress(DataError):  # too few examples for this metric
            scores[item.contestant] = metric.compute(outputs, dataset.test.targets[:examples])
    return scores, examples if scores else None


def _curve(name: str, losses: Sequence[float], away: float, limit: float, score: float | None) -> facts.Curve:
    if away <= limit:
        return facts.Curve(name, "equal", tuple(losses), away, score)
    reason = f"its losses are up to {away:.1e} away from the float64 curve, at most {limit:.1e} expected"
    return facts.Curve(name, "different", tuple(losses), away, score, reason)


def distance(losses: Sequence[float], truth: Sequence[float]) -> float:
    """The largest difference of two curves, relative to the largest value of the true one."""
    a, b = np.asarray(losses), np.asarray(truth)
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(b).max())
