"""A written PyTorch package, alive in this process: the only file here that imports torch."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.errors import WorkerError
from assay.frameworks.base import Converted, DropoutSample, Gradients, Span
from assay.frameworks.tracing import with_torch
from assay.structure import arrays_of, of_package, plain

# Of parameters and inputs; in bfloat16 the operators that autocast chooses compute.
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
_MODES = ("eager", "compile")
_package_numbers = itertools.count()
_is_configured = False


class Session:
    """The package in `folder`, in one mode ("eager" or "compile") and one floating type. See `base.Session`."""

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        if mode not in _MODES or dtype not in _DTYPES:
            raise WorkerError(
                f"pytorch runs in mode {' or '.join(_MODES)}, in {' or '.join(_DTYPES)}; "
                f"it was asked for mode {mode!r} in {dtype!r}"
            )
        if mode == "compile":
            _require_cpp_compiler()
        _configure_process()
        if mode == "compile":
            _configure_compiler()
        self._mode = mode
        self._dtype = _DTYPES[dtype]
        self._is_mixed = dtype == "bfloat16"
        self._device = _device()
        written_model, self._train = _import_package(Path(folder))
        self._gives = of_package(Path(folder))
        if self._train is not None and self._is_mixed:
            vars(self._train)["compute_loss"] = self._autocast(self._train.compute_loss)
        self.model: nn.Module = written_model.load().to(self._device, self._dtype).eval()
        self._training = False
        self._predict: Callable[..., Any] = self._in_mode(self._autocast(self.model) if self._is_mixed else self.model)
        self._loss = self._in_mode(self._train.compute_loss) if self._train else None
        self._step: Callable[..., Tensor] | None = None
        self._rates = {path: rate for path, _, rate in _dropout_layers(self.model)}

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((path, _numpy(value)) for path, value in self._state_tensors().items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        own = self._state_tensors()
        if unknown := sorted(set(arrays) - set(own)):
            raise WorkerError(
                f"this PyTorch model has no {', '.join(unknown)}; its parameters and statistics are {', '.join(own)}"
            )
        with torch.no_grad():
            for path, array in arrays.items():
                if own[path].shape != array.shape:
                    raise WorkerError(f"{path} has shape {tuple(own[path].shape)}; an array of {array.shape} was given")
                own[path].copy_(torch.from_numpy(array if array.flags.carray else np.array(array)))

    def _state_tensors(self) -> dict[str, Tensor]:
        # num_batches_tracked counts calls; no other framework has it and nothing written here reads it.
        return {
            path: value for path, value in self.model.state_dict().items() if not path.endswith("num_batches_tracked")
        }

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
        return tuple(self._place_one(array) for array in arrays)

    def _place_one(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.array(array))  # a copy: the caller may reuse its own
        return tensor.to(self._device, self._dtype if tensor.is_floating_point() else None)

    def predict(self, inputs: Sequence[Tensor]) -> Any:
        self._set_training(False)
        with torch.inference_mode():
            return self._predict(*inputs)

    def gradients(self, inputs: Sequence[Tensor], targets: Tensor) -> Gradients:
        if self._loss is None:
            raise WorkerError("this package has no train.py, so it has no loss; write it from a model with a Training")
        self._set_training(True)
        self.model.zero_grad()
        leaves = [value.detach().requires_grad_(value.is_floating_point()) for value in inputs]
        loss = self._loss(self.model, *leaves, targets)
        loss.backward()
        parameters = {
            path: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for path, parameter in self.model.named_parameters(remove_duplicate=False)
            if parameter.requires_grad
        }
        self.model.zero_grad()
        return Gradients(
            loss=loss.item(),
            parameters=Converted(parameters, _numpy),
            inputs=tuple(_input_gradient(leaf) for leaf in leaves),
        )

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        if self._train is None:
            raise WorkerError("this package has no train.py; write it from a model with a Training")
        for name, value in (constants or {}).items():
            if not hasattr(self._train, name):
                raise WorkerError(f"train.py has no constant {name}; it has {', '.join(_constants(self._train))}")
            setattr(self._train, name, value)
        torch.manual_seed(self._train.SEED)
        optimizer = self._train.make_optimizer(self.model)
        self._set_training(True)
        self._step = self._train.make_train_step(self.model, optimizer, self._mode)

    def train_step(self, inputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        if self._step is None:
            self.begin_training()
            assert self._step is not None
        if not self._training:
            self._set_training(True)
        return self._step(*inputs, targets)

    def wait(self, value: Any) -> None:
        """On the CPU there is nothing to wait for: PyTorch returns when the work is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(_numpy(leaf) for leaf in arrays_of(self._gives, value))

    def set_dropout(self, enabled: bool) -> None:
        for path, layer, _ in _dropout_layers(self.model):
            rate = self._rates[path] if enabled else 0.0
            if isinstance(layer, nn.RNNBase):
                layer.dropout = rate
            else:
                layer.p = rate

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        ones = torch.ones(shape, dtype=self._dtype, device=self._device)
        samples = []
        for path, layer, rate in _dropout_layers(self.model):
            if isinstance(layer, nn.RNNBase):
                continue  # its dropout lies between its own layers and cannot be applied alone
            was_training, apply = layer.training, self._in_mode(layer)
            with torch.no_grad():
                layer.train()
                trained = _numpy(apply(ones))
                layer.eval()
                evaluated = _numpy(apply(ones))
            layer.train(was_training)
            samples.append(DropoutSample(path, rate, trained, evaluated))
        return samples

    def compile_count(self) -> int:
        if self._mode == "eager":
            return 0
        from torch._dynamo.utils import (
            counters,  # imported by torch.compile itself; slow, so not at the top
        )

        return int(counters["stats"]["unique_graphs"])

    def cache_lookups(self) -> tuple[int, int]:
        """Of TorchInductor's programs; what its cache leaves out is compiled, and counts as not found."""
        if self._mode == "eager":
            return 0, 0
        from torch._dynamo.utils import counters

        found = counters["inductor"]
        return found["fxgraph_cache_hit"], found["fxgraph_cache_miss"] + found["fxgraph_cache_bypass"]

    def device(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"

    def save(self, folder: Path, inputs: Sequence[Tensor]) -> str:
        self._set_training(False)
        # A file of torch's knows no classes of ours, such as a named tuple.
        plainly = self.model.register_forward_hook(lambda _, __, given: plain(self._gives, given))
        try:
            with torch.inference_mode():
                torch.export.save(torch.export.export(self.model, tuple(inputs)), folder / "model.pt2")
        finally:
            plainly.remove()
        return "torch.export (.pt2)"

    def profile(self, action: Callable[[], None]) -> list[Span]:
        return with_torch(torch, action, on_card=self._device.type == "cuda")

    def device_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else None

    def arithmetic(self) -> str:
        if self._is_mixed:
            return "torch.autocast(bfloat16) around the forward pass and the loss; parameters and optimizer in float32"
        if self._dtype == torch.float64:
            return "parameters and inputs in float64"
        return "float32 without TF32"

    def _autocast(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As PyTorch's documentation has it: the forward pass and the loss inside, the backward pass outside."""
        kind = self._device.type

        def autocast(*arguments: Any) -> Any:
            with torch.autocast(kind, torch.bfloat16):
                return function(*arguments)

        return autocast

    def _in_mode(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # One program per shape (dynamic=False): a second batch size must not make the first one's general and slower.
        return torch.compile(function, dynamic=False) if self._mode == "compile" else function

    def _set_training(self, training: bool) -> None:
        if training != self._training:
            self.model.train(training)
            self._training = training


def _configure_process() -> None:
    """Threads as ASSAY_THREADS says, one operator at a time, and no reduced-precision arithmetic."""
    global _is_configured
    if _is_configured:
        return
    _is_configured = True
    if threads := os.environ.get("ASSAY_THREADS"):
        torch.set_num_threads(int(threads))
    with contextlib.suppress(RuntimeError):  # too late, when a caller has worked with torch before
        torch.set_num_interop_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def _device() -> torch.device:
    if os.environ.get("ASSAY_DEVICE", "cpu") != "cuda":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        raise WorkerError(
            f"this PyTorch ({torch.__version__}) finds no CUDA device: it {built}; install a build for this machine's "
            "driver, or measure with --device cpu"
        )
    return torch.device("cuda")


def _configure_compiler() -> None:
    import torch._dynamo  # takes a second, so only where it is needed

    # At every compilation of an optimizer it warns that profiling is left out of the program, which nobody misses.
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    # A session meets several batch sizes, dropout on and off, training and evaluation: more than the usual 8 programs.
    torch._dynamo.config.recompile_limit = 64
    # As a written train.py does, and for its reason: torch 2.13 compiles wrong gradients of max_pool2d otherwise.
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def _require_cpp_compiler() -> None:
    """Raises at once, and plainly, what torch.compile would find out after tracing the whole model."""
    compiler = os.environ.get("CXX", "g++" if sys.platform == "linux" else "clang++")
    if shutil.which(compiler) is None or subprocess.run([compiler, "--version"], capture_output=True).returncode != 0:
        raise WorkerError(
            f"pytorch:compile needs a C++ compiler ({compiler}), which is not here: install one, e.g.  apt install g++"
        )
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.exists():
        raise WorkerError(
            f"pytorch:compile needs Python's C headers ({headers}), which are not here: "
            "install them, e.g.  apt install python3-dev"
        )


def _import_package(folder: Path) -> tuple[ModuleType, ModuleType | None]:
    """The package's model.py and train.py, freshly imported under names of their own.

    train.py says `from model import …`, as it must when it runs alone; while it is imported, `model` is this folder's.
    """
    name = f"assay_written_{next(_package_numbers)}"  # torch.compile treats names with "torch_package" in another way
    model = _import_file(folder / "model.py", f"{name}_model")
    if not (folder / "train.py").exists():
        return model, None
    hidden = sys.modules.get("model")
    sys.modules["model"] = model
    try:
        return model, _import_file(folder / "train.py", f"{name}_train")
    finally:
        del sys.modules["model"]
        if hidden is not None:
            sys.modules["model"] = hidden


def _import_file(path: Path, name: str) -> ModuleType:
    if not path.exists():
        raise WorkerError(f"{path} is missing: a written package has model.py, and train.py if it can be trained")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # torch.compile looks its functions' modules up by name
    spec.loader.exec_module(module)
    return module


def _dropout_layers(model: nn.Module) -> list[tuple[str, Any, float]]:
    """Path, layer and rate of everything that drops values in training."""
    found: list[tuple[str, Any, float]] = []
    for path, layer in model.named_modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            found.append((path, layer, layer.p))
        elif isinstance(layer, nn.RNNBase) and layer.dropout > 0:
            found.append((path, layer, layer.dropout))
    return found


def _constants(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if name.isupper()]


def _input_gradient(leaf: Tensor) -> np.ndarray | None:
    if not leaf.requires_grad:
        return None
    return _numpy(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def _numpy(tensor: Tensor) -> np.ndarray:
    """A copy that no later step can change; NumPy has no bfloat16."""
    detached = tensor.detach().cpu()
    return np.array((detached.float() if detached.dtype == torch.bfloat16 else detached).numpy())
