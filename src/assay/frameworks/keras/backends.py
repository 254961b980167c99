"""What the three backends of Keras do differently once a model is compiled: state, gradients, threads, waiting.

Keras has no backend-neutral gradient, and its compiled functions carry their state on JAX and hold it elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np

from assay.errors import WorkerError
from assay.frameworks.base import Span
from assay.frameworks.tracing import with_jax, with_tensorflow, with_torch

Losses = tuple[Any, Sequence[Any], Sequence[Any]]  # loss, gradients of the parameters, gradients of the inputs


class Runner(ABC):
    """A compiled model: `train_function`, which `fit` calls for each batch, and `predict_step`, compiled likewise.

    `predict_function` wraps `predict_step` for lists of batches and replicas, and on JAX hands all parameters in and out
    of it: with one batch in place that is 20 to 50 microseconds of nothing, a fifth of a small model's time.
    """

    def __init__(
        self, trainer: Any, mode: str, predictor: Any = None, first: Callable[[Any], Any] = lambda outputs: outputs
    ) -> None:
        """`predictor`: the model that gives every output, if the one that is trained gives what the loss reads alone;
        `first` reads that one from its outputs.
        """
        self.trainer, self.mode, self.first = trainer, mode, first
        self.predictor = trainer if predictor is None else predictor
        _report_each_loss(trainer)
        self.retrace()

    def retrace(self) -> None:
        """Forgets what was compiled, after a change that a traced function would not see."""
        self.settle()
        self.trainer.make_train_function(force=True)
        self._train: Any = self.trainer.train_function
        self._predict: Any = self.compiled_prediction()
        self._gradients: Any = None  # the compiled function of `gradients`

    def settle(self) -> None:
        """Brings the values that a stateless step carries back into the variables; elsewhere they are there."""
        return

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        return self._train([(_one_structure(inputs), targets)])["loss"]

    def predict(self, inputs: Sequence[Any]) -> Any:
        return self._predict((_one_structure(inputs),))

    def _loss(self, targets: Any, outputs: Any) -> Any:
        """The loss that the model was compiled with; of several outputs it reads one."""
        return self.trainer.loss(targets, self.first(outputs))

    @abstractmethod
    def compiled_prediction(self) -> Any:
        """`predict_step`, executed in this mode."""

    @abstractmethod
    def wait(self, value: Any) -> None:
        """Blocks until `value` and the updated parameters are computed."""

    @abstractmethod
    def gradients(self, model: Any, inputs: Sequence[Any], targets: Any) -> Losses:
        """Loss and gradients in training mode, executed in this mode."""


def _one_structure(inputs: Sequence[Any]) -> Any:
    """Inputs as `fit` gives them to a model: the one, or the list of them."""
    return inputs[0] if len(inputs) == 1 else list(inputs)


def _floating(inputs: Sequence[Any]) -> list[int]:
    """The positions of the inputs that have a gradient."""
    return [i for i, x in enumerate(inputs) if "float" in keras.backend.standardize_dtype(x.dtype)]


def _replaced(inputs: Sequence[Any], positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    replaced = list(inputs)
    for position, value in zip(positions, values, strict=True):
        replaced[position] = value
    return replaced


def _spread(count: int, positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The values at their positions among `count`, None elsewhere."""
    return _replaced([None] * count, positions, values)


def _training_mode(model: Any) -> dict[str, bool]:
    """The argument that puts a model in training mode, if it has one: without dropout or statistics it has none."""
    return {"training": True} if "training" in inspect.signature(model.call).parameters else {}


def _report_each_loss(trainer: Any) -> None:
    """Keras reports the mean of the losses since the epoch began, which is for people; a step reports its own loss."""
    tracker = next(metric for metric in trainer.metrics if metric.name == "loss")
    losses: list[Any] = []  # empty but for the moment between the two calls, within one step or one trace of it

    def update_state(values: Any, sample_weight: Any = None) -> None:
        losses.append(values)

    tracker.update_state, tracker.result = update_state, losses.pop


class Backend(ABC):
    """One backend of Keras, in this process."""

    runner: type[Runner]

    def __init__(self) -> None:
        self.compilations = 0
        self.lookups = self.found = 0  # of compiled programs in a cache on disk: of all, and of those that were there
        threads = os.environ.get("ASSAY_THREADS")
        self.configure(int(threads) if threads else None)

    @abstractmethod
    def device(self) -> str:
        """What is computed on: "cpu", or the accelerator's name."""

    @abstractmethod
    def configure(self, threads: int | None) -> None:
        """Sets threads, full float32 precision and determinism, before anything is computed."""

    @abstractmethod
    def device_memory(self) -> int | None:
        """The most bytes that the accelerator's allocator has given out at a time; None on a CPU."""

    @abstractmethod
    def profile(self, action: Callable[[], None]) -> list[Span]:
        """What the backend's own profiler sees while `action` runs."""

    def widen(self, wide: bool) -> None:
        """What the backend needs to compute in float64 at all, from here on or no longer."""
        return

    def place(self, array: np.ndarray, dtype: str) -> Any:
        floating = np.issubdtype(array.dtype, np.floating)
        return keras.ops.convert_to_tensor(array, dtype=dtype if floating else None)


