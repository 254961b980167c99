"""A written TensorFlow package, alive in this process: the only file here that imports tensorflow."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from assay.errors import WorkerError
from assay.frameworks.base import Converted, DropoutSample, Gradients, Span
from assay.frameworks.tracing import with_tensorflow
from assay.structure import arrays_of, of_package, plain

_MODES = ("graph", "eager", "xla")
# Of parameters and inputs; in bfloat16 the operators that TensorFlow's graph rewrite chooses compute.
_DTYPES = {"float32": tf.float32, "float64": tf.float64, "bfloat16": tf.float32}
_MIXED = "auto_mixed_precision_onednn_bfloat16"
_package_numbers = itertools.count()
_is_configured = False


_DROPPING = ("Dropout", "StochasticDepth")  # layers of written code that have a rate


class Session:
    """The package in `folder`, in one mode ("graph", "eager" or "xla") and one floating type. See `base.Session`."""

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        if mode not in _MODES or dtype not in _DTYPES:
            raise WorkerError(
                f"tensorflow runs in mode {', '.join(_MODES)}, in {' or '.join(_DTYPES)}; "
                f"it was asked for mode {mode!r} in {dtype!r}"
            )
        self._on_accelerator = os.environ.get("ASSAY_DEVICE", "cpu") == "cuda"
        _configure_process(self._on_accelerator)
        self._mode = mode
        self._dtype = _DTYPES[dtype]
        self._is_mixed = dtype == "bfloat16"
        if self._is_mixed:
            _require_graph_rewrite(mode, self._on_accelerator)
        tf.config.optimizer.set_experimental_options({_MIXED: self._is_mixed})
        written_model, self._train = _import_package(Path(folder))
        self._gives = of_package(Path(folder))
        self.model: tf.Module = written_model.load()
        _convert(self.model, self._dtype, {})
        self._variables = dict(_walk(self.model, tf.Variable))
        self._parameters = _first_paths(self._variables)
        self._dropouts = {
            path: layer for path, layer in _walk(self.model, tf.Module) if type(layer).__name__ in _DROPPING
        }
        self._rates: dict[str, float] = {path: layer.rate for path, layer in self._dropouts.items()}
        self._functions: list[Any] = []
        self._optimizer: Any = None
        self._initial_constants: dict[str, Any] = {}
        self._forget_functions()

    def _forget_functions(self) -> None:
        """What has been traced holds the dropout rates of its time: trace again at the next call."""
        self._predict = self._in_mode(lambda *inputs: self.model(*inputs))
        self._predict_concrete: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._gradients = self._in_mode(self._loss_and_gradients)
        self._step: Callable[..., Any] | None = None

    def _in_mode(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self._mode == "eager":
            return function
        compiled = tf.function(function, jit_compile=self._mode == "xla", autograph=False)
        self._functions.append(compiled)
        return compiled

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((path, np.array(variable)) for path, variable in self._variables.items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        own = self._variables
        if unknown := sorted(set(arrays) - set(own)):
            raise WorkerError(
                f"this TensorFlow model has no {', '.join(unknown)}; its parameters and statistics are {', '.join(own)}"
            )
        for path, array in arrays.items():
            if tuple(own[path].shape) != np.shape(array):
                raise WorkerError(f"{path} has shape {tuple(own[path].shape)}; an array of {np.shape(array)} was given")
            own[path].assign(np.asarray(array, own[path].dtype.as_numpy_dtype))

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[tf.Tensor, ...]:
        return tuple(self._place_one(np.asarray(array)) for array in arrays)

    def _place_one(self, array: np.ndarray) -> tf.Tensor:
        floating = np.issubdtype(array.dtype, np.floating)
        dtype = self._dtype.as_numpy_dtype if floating else array.dtype
        return tf.constant(np.array(array, dtype))  # a copy: the caller may reuse its own

    def predict(self, inputs: Sequence[tf.Tensor]) -> Any:
        """A concrete function per shape, as in serving: `tf.function` itself doubles the time of a small model."""
        if self._mode == "eager":
            return self._predict(*inputs)
        signature = tuple((value.shape, value.dtype) for value in inputs)
        if signature not in self._predict_concrete:
            self._predict_concrete[signature] = self._predict.get_concrete_function(*inputs)  # type: ignore[attr-defined]
        return self._predict_concrete[signature](*inputs)

    def gradients(self, inputs: Sequence[tf.Tensor], targets: tf.Tensor) -> Gradients:
        loss, parameters, input_gradients = self._gradients(tuple(inputs), targets)
        return Gradients(
            loss=float(loss),
            parameters=Converted(parameters, np.array),
            inputs=tuple(None if value is None else np.array(value) for value in input_gradients),
        )

    def _loss_and_gradients(
        self, inputs: tuple[tf.Tensor, ...], targets: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[tf.Tensor | None, ...]]:
        watched = [value for value in inputs if value.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            output = arrays_of(self._gives, self.model(*inputs, training=True))[0]
            loss = self._training_module.compute_loss(output, targets)
        sources = (list(self._parameters.values()), watched)
        found = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        parameters = [tf.convert_to_tensor(value) for value in found[0]]  # an embedding's are sparse
        rest = iter(found[1])
        inputs_found = tuple(next(rest) if value.dtype.is_floating else None for value in inputs)
        return loss, dict(zip(self._parameters, parameters, strict=True)), inputs_found

    @property
    def _training_module(self) -> ModuleType:
        if self._train is None:
            raise WorkerError("this package has no train.py, so it has no loss; write it from a model with a Training")
        return self._train

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        train = self._training_module
        for name, value in self._initial_constants.items():
            setattr(train, name, value)
        for name, value in (constants or {}).items():
            if not hasattr(train, name):
                known = ", ".join(name for name in vars(train) if name.isupper())
                raise WorkerError(f"train.py has no constant {name}; it has {known}")
            self._initial_constants.setdefault(name, getattr(train, name))
            setattr(train, name, value)
        tf.random.set_seed(train.SEED)
        self._optimizer = train.make_optimizer(self.model)
        self._make_step()

    def _make_step(self) -> Callable[..., Any]:
        self._step = self._training_module.make_train_step(self.model, self._optimizer, self._mode)
        self._functions.append(self._step)
        return self._step

    def train_step(self, inputs: Sequence[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        if self._step is None:
            if self._optimizer is None:
                self.begin_training()
            else:
                self._make_step()
        return self._step(*inputs, targets)  # type: ignore[misc]

    def wait(self, value: Any) -> None:
        """On the CPU, TensorFlow returns when the work is done; on an accelerator this waits for all of it."""
        if self._on_accelerator:
            tf.test.experimental.sync_devices()

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(np.array(leaf) for leaf in arrays_of(self._gives, value))

    def set_dropout(self, enabled: bool) -> None:
        for path, layer in self._dropouts.items():
            layer.rate = self._rates[path] if enabled else 0.0
        self._forget_functions()

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        ones = tf.ones(shape, self._dtype)
        samples = []
        for path, layer in self._dropouts.items():
            current, layer.rate = layer.rate, self._rates[path]
            trained, evaluated = (
                self._in_mode(lambda x, layer=layer, training=training: layer(x, training))(ones)
                for training in (True, False)
            )
            layer.rate = current
            samples.append(DropoutSample(path, self._rates[path], np.array(trained), np.array(evaluated)))
        return samples

    def compile_count(self) -> int:
        """Traces of every `tf.function` of this session; XLA compiles once per trace, since shapes are static."""
        counts = (getattr(function, "experimental_get_tracing_count", None) for function in self._functions)
        return sum(count() for count in counts if count is not None)

    def cache_lookups(self) -> tuple[int, int]:
        return 0, 0  # TensorFlow keeps no compiled program on disk

    def device(self) -> str:
        return _device_name() if self._on_accelerator else "cpu"

    def save(self, folder: Path, inputs: Sequence[tf.Tensor]) -> str:
        predict = tf.function(lambda *arrays: plain(self._gives, self.model(*arrays)), autograph=False)
        signature = predict.get_concrete_function(*(tf.TensorSpec(value.shape, value.dtype) for value in inputs))
        tf.saved_model.save(self.model, str(folder / "model"), signatures=signature)
        return "SavedModel"

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return with_tensorflow(tf, action)

    def device_memory(self) -> int | None:
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]) if self._on_accelerator else None

    def arithmetic(self) -> str:
        if self._is_mixed:
            return f"TensorFlow's graph rewrite {_MIXED}; variables and optimizer in float32"
        return "variables and inputs in float64" if self._dtype == tf.float64 else "float32 without TF32"


def _device_name() -> str:
    """The first GPU's name, or "cpu"."""
    for device in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(device).get("device_name", "GPU"))
    return "cpu"


