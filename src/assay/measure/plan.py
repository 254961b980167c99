"""What is to be measured: the packages, the tasks, the proof asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import DataError, NotFoundError, unknown
from assay.frameworks.base import Contestant
from assay.measure.effort import QUICK, Effort

if TYPE_CHECKING:
    from assay.measure.venvs import Environment

TRAIN = "train"
INFER = "infer"

# While it is timed, a model must not move: arms take different numbers of steps, and weights that have converged or
# diverged (subnormal or infinite numbers) run at another speed. A rate this small leaves every float32 weight where it
# is and changes nothing else about the step.
TIMING_CONSTANTS: Mapping[str, Any] = {"LEARNING_RATE": 1e-9}


@dataclass(frozen=True, order=True)
class Task:
    """What is timed: `train`, a whole training step, or `infer`, one prediction, with this many examples at once."""

    kind: str
    batch_size: int

    def __post_init__(self) -> None:
        if self.kind not in (TRAIN, INFER):
            raise NotFoundError(f"unknown task {self.kind!r}: expected 'train' or 'infer'")
        if self.batch_size < 1:
            raise DataError(f"a batch size of {self.batch_size} for {self.kind}: expected at least 1")

    def __str__(self) -> str:
        return f"{self.kind}/{self.batch_size}"


FLOAT32 = "float32"
PRECISIONS = (FLOAT32, "bfloat16", "float64")


@dataclass(frozen=True, order=True)
class Condition:
    """What a process is started under, beside its contestant: everything that no process can change later.

    Every task is timed under every condition; contestants are compared under the same one only. `precision` "bfloat16"
    is mixed precision as each framework means it: float32 parameters, computed with in bfloat16 where that is safe.
    """

    threads: int
    precision: str = FLOAT32

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.threads < 1:
            raise DataError(f"{self.threads} threads: expected at least 1")

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.precision}"


@dataclass(frozen=True)
class Entry:
    """A contestant and the written package that it runs.

    `data` is a .safetensors or .npz file with `train_inputs_0 …`, `train_targets`, `test_inputs_0 …` in the layout that
    the package's `model.py` takes; None means `data.safetensors` in the package.
    """

    contestant: Contestant
    folder: Path
    data: Path | None = None

    @property
    def name(self) -> str:
        return self.contestant.name

    @property
    def data_file(self) -> Path:
        return self.data or self.folder / "data.safetensors"


@dataclass(frozen=True)
class Proving:
    """What every contestant computes in float64, for the prove stage to compare.

    `arrays` is an .npz file: `inputs_0 …` for the outputs and gradients and, if `training`, `targets` and for each
    step k `step_<k>_inputs_0 …`, `step_<k>_targets`. Floating arrays are cast by the session.
    """

    arrays: Path
    constants: Mapping[str, Any] = field(default_factory=dict)  # of train.py, for the optimizer's steps
    steps: int = 5
    dropout_shape: tuple[int, ...] | None = (64, 256)  # None: dropout is not tried
    training: bool = True  # loss, gradients and optimizer steps too
    dtype: str = "float64"
    folders: Mapping[str, Path] = field(
        default_factory=dict
    )  # a contestant's `code` → package to prove instead of the entry's


@dataclass(frozen=True)
class Curve:
    """Training on real data from the package's weights, dropout off, for the losses of each step.

    `order` is an .npz file with `rows`: int (steps, batch), the training examples of each step. Every contestant is
    trained in float32; `truth` names those that are trained in float64 too.
    """

    order: Path
    constants: Mapping[str, Any] = field(default_factory=dict)
    truth: tuple[str, ...] = ()
    batch: int = 0  # examples at once when it predicts afterwards
    examples: int = 0  # of the test split, the first ones, that each contestant predicts after its float32 training
    roundings: int = 3  # float64 trainings that start one float32 rounding away: what rounding alone does to this curve


@dataclass(frozen=True)
class ProofResult:
    """What a contestant computed. `errors` has, by stage, what it could not: open, outputs, gradients, steps, dropout.

    `arrays` is an .npz file with native paths: `output/<i>`, `loss`, `gradient/<path>`, `input_gradient/<i>`,
    `gradient_state/<path>` (statistics moved by the gradients), `losses`, `update/<path>` (what the steps added, all
    together), `dropout/<i>/trained`, `dropout/<i>/evaluated`. A stage that failed left no arrays.
    """

    contestant: Contestant
    arrays: Path
    dropout: tuple[tuple[str, float], ...]  # native path and rate of the i-th dropout layer
    errors: Mapping[str, str]
    seconds: float
    high_water_bytes: int = 0  # the most memory that the process had until then


class Later(Enum):
    """The answer of a proof callback that has to see another contestant's arrays first."""

    LATER = "later"


LATER = Later.LATER

# None: equal. A text: why it is not. LATER: call again after the next proof.
ProveCallback = Callable[[Contestant, ProofResult], "str | Later | None"]


@dataclass(frozen=True)
class Plan:
    """Everything `measure` needs. Entries are in order of priority: they are prepared in this order."""

    entries: tuple[Entry, ...]
    folder: Path
    tasks: tuple[Task, ...] = ()  # none: prove only
    proving: Proving | None = None
    curve: Curve | None = None  # needs `proving`: it is trained in the process that proves
    effort: Effort = QUICK
    threads: int = 0  # 0: as many as there are CPUs for us
    under: tuple[Condition, ...] = ()  # none: once, with these threads in float32
    seed: int = 0
    baseline: str | None = None  # whose twin is measured; None: the first entry
    first_wave: tuple[str, ...] = ()  # contestants whose rows are wanted before all others are ready
    environment: Mapping[str, str] = field(default_factory=dict)  # for every worker
    device: str = "cpu"  # or "cuda", for all contestants
    environments: tuple[Environment, ...] = ()  # those that contestants name
    sessions: Mapping[str, str] = field(default_factory=dict)  # target → "module:Class" instead of the framework's own
    constants: Mapping[str, Any] = field(default_factory=lambda: dict(TIMING_CONSTANTS))  # of train.py, while timed

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if not names:
            raise DataError("nothing to measure: the plan has no entries")
        if doubled := {name for name in names if names.count(name) > 1}:
            raise DataError(f"contestants given twice: {', '.join(sorted(doubled))}")
        if len(set(self.under)) < len(self.under):
            raise DataError(f"conditions given twice: {'; '.join(map(str, self.under))}")
        made = {environment.name for environment in self.environments}
        for entry in self.entries:
            if entry.contestant.environment not in {None, *made}:
                raise NotFoundError(f"{entry.name} is to run in an environment that the plan does not have")
        for name in (*self.first_wave, *([self.baseline] if self.baseline else [])):
            if name not in names:
                raise NotFoundError(f"{name!r} is not among the plan's contestants: {', '.join(names)}")

    def array_file(self, contestant: str, what: str) -> Path:
        """Where a worker leaves arrays of a contestant."""
        name = contestant.replace("/", "-").replace(":", "-").replace("@", "-")
        return (self.folder / "arrays" / f"{name}-{what}.npz").absolute()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """In the order they are measured in; the first is the one that recommendations are made from."""
        return self.under or (Condition(self.thread_count),)

    @property
    def twin_of(self) -> str:
        return self.baseline or self.entries[0].name

    @property
    def thread_count(self) -> int:
        return self.under[0].threads if self.under else self.threads or len(allowed_cpus())


def allowed_cpus() -> list[int]:
    """The CPUs that this process may run on, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
