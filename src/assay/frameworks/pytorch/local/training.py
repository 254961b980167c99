"""Dropout that tells what it dropped, and the steps of optimizers."""

from collections.abc import Callable

import torch
from torch import Tensor


def dropout_with_mask(x: Tensor, ratio: float, training: bool) -> tuple[Tensor, Tensor]:
    """x without a share of its elements, the others scaled up; and which ones stayed."""
    if not training or ratio == 0:
        return x, torch.ones_like(x, dtype=torch.bool)
    mask = torch.rand_like(x) >= ratio
    return torch.where(mask, x / (1 - ratio), torch.zeros_like(x)), mask


def adam_step(
    rate: Tensor,
    count: Tensor,
    x: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    alpha: float,
    beta: float,
    epsilon: float,
    norm_coefficient: float,
    norm_coefficient_post: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """A step of Adam: the new tensor, the new averages of gradients and of their squares."""
    gradient = norm_coefficient * x + gradient
    mean = alpha * mean + (1 - alpha) * gradient
    square = beta * square + (1 - beta) * gradient * gradient
    if count > 0:
        rate = rate * (1 - beta**count) ** 0.5 / (1 - alpha**count)
    x = x - rate * mean / (square.sqrt() + epsilon)
    return (1 - norm_coefficient_post) * x, mean, square


def adagrad_step(
    rate: Tensor,
    count: Tensor,
    x: Tensor,
    gradient: Tensor,
    squares: Tensor,
    decay_factor: float,
    epsilon: float,
    norm_coefficient: float,
) -> tuple[Tensor, Tensor]:
    """A step of Adagrad: the new tensor, the new sum of squared gradients."""
    gradient = norm_coefficient * x + gradient
    squares = squares + gradient * gradient
    rate = rate / (1 + count * decay_factor)
    return x - rate * gradient / (squares.sqrt() + epsilon), squares


def momentum_step(
    rate: Tensor,
    count: Tensor,
    x: Tensor,
    gradient: Tensor,
    velocity: Tensor,
    alpha: float,
    beta: float,
    norm_coefficient: float,
    nesterov: bool = False,
) -> tuple[Tensor, Tensor]:
    """A step with momentum: the new tensor, the new velocity."""
    gradient = norm_coefficient * x + gradient
    velocity = alpha * velocity + (beta if count > 0 else 1) * gradient
    return x - rate * (gradient + alpha * velocity if nesterov else velocity), velocity


def gradients_of(function: Callable, *values: Tensor) -> tuple[Tensor, ...]:
    """The gradients of a function's sum, with respect to each argument."""
    return torch.func.grad(lambda *given: function(*given).sum(), argnums=tuple(range(len(values))))(*values)
