"""Optimizers, schedules and gradient clipping, each with one stated meaning in every framework.

One step t = 0, 1, 2, … works on the gradients g of the mean loss:

1. clipping by global norm, if asked:  g ← g · min(1, clip / ‖g‖₂), the norm over all parameters together;
2. the learning rate α(t) of the schedule, a function of the number of steps already taken;
3. the optimizer's own rule, below, for each parameter p.

Sources: Sutskever et al. (2013) for momentum, Kingma & Ba (2015), Loshchilov & Hutter (2019), Tieleman & Hinton (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schedule:
    """The factor f(t) that multiplies an optimizer's learning rate at step t = 0, 1, 2, …"""

    def factor(self, step: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """f(t) = 1."""

    def factor(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Linear warm-up, then half a cosine down to `final`, then `final` for ever.

    f(t) = (t + 1) / (warmup + 1)                                    for t < warmup
    f(t) = final + (1 − final) · ½ · (1 + cos(π · min(1, (t − warmup) / (steps − warmup))))   from there on.
    `steps` counts the warm-up.
    """

    steps: int
    warmup: int = 0
    final: float = 0.0

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        progress = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Step(Schedule):
    """f(t) = gamma ^ floor(t / every)."""

    every: int
    gamma: float = 0.1

    def factor(self, step: int) -> float:
        return self.gamma ** (step // self.every)


@dataclass(frozen=True)
class Warmup(Schedule):
    """f(t) = min(1, (t + 1) / (steps + 1)): linear up to the full rate, then constant."""

    steps: int

    def factor(self, step: int) -> float:
        return min(1.0, (step + 1) / (self.steps + 1))


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share. `clip` is the largest global gradient norm, None for no clipping."""

    learning_rate: float
    schedule: Schedule = field(default=Constant(), kw_only=True)
    clip: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class SGD(Optimizer):
    """g ← g + weight_decay·p;  v ← momentum·v + g (v starts at 0);
    p ← p − α·v, or with Nesterov  p ← p − α·(g + momentum·v).

    Weight decay is coupled (an L2 penalty of ½·weight_decay·‖p‖²). The rate multiplies v when it is used, not when it
    is gathered, so a changing rate acts at once.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Adam(Optimizer):
    """m ← β₁·m + (1 − β₁)·g;  v ← β₂·v + (1 − β₂)·g²;
    p ← p − α · m̂ / (√v̂ + epsilon),  m̂ = m / (1 − β₁ᵗ⁺¹),  v̂ = v / (1 − β₂ᵗ⁺¹).

    Epsilon stands outside the root and after the bias correction.
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay:  p ← p − α·weight_decay·p, with the old p, added to Adam's step.

    Every parameter decays, biases and normalisation included.
    """

    weight_decay: float = 0.01


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v ← rho·v + (1 − rho)·g² (v starts at 0);  p ← p − α · g / (√v + epsilon). Epsilon stands outside the root."""

    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Training:
    """How a model is trained: what `train.py` is written from."""

    loss: object
    optimizer: Optimizer
    batch_size: int
    epochs: int
    metric: str = "accuracy"  # "accuracy", "auc", "bits-per-character", "r2" or "loss"
    seed: int = 0
