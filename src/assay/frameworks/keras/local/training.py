"""Steps of optimizers, as ONNX's training operators state them."""

import keras
from keras import ops


def adagrad_step(rate, step, x, gradient, total, decay=0.0, epsilon=0.0, norm=0.0):
    """The new parameter, and the sum of squared gradients."""
    rate = rate / (1 + ops.cast(step, x.dtype) * decay)
    gradient = norm * x + gradient
    total = total + gradient * gradient
    return x - rate * gradient / (ops.sqrt(total) + epsilon), total


def adam_step(rate, step, x, gradient, mean, square, alpha=0.9, beta=0.999, epsilon=0.0, norm=0.0, norm_post=0.0):
    """The new parameter, and the averages of gradients and of their squares."""
    gradient = norm * x + gradient
    mean = alpha * mean + (1 - alpha) * gradient
    square = beta * square + (1 - beta) * gradient * gradient
    count = ops.cast(step, x.dtype)
    corrected = rate * ops.sqrt(1 - beta**count) / (1 - alpha**count)
    rate = ops.where(ops.cast(step, "int64") > 0, corrected, rate)
    new = x - rate * mean / (ops.sqrt(square) + epsilon)
    return (1 - norm_post) * new, mean, square


def momentum_step(rate, step, x, gradient, velocity, alpha, beta, norm, nesterov=False):
    """The new parameter, and the running sum of gradients."""
    gradient = norm * x + gradient
    factor = ops.where(ops.cast(step, "int64") > 0, beta, 1.0)
    velocity = alpha * velocity + ops.cast(factor, x.dtype) * gradient
    return x - rate * (gradient + alpha * velocity if nesterov else velocity), velocity


def gradients_of(function, *sources):
    """The gradient of the sum of a function's result with respect to each of its arguments, by the backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(sources)
            result = function(*sources)
        return tape.gradient(result, sources)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda *values: ops.sum(function(*values)), tuple(range(len(sources))))(*sources)
    import torch

    with torch.enable_grad():
        leaves = [source.detach().requires_grad_() for source in sources]
        return torch.autograd.grad(function(*leaves).sum(), leaves)
