"""Training and prediction steps around a Keras model, written by hand for each backend as Keras' own guides write them.

They leave out what `compile` and `fit` bring (metrics, the loss container, the loops), so that nothing of Keras' is slower than it
must be: the yardstick for written code that does use `compile`. Keras' own optimizers update the weights.
"""

from __future__ import annotations

import os
from typing import Any

import keras


def make(model: Any, optimizer: Any, loss: Any, mode: str, threads: int) -> tuple[Any, Any, Any]:
    """`place`, `train_step` and `predict` for `model` on the backend that Keras runs on."""
    optimizer.build(model.trainable_variables)
    steps = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    train_step, predict = steps(model, optimizer, loss, mode)
    return place, train_step, predict


def set_threads(threads: int) -> None:
    """To be called before anything is computed."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        case "jax":
            os.environ["NPROC"] = str(threads)
        case "torch":
            import torch

            torch.set_num_threads(threads)


def place(arrays: list[Any]) -> tuple[Any, ...]:
    return tuple(keras.ops.convert_to_tensor(array) for array in arrays)


def wait(value: Any) -> None:
    """Blocks until `value` is computed; on JAX the updated weights come out of the same computation."""
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready(value)
    elif keras.backend.backend() == "tensorflow":
        value.numpy()


def _tensorflow(model: Any, optimizer: Any, loss: Any, mode: str) -> tuple[Any, Any]:
    import tensorflow as tf

    variables = model.trainable_variables

    def train_step(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(targets, model(inputs, training=True))
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    def predict(inputs: Any) -> Any:
        return model(inputs, training=False)

    if mode == "eager":
        return train_step, predict
    return tf.function(train_step, jit_compile=mode == "xla"), tf.function(predict, jit_compile=mode == "xla")


def _jax(model: Any, optimizer: Any, loss: Any, mode: str) -> tuple[Any, Any]:
    import jax

    def loss_of(trainable: Any, fixed: Any, inputs: Any, targets: Any) -> Any:
        outputs, fixed = model.stateless_call(trainable, fixed, inputs, training=True)
        return loss(targets, outputs), fixed

    def update(state: Any, inputs: Any, targets: Any) -> Any:
        trainable, fixed, moments = state
        (value, fixed), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, fixed, inputs, targets)
        trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
        return value, (trainable, fixed, moments)

    def forward(trainable: Any, fixed: Any, inputs: Any) -> Any:
        return model.stateless_call(trainable, fixed, inputs, training=False)[0]

    if mode != "eager":
        update, forward = jax.jit(update, donate_argnums=0), jax.jit(forward)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = tuple([variable.value + 0 for variable in group] for group in groups)  # copies, which may be given away

    def train_step(inputs: Any, targets: Any) -> Any:
        nonlocal state
        value, state = update(state, inputs, targets)
        return value

    def predict(inputs: Any) -> Any:
        return forward(state[0], state[1], inputs)

    return train_step, predict


def _torch(model: Any, optimizer: Any, loss: Any, mode: str) -> tuple[Any, Any]:
    import torch

    weights = model.trainable_weights

    def train_step(inputs: Any, targets: Any) -> Any:
        model.zero_grad()
        value = loss(targets, model(inputs, training=True))
        value.backward()
        with torch.no_grad():
            optimizer.apply([weight.value.grad for weight in weights], weights)
        return value

    def predict(inputs: Any) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    return train_step, predict
