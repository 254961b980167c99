"""Losses, each with one stated meaning that every framework's written code keeps.

All of them average over every element of the batch (for `CrossEntropy`: over every predicted position).
Sources of the formulas: Goodfellow, Bengio, Courville, *Deep Learning* (2016), chapters 3 and 6; Huber (1964).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """Base of all losses. `logits` is what the model returns; `targets` comes with the batch."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy from logits and class indices.

    L = mean over positions of  logsumexp(z) − z[target].
    Logits: float (batch, …, classes), classes on the *last* axis; targets: int64 (batch, …), the same leading axes.
    """


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Sigmoid cross-entropy from logits.

    L = mean of  max(z, 0) − z·t + log(1 + exp(−|z|)).
    Logits and targets: float, the same shape; targets in [0, 1].
    """


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """L = mean of (y − t)², without a factor ½. Both float, the same shape."""


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """The L1 loss: L = mean of |y − t|. Both float, the same shape."""


@dataclass(frozen=True)
class Huber(Loss):
    """L = mean of ½·d² where |d| ≤ delta, delta·(|d| − ½·delta) elsewhere; d = y − t. Both float, the same shape."""

    delta: float = 1.0


L1 = MeanAbsoluteError
MSE = MeanSquaredError
