"""A live Keras model on the TensorFlow backend, computed in float64."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from assay.errors import ModelError
from assay.frameworks.base import Gradients
from assay.nn.losses import CrossEntropy, MeanSquaredError
from assay.nn.optimizers import SGD, Training

_RATES = ("rate", "_dropout", "dropout", "recurrent_dropout")  # what layers call their share of dropped elements


class Original:
    """The model that was brought, made again with float64 throughout and the same weights.

    In training, batch normalisation takes the statistics of the batch and moves its running ones; every dropout is off.
    """

    def __init__(self, model: Any, example: Any, training: Training) -> None:
        if type(training.optimizer) is not SGD:
            raise ModelError("the original is trained by SGD with momentum only")
        self._model = _in_float64(model)
        self._paths = _paths_of(self._model)
        self._loss = _loss(training.loss)
        self._constants: Mapping[str, Any] = {}
        self._velocities: list[Any] = []
        self._predict = tf.function(lambda inputs: self._call(inputs, False))
        self._differentiate = tf.function(self._gradients)
        for layer in self._model._flatten_layers():
            _keep_constants(layer)
            for name in _RATES:
                if isinstance(getattr(layer, name, None), float):
                    setattr(layer, name, 0.0)

    def set_dropout(self, enabled: bool) -> None:
        """It is always off."""

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((path, variable.numpy()) for path, variable in self._paths.items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for path, array in arrays.items():
            self._paths[path].assign(array)

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(
            tf.constant(array, tf.float64) if np.issubdtype(array.dtype, np.floating) else tf.constant(array)
            for array in arrays
        )

    def predict(self, inputs: Sequence[Any]) -> Any:
        return self._predict(tuple(inputs))

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(np.array(leaf) for leaf in keras.tree.flatten(value))

    def gradients(self, inputs: Sequence[Any], targets: Any) -> Gradients:
        loss, by_parameter, by_input = self._differentiate(tuple(inputs), targets)
        trained = {id(variable) for variable in self._model.trainable_variables}
        names = [path for path, variable in self._paths.items() if id(variable) in trained]
        found = iter(by_input)
        given = tuple(np.array(next(found)) if item.dtype.is_floating else None for item in inputs)
        return Gradients(
            float(loss), {name: np.array(item) for name, item in zip(names, by_parameter, strict=True)}, given
        )

    def _gradients(self, inputs: tuple[Any, ...], targets: Any) -> tuple[Any, list[Any], list[Any]]:
        trained = [variable.value for variable in self._trained()]
        floating = [item for item in inputs if item.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floating)
            first = keras.tree.flatten(self._call(inputs, True))[0]
            loss = self._loss(first, targets)
        found = tape.gradient(loss, [*trained, *floating], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found = [tf.convert_to_tensor(item) for item in found]
        return loss, found[: len(trained)], found[len(trained) :]

    def _trained(self) -> list[Any]:
        wanted = {id(variable) for variable in self._model.trainable_variables}
        return [variable for variable in self._paths.values() if id(variable) in wanted]

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        self._constants = constants or {}
        self._velocities = [tf.zeros_like(variable.value) for variable in self._trained()]

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        loss, gradients, _ = self._differentiate(tuple(inputs), targets)
        momentum, rate = self._constants.get("MOMENTUM", 0.0), self._constants["LEARNING_RATE"]
        self._velocities = [momentum * old + new for old, new in zip(self._velocities, gradients, strict=True)]
        for variable, velocity in zip(self._trained(), self._velocities, strict=True):
            variable.assign(variable.value - rate * velocity)
        return loss

    def wait(self, value: Any) -> None:
        """The work is done when a call returns."""

    def _call(self, inputs: Sequence[Any], training: bool) -> Any:
        structure = self._model._inputs_struct
        return self._model(keras.tree.pack_sequence_as(structure, list(inputs)), training=training)


def _in_float64(model: Any) -> Any:
    """The same model in another type; its policies are text in its configuration."""
    text = json.dumps(keras.saving.serialize_keras_object(model)).replace('"float32"', '"float64"')
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        found = keras.saving.deserialize_keras_object(json.loads(text))
    finally:
        keras.config.set_floatx(before)
    for new, old in zip(found.variables, model.variables, strict=True):
        if new.dtype == "float64" and new.shape == old.shape:
            new.assign(old.numpy())
    return found


def _keep_constants(layer: Any) -> None:
    """Numbers that are known when a model is made: in full where Keras would round a scale to float32 in a float64 model
    too, and rounded to float32 where a graph of float32 holds an array of them."""
    if isinstance(layer, keras.layers.Rescaling):
        layer.scale, layer.offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if isinstance(layer, keras.layers.Normalization) and layer.mean is not None:
        variance = np.array(layer.variance).astype(np.float32)  # as the model had it
        deviation = np.sqrt(variance.astype(np.float64)).astype(np.float32).astype(np.float64)
        layer.variance = tf.constant(deviation**2)
        layer.mean = tf.constant(np.array(layer.mean).astype(np.float32).astype(np.float64))


def _paths_of(model: Any) -> dict[str, Any]:
    from assay.frameworks.keras.bring_model import variables_by_path

    return {path: item for path, item in variables_by_path(model).items() if item.dtype == "float64"}


def _loss(loss: object) -> Any:
    """The mean loss of an output and targets."""
    if isinstance(loss, CrossEntropy):
        return lambda y, t: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(t, y))
    if isinstance(loss, MeanSquaredError):
        return lambda y, t: tf.reduce_mean(tf.square(y - tf.cast(t, y.dtype)))
    raise ModelError(f"the original is trained with CrossEntropy or MeanSquaredError, not {type(loss).__name__}")