@cache
def backend() -> Backend:
    """The backend that Keras was imported with."""
    backends: dict[str, Callable[[], Backend]] = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}
    return backends[keras.backend.backend()]()


def _on_accelerator() -> bool:
    return os.environ.get("ASSAY_DEVICE", "cpu") == "cuda"


def _no_device(what: str, install: str) -> WorkerError:
    return WorkerError(f"this {what} finds no CUDA device: install {install}, or measure with --device cpu")


# --------------------------------------------------------------------------------------------------------- TensorFlow


class TensorFlowRunner(Runner):
    def __init__(
        self, trainer: Any, mode: str, predictor: Any = None, first: Callable[[Any], Any] = lambda outputs: outputs
    ) -> None:
        if mode != "eager":
            _count_traces(trainer, "train_step")
            _count_traces(trainer if predictor is None else predictor, "predict_step")
        super().__init__(trainer, mode, predictor, first)

    def compiled_prediction(self) -> Any:
        step = self.predictor.predict_step
        return step if self.mode == "eager" else _tensorflow().function(step, jit_compile=self.mode == "xla")

    def wait(self, value: Any) -> None:
        if _on_accelerator():  # a CPU has computed it by now
            _tensorflow().test.experimental.sync_devices()

    def gradients(self, model: Any, inputs: Sequence[Any], targets: Any) -> Losses:
        tf = _tensorflow()
        positions, training = _floating(inputs), _training_mode(model)
        variables = [variable.value for variable in model.trainable_variables]

        def compute(inputs: Sequence[Any], targets: Any) -> tuple[Any, list[Any]]:
            watched = [inputs[i] for i in positions]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                loss = self._loss(targets, model(*_replaced(inputs, positions, watched), **training))
            sources = [*variables, *watched]
            found = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return loss, [tf.convert_to_tensor(gradient) for gradient in found]

        if self._gradients is None:
            eager = self.mode == "eager"
            self._gradients = compute if eager else tf.function(compute, jit_compile=self.mode == "xla")
        loss, found = self._gradients(list(inputs), targets)
        count = len(variables)
        return loss, found[:count], _spread(len(inputs), positions, found[count:])


def _count_traces(trainer: Any, name: str) -> None:
    """Python runs a step's source once per trace: counting those counts the graphs that TensorFlow makes."""
    original = getattr(type(trainer), name)

    def step(*arguments: Any) -> Any:
        backend().compilations += 1
        return original(trainer, *arguments)

    setattr(trainer, name, step)


def _tensorflow() -> Any:
    return importlib.import_module("tensorflow")


class TensorFlow(Backend):
    runner = TensorFlowRunner

    def device(self) -> str:
        if not _on_accelerator():
            return "cpu"
        tf = _tensorflow()
        (device,) = tf.config.get_visible_devices("GPU")
        return str(tf.config.experimental.get_device_details(device).get("device_name", "GPU"))

    def device_memory(self) -> int | None:
        if not _on_accelerator():
            return None
        return int(_tensorflow().config.experimental.get_memory_info("GPU:0")["peak"])

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return with_tensorflow(_tensorflow(), action)

    def configure(self, threads: int | None) -> None:
        tf = _tensorflow()
        devices = tf.config.list_physical_devices("GPU")
        if _on_accelerator() and not devices:
            raise _no_device(f"TensorFlow ({tf.__version__})", "tensorflow[and-cuda]")
        tf.config.set_visible_devices(devices[:1] if _on_accelerator() else [], "GPU")
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_tensor_float_32_execution(False)
        tf.get_logger().setLevel("ERROR")  # a session that compiles again is no fault: it warns of retracing


# ---------------------------------------------------------------------------------------------------------------- JAX


