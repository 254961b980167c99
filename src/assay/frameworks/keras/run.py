"""A written Keras package, alive in this process, on the backend that KERAS_BACKEND names.

What is timed is what `compile` and `fit` run: `train_function` and `predict_function`, which Keras makes from the
compiled model and which `fit` and `predict` call for every batch, without what they put around it (progress bar, data
pipeline, conversion to NumPy). With `jit_compile="auto"` that is, on a CPU, a `tf.function` without XLA on TensorFlow,
`jax.jit` on JAX and eager execution on PyTorch; the mode `eager` is `run_eagerly=True`.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from assay.errors import DataError, unknown
from assay.frameworks.base import Converted, DropoutSample, Gradients, Span
from assay.frameworks.keras.backends import Runner, backend
from assay.structure import arrays_of, batch_axes_of_package, of_package

_FLOATX = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}  # of variables and inputs
_numbers = itertools.count()
_entered = "float32"  # the type that this process is set to


class Session:
    """See `assay.frameworks.base.Session`."""

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        if dtype not in _FLOATX:
            raise unknown("floating type", dtype, _FLOATX)
        self._mode, self._dtype = mode, dtype
        self._backend = backend()
        self._constants: dict[str, Any] = {}
        self._rates: dict[str, float] = {}  # path of a dropout layer → its rate when it is on
        self._runner: Runner | None = None  # compiled by the first call that needs it
        self._enter()
        keras.utils.set_random_seed(0)
        self._gives, self._batch_axes = of_package(folder), batch_axes_of_package(folder)
        source = _import(folder / "model.py", {})
        exists = (folder / "train.py").exists()
        self._training = _import(folder / "train.py", {"model": source}) if exists else None
        self.model: Any = source.load()
        self._trainer: Any = None
        self._predictor: Any = None

    # ------------------------------------------------------------------------------------------------ parameters

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        self._settle()
        return ((weight.path, _numpy(weight.value)) for weight in self.model.weights)

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._settle()
        weights = {weight.path: weight for weight in self.model.weights}
        if unknown := arrays.keys() - weights.keys():
            raise DataError(f"no parameter named {', '.join(sorted(unknown))}: the model has {', '.join(weights)}")
        for path, array in arrays.items():
            weights[path].assign(array)

    def _settle(self) -> None:
        self._enter()
        if self._runner is not None:
            self._runner.settle()

    # ------------------------------------------------------------------------------------------------- execution

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        self._enter()
        return tuple(self._backend.place(array, _FLOATX[self._dtype]) for array in arrays)

    def predict(self, inputs: Sequence[Any]) -> Any:
        if _entered != self._dtype:  # `_enter`, without the call of a method, which would be timed
            self._enter()
        return (self._runner or self._compile(inputs)).predict(inputs)

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        if _entered != self._dtype:
            self._enter()
        return (self._runner or self._compile(inputs)).train_step(inputs, targets)

    def gradients(self, inputs: Sequence[Any], targets: Any) -> Gradients:
        self._require_training()
        self._enter()
        runner = self._runner or self._compile(inputs)
        runner.settle()
        loss, of_parameters, of_inputs = runner.gradients(self.model, inputs, targets)
        paths = [variable.path for variable in self.model.trainable_variables]
        return Gradients(
            loss=float(_numpy(loss)),
            parameters=Converted(dict(zip(paths, of_parameters, strict=True)), _numpy),
            inputs=tuple(None if gradient is None else _numpy(gradient) for gradient in of_inputs),
        )

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        module = self._require_training()
        if unknown := [name for name in constants or {} if not hasattr(module, name)]:
            raise DataError(f"train.py has no constant {', '.join(unknown)}: it has only those that its maths reads")
        self._settle()
        self._constants = dict(constants or {})
        self._runner = None  # the next call compiles, with a fresh optimizer

    def wait(self, value: Any) -> None:
        if self._runner is not None:
            self._runner.wait(value)

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(_numpy(leaf) for leaf in arrays_of(self._gives, value))

    def compile_count(self) -> int:
        return self._backend.compilations

    def cache_lookups(self) -> tuple[int, int]:
        return self._backend.found, self._backend.lookups - self._backend.found

    def device(self) -> str:
        return self._backend.device()

    def save(self, folder: Path, inputs: Sequence[Any]) -> str:
        self._settle()
        self.model.save(folder / "model.keras")
        return "Keras (.keras)"

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return self._backend.profile(action)

    def device_memory(self) -> int | None:
        return self._backend.device_memory()

    def arithmetic(self) -> str:
        if self._dtype == "bfloat16":
            return "Keras' dtype policy mixed_bfloat16; variables, loss and optimizer in float32"
        return "floatx and dtype policy float64" if self._dtype == "float64" else "float32 without TF32"

    def _require_training(self) -> ModuleType:
        if self._training is None:
            raise DataError("this package has no train.py: it was written from a model without a Training")
        return self._training

    def _compile(self, inputs: Sequence[Any]) -> Runner:
        """Compiles the model as `train.py` does; without a `train.py`, for prediction only."""
        if self._trainer is None:
            self._prepare(inputs)
        if self._training is None:
            self._trainer.compile(run_eagerly=self._mode == "eager", jit_compile=self._mode in ("jit", "xla"))
        else:
            for name, value in self._constants.items():
                setattr(self._training, name, value)
            if self._dtype == "float64":  # on TensorFlow a schedule computes in float32 from a Python float
                vars(self._training)["LEARNING_RATE"] = np.float64(self._training.LEARNING_RATE)
            self._training.compile_model(self._trainer, self._mode)
        self._trainer.optimizer.build(self._trainer.trainable_variables)
        self._runner = self._backend.runner(self._trainer, self._mode, self._predictor, self._first)
        return self._runner

    def _prepare(self, inputs: Sequence[Any]) -> None:
        """The models that `fit` trains and that predicts; one, unless the written model gives more than the loss reads."""
        nested = self._gives is not None and self._gives.kind != "array"
        self._predictor = self.model if len(inputs) == 1 else _functional(self.model, inputs, self._batch_axes)
        self._trainer = _functional(self.model, inputs, self._batch_axes, self._first) if nested else self._predictor

    def _first(self, outputs: Any) -> Any:
        return arrays_of(self._gives, outputs)[0]

    # --------------------------------------------------------------------------------------------------- dropout

    def set_dropout(self, enabled: bool) -> None:
        for path, layer in self._dropout_layers():
            rate = self._rates.setdefault(path, layer.rate)
            layer.rate = rate if enabled else 0.0
        self._enter()
        if self._runner is not None:
            self._runner.retrace()

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        self._settle()
        samples = []
        for path, layer in self._dropout_layers():
            # A mask of a shape of its own wants an input with as many axes.
            more = len(layer.noise_shape or ()) - len(shape)
            ones = keras.ops.ones((*shape, *[1] * more))
            trained, evaluated = (_numpy(layer(ones, training=training)) for training in (True, False))
            samples.append(DropoutSample(path, layer.rate, trained, evaluated))
        return samples

    def _dropout_layers(self) -> Iterator[tuple[str, Any]]:
        """The dropout layers by path; Keras itself gives a path only to layers that own variables."""
        pending = [(self.model.name, self.model)]
        while pending:
            path, layer = pending.pop(0)
            if isinstance(layer, keras.layers.Dropout):
                yield path, layer
            pending = [(f"{path}/{child.name}", child) for child in layer._layers] + pending

    # ------------------------------------------------------------------------------------------------- precision

    def _enter(self) -> None:
        """Everything that Keras makes, traces or runs from here on has this session's floating type.

        The settings belong to the whole process: they stay until a session of another type is used.
        """
        global _entered
        if _entered == self._dtype:
            return
        floatx = _FLOATX[self._dtype]
        self._backend.widen(floatx == "float64")
        _demote(floatx != "float64")
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy("mixed_bfloat16" if self._dtype == "bfloat16" else floatx)
        _entered = self._dtype


def _demote(demoted: bool) -> None:
    """Keras' rule that, outside TensorFlow, the common type of two float64 arrays is float32; lifted if not `demoted`.

    The proof asks what the written code means. Under the rule a layer drops nine digits on its way, and a small
    difference in meaning hides among them. `gaps.toml` lists where a user meets it.
    """
    from keras.src.backend.common import dtypes

    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float32" if demoted else "float64"


# ------------------------------------------------------------------------------------------------------------ package


def _import(path: Path, siblings: Mapping[str, ModuleType]) -> ModuleType:
    """The file as a module of a name of its own; `siblings` is what it imports from beside itself."""
    spec = importlib.util.spec_from_file_location(f"assay_package_{next(_numbers)}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    hidden = {name: sys.modules.get(name) for name in siblings}
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder stays as it was written
    sys.modules.update(siblings)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = write_bytecode
        for name, other in hidden.items():
            if other is None:
                del sys.modules[name]
            else:
                sys.modules[name] = other
    return module


def _functional(
    model: Any,
    inputs: Sequence[Any],
    batch_axes: Sequence[int | None],
    read: Callable[[Any], Any] = lambda outputs: outputs,
) -> Any:
    """`fit` gives several inputs as one list, and a model called with several arguments needs one around it; `read`: what
    is taken of the outputs. `batch_axes`: the axis of each input that stays open.
    """
    axes = batch_axes or [0] * len(inputs)
    shapes = [[None if at == axis else n for at, n in enumerate(x.shape)] for x, axis in zip(inputs, axes, strict=True)]
    placeholders = [
        keras.Input(batch_shape=shape, dtype=keras.backend.standardize_dtype(x.dtype))
        for x, shape in zip(inputs, shapes, strict=True)
    ]
    return keras.Model(placeholders[0] if len(inputs) == 1 else placeholders, read(model(*placeholders)))


def _numpy(value: Any) -> np.ndarray:
    array = np.array(keras.ops.convert_to_numpy(value))
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array  # which NumPy itself does not have
