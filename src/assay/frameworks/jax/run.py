"""A written JAX package, alive in this process.

The state of the model is held as plain dictionaries of arrays, as `train.py` holds it. The `nnx.Module` itself is only
the plan from which programs are made (and what predicts in eager mode); it is brought up to date when it is needed, and
stays in evaluation mode.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from assay.errors import ModelError, NotFoundError, unknown
from assay.frameworks.base import Converted, DropoutSample, Gradients, Span
from assay.frameworks.tracing import with_jax
from assay.structure import arrays_of, of_package, plain

MODES = ("jit", "eager")
DTYPES = ("float32", "float64", "bfloat16")

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
_LOOKUP_EVENT = "/jax/compilation_cache/compile_requests_use_cache"
_FOUND_EVENT = "/jax/compilation_cache/cache_hits"
_compilations = 0
_lookups = _found = 0
_import_numbers = itertools.count()


def _count_compilation(event: str, duration_secs: float, **_details: object) -> None:
    global _compilations
    _compilations += event == _COMPILE_EVENT


def _count_lookup(event: str, **_details: object) -> None:
    global _lookups, _found
    _lookups += event == _LOOKUP_EVENT
    _found += event == _FOUND_EVENT


jax.monitoring.register_event_duration_secs_listener(_count_compilation)
jax.monitoring.register_event_listener(_count_lookup)


class _Variables(NamedTuple):
    """What a model is made of when it is not being trained; the first two fields of `train.py`'s TrainState."""

    parameters: dict[str, Any]
    statistics: dict[str, Any]