class JaxRunner(Runner):
    """Carries the state from step to step as `fit` does, which gives it back to the variables after each epoch."""

    _state: tuple[Any, ...] | None = None

    def _variables(self) -> list[list[Any]]:
        """Parameters, statistics, the optimizer's variables, the metrics'."""
        trainer = self.trainer
        model = [trainer.trainable_variables, trainer.non_trainable_variables]
        return [*model, trainer.optimizer.variables, trainer.metrics_variables]

    def _carried(self) -> tuple[Any, ...]:
        if self._state is None:
            self._state = tuple([variable.value for variable in group] for group in self._variables())
        return self._state

    def settle(self) -> None:
        if self._state is None:
            return
        for group, values in zip(self._variables(), self._state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self._state = None

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        logs, self._state = self._train(self._carried(), iter(((_one_structure(inputs), targets),)))
        return logs["loss"]

    def predict(self, inputs: Sequence[Any]) -> Any:
        return self._predict(self._carried()[:2], (_one_structure(inputs),))

    def compiled_prediction(self) -> Any:
        def predict(state: Any, data: Any) -> Any:
            return self.predictor.predict_step(state, data)[0]

        return predict if self.mode == "eager" else _jax().jit(predict)

    def wait(self, value: Any) -> None:
        _jax().block_until_ready((value, self._state))

    def gradients(self, model: Any, inputs: Sequence[Any], targets: Any) -> Losses:
        jax = _jax()
        positions, training = _floating(inputs), _training_mode(model)

        def loss(parameters: Any, watched: Any, statistics: Any, inputs: Any, targets: Any) -> Any:
            arguments = _replaced(inputs, positions, watched)
            outputs, _ = model.stateless_call(parameters, statistics, *arguments, **training)
            return self._loss(targets, outputs)

        if self._gradients is None:
            compute = jax.value_and_grad(loss, argnums=(0, 1))
            self._gradients = compute if self.mode == "eager" else jax.jit(compute)
        parameters = [variable.value for variable in model.trainable_variables]
        statistics = [variable.value for variable in model.non_trainable_variables]
        watched = [inputs[i] for i in positions]
        value, (of_parameters, of_inputs) = self._gradients(parameters, watched, statistics, list(inputs), targets)
        return value, of_parameters, _spread(len(inputs), positions, of_inputs)


def _jax() -> Any:
    return importlib.import_module("jax")


class Jax(Backend):
    runner = JaxRunner

    def device(self) -> str:
        device = _jax().devices()[0]
        return "cpu" if device.platform == "cpu" else str(device.device_kind)

    def device_memory(self) -> int | None:
        found = _jax().devices()[0].memory_stats()  # None on a CPU
        return int(found["peak_bytes_in_use"]) if found else None

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return with_jax(_jax(), action)

    def configure(self, threads: int | None) -> None:
        jax = _jax()
        if _on_accelerator():
            try:
                jax.devices("cuda")
            except RuntimeError as error:
                raise _no_device(f"JAX ({jax.__version__})", "jax[cuda12] or jax[cuda13]") from error
        if threads is not None:  # the size of XLA's thread pools, read when the first array is made
            os.environ["NPROC"] = str(threads)
        if jax.default_backend() != "cpu":
            jax.config.update("jax_default_matmul_precision", "highest")
        jax.monitoring.register_event_duration_secs_listener(self._count)
        jax.monitoring.register_event_listener(self._count_lookup)

    def _count(self, event: str, duration_secs: float, **_: Any) -> None:
        self.compilations += event == "/jax/core/compile/backend_compile_duration"

    def _count_lookup(self, event: str, **_: Any) -> None:
        self.lookups += event == "/jax/compilation_cache/compile_requests_use_cache"
        self.found += event == "/jax/compilation_cache/cache_hits"

    def widen(self, wide: bool) -> None:
        _jax().config.update("jax_enable_x64", wide)


# -------------------------------------------------------------------------------------------------------------- torch


class TorchRunner(Runner):
    def compiled_prediction(self) -> Any:
        import torch

        return torch.no_grad()(self.predictor.predict_step)

    def wait(self, value: Any) -> None:
        import torch

        if _on_accelerator():
            torch.cuda.synchronize()

    def gradients(self, model: Any, inputs: Sequence[Any], targets: Any) -> Losses:
        import torch

        positions = _floating(inputs)
        watched = [inputs[i].detach().requires_grad_() for i in positions]
        outputs = model(*_replaced(inputs, positions, watched), **_training_mode(model))
        loss = self._loss(targets, outputs)
        variables = [variable.value for variable in model.trainable_variables]
        found = torch.autograd.grad(loss, [*variables, *watched], materialize_grads=True)
        count = len(variables)
        return loss, found[:count], _spread(len(inputs), positions, found[count:])


class Torch(Backend):
    runner = TorchRunner

    def device(self) -> str:
        import torch

        return torch.cuda.get_device_name(0) if _on_accelerator() else "cpu"

    def device_memory(self) -> int | None:
        import torch

        return torch.cuda.max_memory_allocated() if _on_accelerator() else None

    def profile(self, action: Callable[[], None]) -> list[Span]:
        import torch

        return with_torch(torch, action, on_card=_on_accelerator())

    def configure(self, threads: int | None) -> None:
        import torch

        if _on_accelerator() and not torch.cuda.is_available():
            raise _no_device(f"PyTorch ({torch.__version__})", "a build of it for CUDA")
        if threads is not None:
            torch.set_num_threads(threads)
            with contextlib.suppress(RuntimeError):  # another library has started the pool: it keeps its size
                torch.set_num_interop_threads(1)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
