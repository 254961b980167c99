"""Steps of optimizers as functions; see `assay.frameworks.tensorflow.local`."""

from collections.abc import Callable

import tensorflow as tf


def step_adagrad(
    rate: tf.Tensor,
    count: tf.Tensor,
    weight: tf.Tensor,
    gradient: tf.Tensor,
    total: tf.Tensor,
    decay_factor: float,
    epsilon: float,
    norm_coefficient: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The weight and the sum of squared gradients after a step of Adagrad."""
    rate = rate / (1 + tf.cast(count, rate.dtype) * decay_factor)
    gradient = norm_coefficient * weight + gradient
    total = total + tf.square(gradient)
    return weight - rate * gradient / (tf.sqrt(total) + epsilon), total


def step_adam(
    rate: tf.Tensor,
    count: tf.Tensor,
    weight: tf.Tensor,
    gradient: tf.Tensor,
    mean: tf.Tensor,
    square: tf.Tensor,
    alpha: float,
    beta: float,
    epsilon: float,
    norm_coefficient: float,
    norm_coefficient_post: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The weight and both running averages after a step of Adam."""
    gradient = norm_coefficient * weight + gradient
    mean = alpha * mean + (1 - alpha) * gradient
    square = beta * square + (1 - beta) * tf.square(gradient)
    times = tf.cast(count, rate.dtype)
    corrected = rate * tf.sqrt(1 - beta**times) / tf.where(count > 0, 1 - alpha**times, 1)
    rate = tf.where(count > 0, corrected, rate)
    weight = weight - rate * mean / (tf.sqrt(square) + epsilon)
    return (1 - norm_coefficient_post) * weight, mean, square


def step_momentum(
    rate: tf.Tensor,
    count: tf.Tensor,
    weight: tf.Tensor,
    gradient: tf.Tensor,
    velocity: tf.Tensor,
    alpha: float,
    beta: float,
    norm_coefficient: float,
    nesterov: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The weight and its velocity after a step of gradient descent with momentum."""
    gradient = norm_coefficient * weight + gradient
    velocity = alpha * velocity + tf.where(count > 0, tf.cast(beta, gradient.dtype), 1) * gradient
    return weight - rate * (gradient + alpha * velocity if nesterov else velocity), velocity


def drop_elements(
    x: tf.Tensor, rate: float | tf.Tensor, training: bool | tf.Tensor, seed: int | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """In training, zeroes a share of the elements and divides the others by 1 - rate; gives what is kept too."""
    rate = tf.cast(rate, x.dtype)
    kept = tf.random.uniform(tf.shape(x), dtype=x.dtype, seed=seed) >= rate
    kept |= tf.logical_not(tf.cast(training, tf.bool))
    return tf.where(kept, tf.where(training, x / (1 - rate), x), 0), kept


def gradients_of(function: Callable[..., tf.Tensor], inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """The gradient of the sum of a function's result with respect to each input."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        result = function(*inputs)
    return tape.gradient(result, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
