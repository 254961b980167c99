"""The figures that say how good a trained model is: plain NumPy in float64, the same for every framework.

Each takes what the model returned for the test set, and the targets. A model that diverged gets NaN or a bad figure,
never a good one by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assay.errors import DataError, unknown


@dataclass(frozen=True)
class Metric:
    """A figure of merit, as named in `Training.metric`."""

    name: str
    compute: Callable[[np.ndarray, np.ndarray], float]
    higher_is_better: bool

    def reached(self, value: float, threshold: float) -> bool:
        """Whether `value` is at least as good as `threshold`; NaN never is."""
        return value >= threshold if self.higher_is_better else value <= threshold


def accuracy(logits: np.ndarray, targets: np.ndarray) -> float:
    """The share of positions whose largest logit, on the last axis, is that of the target class.

    Logits: (batch, …, classes); targets: integers (batch, …). A position with a NaN among its logits counts as wrong.
    """
    _require_classes(logits, targets)
    right = (logits.argmax(axis=-1) == targets) & ~np.isnan(logits).any(axis=-1)
    return float(right.mean())


def bits_per_character(logits: np.ndarray, targets: np.ndarray) -> float:
    """The mean cross-entropy of the next character in bits: mean of (logsumexp(z) − z[target]) / ln 2.

    Logits: (batch, …, symbols); targets: integers (batch, …). Guessing evenly among 96 symbols gives 6.58.
    """
    _require_classes(logits, targets)
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
    return float((np.log(np.exp(shifted).sum(axis=-1)) - of_target).mean() / np.log(2))


def auc(scores: np.ndarray, targets: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive example scores above a negative one, ties counting half.

    Scores (logits do) and targets, 0 or 1: the same number of elements. (Mann & Whitney's U over the number of pairs.)
    """
    scores, targets = _require_same(scores, targets)
    positive = targets == 1
    if not (positive | (targets == 0)).all():
        raise DataError("the targets of the area under the ROC curve must be 0 or 1: others were given")
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        raise DataError("the area under the ROC curve needs examples of both outcomes: the targets hold only one")
    if np.isnan(scores).any():
        return float("nan")
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share the mean of their ranks 1, 2, …
    rank_sum = mean_ranks[which[positive]].sum()
    return float((rank_sum - positive.sum() * (positive.sum() + 1) / 2) / pairs)


def r2(predictions: np.ndarray, targets: np.ndarray) -> float:
    """The coefficient of determination, 1 − Σ(y − t)² / Σ(t − mean t)², over all elements: 1 is perfect, 0 the mean."""
    predictions, targets = _require_same(predictions, targets)
    spread = np.square(targets - targets.mean()).sum()
    if spread == 0:
        raise DataError("the coefficient of determination needs targets that differ: all are the same")
    return float(1 - np.square(predictions - targets).sum() / spread)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, higher_is_better=True),
        Metric("auc", auc, higher_is_better=True),
        Metric("bits-per-character", bits_per_character, higher_is_better=False),
        Metric("r2", r2, higher_is_better=True),
    )
}


def find_metric(name: str) -> Metric:
    """The metric of this name. Raises NotFoundError with the nearest names."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def _require_classes(logits: np.ndarray, targets: np.ndarray) -> None:
    if logits.ndim < 1 or logits.shape[:-1] != targets.shape or not targets.size:
        raise DataError(
            f"logits {logits.shape} and targets {targets.shape} do not fit: "
            "logits must have the targets' axes and one more, the classes, and there must be at least one target"
        )
    if not np.issubdtype(targets.dtype, np.integer) or not 0 <= targets.min() <= targets.max() < logits.shape[-1]:
        raise DataError(
            f"targets of type {targets.dtype} from {targets.min()} to {targets.max()} are no classes of "
            f"{logits.shape[-1]} logits: they must be integers from 0 to {logits.shape[-1] - 1}"
        )


def _require_same(values: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as flat float64: (n, 1) and (n,) mean the same here."""
    if values.size != targets.size or not targets.size:
        raise DataError(
            f"{values.shape} predictions for {targets.shape} targets: there must be one for each, and at least one"
        )
    return values.astype(np.float64).ravel(), targets.astype(np.float64).ravel()