def _require_graph_rewrite(mode: str, on_accelerator: bool) -> None:
    """TensorFlow itself, without Keras, has mixed precision as a rewrite of graphs, and in bfloat16 on CPUs alone."""
    if mode != "graph":
        raise WorkerError(
            f"tensorflow:{mode} has no bfloat16 of its own: TensorFlow's mixed precision is a rewrite of tf.function "
            "graphs, which eager execution and XLA pass by; tensorflow:graph and keras/tensorflow have it"
        )
    if on_accelerator:
        raise WorkerError(
            "tensorflow:graph has no bfloat16 on a GPU: TensorFlow's graph rewrite is float16 there; "
            "keras/tensorflow has it"
        )


def _configure_process(on_accelerator: bool) -> None:
    """Device, threads and numeric policy. TensorFlow takes them before its first operation only."""
    global _is_configured
    if _is_configured:
        return
    devices = tf.config.list_physical_devices("GPU")
    if on_accelerator and not devices:
        raise WorkerError(
            f"this TensorFlow ({tf.__version__}) finds no CUDA device: install tensorflow[and-cuda], "
            "or measure with --device cpu"
        )
    tf.config.set_visible_devices(devices[:1] if on_accelerator else [], "GPU")
    if threads := os.environ.get("ASSAY_THREADS"):
        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.get_logger().setLevel("ERROR")  # it warns of every new trace; this session makes them on purpose
    _is_configured = True


