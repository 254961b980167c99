"""What a framework is to assay: facts, a writer, and a session that runs a written package.

A framework folder holds the same files as every other:

    __init__.py   FRAMEWORK: Framework, the facts; imports nothing heavy
    write.py      TABLE: the lowering table; rows, rules and layers for `model.py`
    train.py      write_training(...): the source of `train.py`
    run.py        Session: the written package alive in this process (the only file that imports the framework)
    bring.py      bring(object, inputs, name) and load_file(path, name): this framework's own models as a `Model`
    gaps.toml     what does not work or is less precise, each with its reason and link
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from assay.structure import Structure

if TYPE_CHECKING:
    from assay.nn.optimizers import Training


@dataclass(frozen=True)
class Contestant:
    """One framework (on one backend) in one mode, written `keras/jax:jit`.

    `environment` names the environment that its processes run in, `pytorch@2.12:eager`; None is the one of this process.
    `variant` names another version of the model that its code is written from, `pytorch+own:eager`; None is the model.
    """

    framework: str
    mode: str
    backend: str | None = None
    environment: str | None = None
    variant: str | None = None

    @property
    def target(self) -> str:
        """`keras/jax` or `pytorch`: what code is written for."""
        return f"{self.framework}/{self.backend}" if self.backend else self.framework

    @property
    def code(self) -> str:
        """`keras/jax` or `pytorch+own`: the written package."""
        return f"{self.target}+{self.variant}" if self.variant else self.target

    @property
    def host(self) -> str:
        """`keras/jax`, `pytorch+own` or `pytorch@2.12`: what one process can hold."""
        return f"{self.code}@{self.environment}" if self.environment else self.code

    @property
    def name(self) -> str:
        return f"{self.host}:{self.mode}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Target:
    """A framework on one of its backends, with the modes it runs in; the first mode is the default."""

    framework: str
    backend: str | None
    modes: tuple[str, ...]
    modules: tuple[str, ...]  # what must be importable
    default: bool = True  # part of the answer to "each framework in its default mode"
    compile_cache: Mapping[str, str] = field(
        default_factory=dict
    )  # environment that keeps compiled programs in {folder}

    @property
    def name(self) -> str:
        return f"{self.framework}/{self.backend}" if self.backend else self.framework

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        return tuple(Contestant(self.framework, mode, self.backend) for mode in self.modes)

    def missing(self) -> tuple[str, ...]:
        """The modules that this environment lacks, found without importing any."""
        return tuple(name for name in self.modules if importlib.util.find_spec(name) is None)


@dataclass(frozen=True)
class InputSpec:
    """An input of a model that is to be brought: a shape and a type, no numbers."""

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Framework:
    """The facts about a framework that need no import of it."""

    name: str
    title: str  # as its own authors write it
    extra: str  # pip install "assay[extra]"
    distributions: tuple[str, ...]  # whose versions are recorded
    targets: tuple[Target, ...]
    channels_last: bool  # layout that its written code uses
    environment: Mapping[str, str] = field(default_factory=dict)  # set before it is imported, in every worker
    companions: tuple[str, ...] = ()  # distributions that its written code needs beside the framework itself
    brings: tuple[str, ...] = ()  # classes of which an instance is a model that `bring.py` brings: "torch.nn.Module"
    folder: str = ""  # the file that tells a folder that `bring.py` reads
    files: tuple[str, ...] = ()  # endings of the files that `bring.py` reads
    trains: tuple[str, ...] = ()  # packages whose losses and optimizers `bring_training.py` takes: "torch"


class Converted(Mapping[str, np.ndarray]):
    """Native arrays by path that become NumPy's when they are read, so that only one of them is there twice."""

    def __init__(self, native: Mapping[str, Any], convert: Callable[[Any], np.ndarray]) -> None:
        self._native = native
        self._convert = convert

    def __getitem__(self, path: str) -> np.ndarray:
        return self._convert(self._native[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._native)

    def __len__(self) -> int:
        return len(self._native)


@dataclass(frozen=True)
class Gradients:
    """The loss, and its gradient with respect to every trainable parameter and float input."""

    loss: float
    parameters: Mapping[str, np.ndarray]  # native path → gradient, shaped as the native parameter; see `Converted`
    inputs: tuple[np.ndarray | None, ...]  # None for an integer input


@dataclass(frozen=True)
class DropoutSample:
    """What one dropout layer of the written model did to an array of ones."""

    path: str
    rate: float
    trained: np.ndarray  # output in training mode
    evaluated: np.ndarray  # output in evaluation mode


@dataclass(frozen=True)
class TrainingPlan:
    """What `train.py` is written from. The loss reads the graph's first output."""

    model_name: str  # "mnist-cnn", for docstrings
    class_name: str  # "MnistCNN", the class in model.py
    training: Training
    inputs: tuple[str, ...]  # argument names, as in model.py
    input_shapes: tuple[tuple[int | str, ...], ...]  # ("batch", 28, 28)
    output_shape: tuple[int | str, ...]
    target: str  # "labels", "tokens", "outcomes": a name for the targets
    structure: Structure = field(default_factory=lambda: Structure.flat(1))  # of what the model returns


@dataclass(frozen=True)
class Span:
    """Something that a framework's profiler saw on one thread, in seconds from any common start."""

    line: str  # the thread or stream
    name: str  # "aten::mm", "Conv2D", "transpose_copy_fusion"
    start: float
    seconds: float
    is_operator: bool  # it computes; all else prepares, dispatches or waits


class Session(Protocol):
    """A written package, alive in this process, in one mode and one floating type.

    Paths are the framework's own names of parameters, the keys of `weights.safetensors`.
    """

    def __init__(self, folder: Path, mode: str, dtype: str = "float32") -> None:
        """Imports `model.py` (and `train.py` when present) from `folder`, and calls its `load()`.

        `dtype` is "float32", "float64" or "bfloat16"; the written code is not changed. For "float64" the parameters are
        converted after loading; "bfloat16" is the framework's own mixed precision: parameters, statistics, loss and
        optimizer stay in float32. Raises an error that says why, where a framework has none for this mode.
        What it computes on is $ASSAY_DEVICE, "cpu" or "cuda"; "cpu" where there is no such variable.
        """
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Every parameter and statistic, by native path, as NumPy copies."""
        ...

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """What `state` holds, one NumPy copy at a time: for a model that should not be in memory twice."""
        ...

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Overwrites the parameters and statistics named; others stay."""
        ...

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """NumPy arrays → arrays of the framework on its device; floating ones take the session's type."""
        ...

    def predict(self, inputs: Sequence[Any]) -> Any:
        """The model in evaluation mode, executed in this session's mode. Inputs come from `place`."""
        ...

    def gradients(self, inputs: Sequence[Any], targets: Any) -> Gradients:
        """Loss and gradients in training mode, in this session's mode; changes no parameter (statistics may move)."""
        ...

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        """Makes a fresh optimizer; `constants` replace constants of `train.py` (LEARNING_RATE, …) for this session."""
        ...

    def train_step(self, inputs: Sequence[Any], targets: Any) -> Any:
        """One whole step as `train.py` writes it; returns the native loss without waiting for it."""
        ...

    def wait(self, value: Any) -> None:
        """Blocks until `value` and all updated parameters are computed."""
        ...

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        """A native result (one array or a nest of them) as a flat tuple of NumPy arrays."""
        ...

    def set_dropout(self, enabled: bool) -> None:
        """Switches every dropout layer of the model off (rate 0) or back on."""
        ...

    def dropout_samples(self, shape: tuple[int, ...]) -> list[DropoutSample]:
        """Applies each dropout layer of the model to ones of this shape, in training and in evaluation."""
        ...

    def compile_count(self) -> int:
        """How many compilations have happened in this process, as far as the framework tells; 0 if it never compiles."""
        ...

    def cache_lookups(self) -> tuple[int, int]:
        """Compiled programs that this process has found in the framework's cache on disk, and those it has not found.

        Both are 0 where the framework keeps no such cache.
        """
        ...

    def device(self) -> str:
        """What it computes on: "cpu", or the name of the accelerator."""
        ...

    def arithmetic(self) -> str:
        """In words, how this session's floating type is got: "torch.autocast(bfloat16) around forward and loss"."""
        ...

    def save(self, folder: Path, inputs: Sequence[Any]) -> str:
        """Saves the model for prediction into `folder`, as the framework itself does; the format's name.

        `inputs`, from `place`, are an example: where the format holds programs, they are for these shapes.
        """
        ...

    def profile(self, action: Callable[[], None]) -> list[Span]:
        """What the framework's own profiler sees while `action` runs, which waits for its results."""
        ...

    def device_memory(self) -> int | None:
        """The most bytes that the accelerator's allocator has given this process at a time; None on a CPU."""
        ...