class Session:
    """A JAX package in one mode ("jit" or "eager") and one floating type. See `assay.frameworks.base.Session`."""

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        if mode not in MODES:
            raise unknown("mode of jax", mode, MODES)
        if dtype not in DTYPES:
            raise unknown("floating type", dtype, DTYPES)
        self._mode = mode
        self._is_mixed = dtype == "bfloat16"
        self._dtype = np.dtype("float32" if self._is_mixed else dtype)  # of parameters and inputs
        self._needs_x64 = dtype == "float64"
        _configure()
        self._enter()
        _require_device()
        folder = Path(folder)
        self._gives = of_package(folder)
        model_module = _import(folder, "model")
        self._training = _import(folder, "train", model=model_module) if (folder / "train.py").exists() else None
        self._model: Any = model_module.load()
        self._convert()
        if self._is_mixed:
            self._mix()
        self._model.eval()
        parameters, statistics = nnx.state(self._model, nnx.Param, ...)
        self._state: Any = _Variables(nnx.to_pure_dict(parameters), nnx.to_pure_dict(statistics))
        self._names = set(_named(nnx.to_pure_dict(nnx.state(self._model, nnx.Not(nnx.RngState)))))
        self._model_is_current = True
        self._rates = {layer: layer.rate for _, layer in self._dropouts()}
        self._optimizer: Any = None
        self._step: Callable[..., Any] | None = None
        self._predictor: Callable[..., Any] | None = None
        self._differentiator: Callable[..., Any] | None = None

    # The model's variables

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        self._enter()
        arrays = _named(self._state.parameters) | _named(self._state.statistics)
        return ((name, np.array(array)) for name, array in arrays.items() if name in self._names)

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._enter()
        for name in arrays:
            if name not in self._names:
                raise unknown("parameter or statistic", name, sorted(self._names))
        self._state = self._state._replace(
            parameters=self._replaced(self._state.parameters, arrays),
            statistics=self._replaced(self._state.statistics, arrays),
        )
        self._model_is_current = False

    def _replaced(self, tree: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        def replace(path: tuple[Any, ...], old: jax.Array) -> jax.Array:
            if (name := _name(path)) not in arrays:
                return old
            array = arrays[name]
            if array.shape != old.shape:
                raise ModelError(f"{name} has the shape {old.shape}; the array given for it has {array.shape}")
            return jnp.array(array, old.dtype)

        replaced: dict[str, Any] = jax.tree.map_with_path(replace, tree)
        return replaced

    def _convert(self) -> None:
        """Takes the loaded model, float32 as its file, to this session's type."""

        def converted(array: jax.Array) -> jax.Array:
            return array.astype(self._dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

        nnx.update(self._model, jax.tree.map(converted, nnx.state(self._model)))
        for _, module in nnx.iter_modules(self._model):
            if getattr(module, "dtype", None) == jnp.float32:  # nnx.Embed notes the type of its first values
                module.dtype = self._dtype

    def _mix(self) -> None:
        """Mixed precision as Flax has it: layers compute in `dtype` on parameters of another; the loss is in float32."""
        for _, module in nnx.iter_modules(self._model):
            if "dtype" in vars(module):
                module.dtype = jnp.bfloat16
        if self._training is not None:
            loss_function = self._training.loss_function

            def in_float32(outputs: Any, targets: Any) -> Any:
                return loss_function(jax.tree.map(lambda array: array.astype(jnp.float32), outputs), targets)

            vars(self._training)["loss_function"] = in_float32

    def _current_model(self) -> Any:
        """The module, holding copies of the present state: a compiled step gives the memory of its own state away."""
        if not self._model_is_current:
            parameters, statistics = jax.tree.map(jnp.copy, (self._state.parameters, self._state.statistics))
            nnx.update(self._model, parameters, statistics)
            self._model_is_current = True
        return self._model

    # Running

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        self._enter()
        return tuple(
            jnp.array(array, self._dtype if np.issubdtype(array.dtype, np.floating) else None) for array in arrays
        )

    def predict(self, inputs: Sequence[Any]) -> Any:
        self._enter()
        if self._mode == "eager":
            return self._current_model()(*inputs)
        if self._predictor is None:
            self._predictor = self._make_predictor()
        return self._predictor(self._state.parameters, self._state.statistics, *inputs)

    def _make_predictor(self) -> Callable[..., Any]:
        graphdef = nnx.graphdef(self._model)

        def predict(parameters: dict[str, Any], statistics: dict[str, Any], *inputs: jax.Array) -> Any:
            return nnx.merge(graphdef, parameters, statistics, copy=True)(*inputs)

        return jax.jit(predict)

    def gradients(self, inputs: Sequence[Any], targets: Any) -> Gradients:
        self._enter()
        floats = [index for index, array in enumerate(inputs) if jnp.issubdtype(array.dtype, jnp.floating)]
        if self._differentiator is None:
            self._differentiator = self._make_differentiator(floats)
        arguments = (self._state.parameters, self._state.statistics, targets, *inputs)
        loss, (parameters, *by_input) = self._differentiator(*arguments)
        found = dict(zip(floats, by_input, strict=True))
        return Gradients(
            float(loss),
            Converted(_named(parameters), np.array),
            tuple(np.array(found[index]) if index in found else None for index in range(len(inputs))),
        )

    def _make_differentiator(self, floats: Sequence[int]) -> Callable[..., Any]:
        training = self._needs_training()
        self._model.train()
        graphdef = nnx.graphdef(self._model)
        self._model.eval()

        def loss(parameters: dict[str, Any], statistics: dict[str, Any], targets: Any, *inputs: jax.Array) -> Any:
            network = nnx.merge(graphdef, parameters, statistics, copy=True)
            return training.loss_function(arrays_of(self._gives, network(*inputs))[0], targets)

        differentiate = jax.value_and_grad(loss, argnums=(0, *(3 + index for index in floats)))
        return jax.jit(differentiate) if self._mode == "jit" else differentiate

    # Training

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        self._enter()
        training = self._needs_training()
        for name, value in (constants or {}).items():
            known = [known for known in vars(training) if known.isupper()]
            if name not in known:
                raise unknown("constant of this train.py", name, known)
            setattr(training, name, value)
        self._optimizer = training.make_optimizer()
        self._state = training.make_state(self._current_model(), self._optimizer)
        self._make_step()

    def _make_step(self) -> None:
        self._step = self._needs_training().make_train_step(self._model, self._optimizer, self._mode)
        self._model.eval()

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        self._enter()
        if self._step is None:
            raise ModelError("train_step before begin_training: there is no optimizer yet; call begin_training first")
        self._state, loss = self._step(self._state, *inputs, targets)
        self._model_is_current = False
        return loss

    def _needs_training(self) -> ModuleType:
        if self._training is None:
            raise ModelError("this package has no train.py: write the model with a Training to train it")
        return self._training

    # Results

    def wait(self, value: Any) -> None:
        jax.block_until_ready((value, self._state))

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        found = arrays_of(self._gives, value)
        # NumPy has no bfloat16.
        arrays = (array.astype("float32") if array.dtype == jnp.bfloat16 else array for array in found)
        return tuple(np.array(array) for array in arrays)

    def compile_count(self) -> int:
        return _compilations

    def cache_lookups(self) -> tuple[int, int]:
        return _found, _lookups - _found

    def device(self) -> str:
        device = jax.devices()[0]
        return "cpu" if device.platform == "cpu" else str(device.device_kind)

    def save(self, folder: Path, inputs: Sequence[Any]) -> str:
        """The program of the prediction with the weights in it, which needs neither Flax nor the source to run."""
        from jax import export

        self._enter()
        predict, state = self._make_predictor(), self._state
        whole = jax.jit(lambda *arrays: plain(self._gives, predict(state.parameters, state.statistics, *arrays)))
        (folder / "model.jax").write_bytes(export.export(whole)(*inputs).serialize())
        return "jax.export"

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return with_jax(jax, action)

    def device_memory(self) -> int | None:
        found = jax.devices()[0].memory_stats()  # None on a CPU
        return int(found["peak_bytes_in_use"]) if found else None

    def arithmetic(self) -> str:
        if self._is_mixed:
            return "Flax layers with dtype=bfloat16 and float32 parameters; loss and optimizer in float32"
        return "parameters and inputs in float64" if self._needs_x64 else "float32 at matmul precision 'highest'"

    # Dropout

    def _dropouts(self) -> list[tuple[str, nnx.Dropout]]:
        modules = nnx.iter_modules(self._model)
        return [(".".join(map(str, path)), module) for path, module in modules if isinstance(module, nnx.Dropout)]

    def set_dropout(self, enabled: bool) -> None:
        self._enter()
        for _, layer in self._dropouts():
            layer.rate = self._rates[layer] if enabled else 0.0
        # The rate is part of the compiled programs: they are made anew.
        self._predictor = self._differentiator = None
        if self._step is not None:
            self._make_step()

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        self._enter()
        self._current_model()
        samples = []
        for path, layer in self._dropouts():
            # A mask that is shared along axes wants an input that has them.
            more = max(layer.broadcast_dims, default=0) + 1 - len(shape)
            ones = jnp.ones((*shape, *[1] * more), self._dtype)
            trained = np.array(nnx.clone(layer)(ones, deterministic=False))
            evaluated = np.array(nnx.clone(layer)(ones, deterministic=True))
            samples.append(DropoutSample(path, layer.rate, trained, evaluated))
        return samples

    # The process

    def _enter(self) -> None:
        """Makes JAX's 64-bit switch, which belongs to the whole process, that of this session."""
        if jax.config.read("jax_enable_x64") is not self._needs_x64:
            jax.config.update("jax_enable_x64", self._needs_x64)


def _configure() -> None:
    """Threads and arithmetic. The thread pool is made with the first array, so this only acts in a fresh process."""
    if threads := os.environ.get("ASSAY_THREADS"):
        os.environ["NPROC"] = (
            threads  # what XLA reads for the size of its CPU pool; there is one pool, so inter-op is 1
        )
        if threads == "1" and "xla_cpu_multi_thread_eigen" not in os.environ.get("XLA_FLAGS", ""):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    # On accelerators the default would be TF32 or bfloat16.
    jax.config.update("jax_default_matmul_precision", "highest")


def _require_device() -> None:
    """The crew tells JAX its platform; this finds out, and says plainly, that it has none of that name."""
    if os.environ.get("ASSAY_DEVICE", "cpu") != "cuda":
        return
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        raise ModelError(
            f"this JAX ({jax.__version__}) finds no CUDA device ({str(error).splitlines()[0]}); install jax[cuda12] or "
            "jax[cuda13], or measure with --device cpu"
        ) from error


def _import(folder: Path, name: str, **beside: ModuleType) -> ModuleType:
    """Executes `name.py` of a package as a module of its own name; `beside` are modules that it may import by name."""
    file = folder / f"{name}.py"
    if not file.is_file():
        raise NotFoundError(f"no {file.name} in {str(folder)!r}: expected a folder that `assay write` has made")
    unique = f"_assay_jax_{next(_import_numbers)}_{name}"
    spec = importlib.util.spec_from_file_location(unique, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    hidden = {name: sys.modules.get(name) for name in beside}
    sys.modules.update(beside)
    try:
        spec.loader.exec_module(module)
    finally:
        for other, previous in hidden.items():
            if previous is None:
                del sys.modules[other]
            else:
                sys.modules[other] = previous
    return module


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(key.key) for key in path)


def _named(tree: dict[str, Any]) -> dict[str, jax.Array]:
    """Nested dictionaries of arrays as one, with dotted names."""
    return {_name(path): array for path, array in jax.tree.leaves_with_path(tree)}