def _import_package(folder: Path) -> tuple[ModuleType, ModuleType | None]:
    """`model.py` and, when there is one, `train.py`, under names that no other package has."""
    stem = f"assay_tensorflow_package_{next(_package_numbers)}"
    model = _import_file(folder / "model.py", f"{stem}_model")
    if not (folder / "train.py").exists():
        return model, None
    displaced = sys.modules.get("model")
    sys.modules["model"] = model  # what train.py means by `from model import load`
    try:
        return model, _import_file(folder / "train.py", f"{stem}_train")
    finally:
        if displaced is None:
            del sys.modules["model"]
        else:
            sys.modules["model"] = displaced


def _import_file(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise WorkerError(f"{path} is missing: a written TensorFlow package has a model.py; write it again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _children(holder: Any) -> list[tuple[Any, Any]]:
    """(name, value) of everything directly in a module or in a list of one."""
    return list(enumerate(holder) if isinstance(holder, list) else vars(holder).items())


def _walk(holder: Any, kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Everything of a kind below a module, with its path, such as ("blocks.0.conv1.kernel", <tf.Variable>)."""
    for name, value in _children(holder):
        if isinstance(value, kind):
            yield f"{prefix}{name}", value
        if isinstance(value, (tf.Module, list)):
            yield from _walk(value, kind, f"{prefix}{name}.")


def _first_paths(variables: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    """The trainable variables, each under the first of its paths."""
    found: dict[int, tuple[str, tf.Variable]] = {}
    for path, variable in variables.items():
        if variable.trainable:
            found.setdefault(id(variable), (path, variable))
    return dict(found.values())


def _convert(holder: Any, dtype: tf.DType, converted: dict[int, Any]) -> None:
    """Gives every floating variable and constant below a module the type `dtype`; shared ones stay shared."""
    for name, value in _children(holder):
        if isinstance(value, (tf.Module, list)):
            _convert(value, dtype, converted)
        elif isinstance(value, (tf.Variable, tf.Tensor)) and value.dtype.is_floating and value.dtype != dtype:
            if id(value) not in converted:
                cast = tf.cast(value, dtype)
                is_variable = isinstance(value, tf.Variable)
                new = tf.Variable(cast, trainable=value.trainable) if is_variable else cast
                converted[id(value)] = (new, value)  # the old one too, so that its id is not used again
            new = converted[id(value)][0]
            if isinstance(holder, list):
                holder[name] = new
            else:
                setattr(holder, name, new)
