"""What was measured: every raw sample and everything around it, as frozen data. `record_file` keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.measure.environment import Environment

FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What was asked for."""

    format: int
    assay: str
    started: str  # ISO 8601 with time zone
    contestants: tuple[str, ...]
    tasks: tuple[tuple[str, int], ...]  # kind, batch size
    twin_of: str  # the contestant that is measured twice
    threads: int
    seed: int
    proving: bool
    effort: Mapping[str, Any]  # the fields of `Effort`
    constants: Mapping[str, Any]  # of train.py, while timed
    conditions: tuple[tuple[int, str], ...] = ()  # threads, precision; none: `threads` in float32


@dataclass(frozen=True)
class Proved:
    """The outcome of a contestant's proof: equal, different or not-run."""

    contestant: str
    status: str
    reason: str | None
    arrays: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    dropout: tuple[tuple[str, float], ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class LossCurve:
    """The loss of each training step on real data, dropout off; or the reason why there is none."""

    contestant: str
    dtype: str
    losses: tuple[float, ...]
    seconds: float | None
    reason: str | None = None
    rounding: int = 0  # not 0: started one float32 rounding away from the weights, in the n-th random direction
    outputs: str | None = None  # .npz file with what it predicts afterwards for the first test examples


@dataclass(frozen=True)
class Cold:
    """The start of a fresh process. Pauses that we made are subtracted.

    `beside`: another worker ran meanwhile, so that the wall times are upper bounds; CPU times hardly suffer.
    """

    contestant: str
    process: int
    import_s: float
    import_cpu_s: float
    build_s: float
    build_cpu_s: float
    base_bytes: int | None  # in RAM after the import
    beside: bool
    cache: tuple[int, int] = (0, 0)  # compiled programs found in the cache on disk while building, and not found
    device: str = "cpu"  # what it computes on
    condition: int = 0  # which of the header's conditions
    arithmetic: str = ""  # how the condition's precision is got, in words


@dataclass(frozen=True)
class FirstCalls:
    """The first three calls of a task in a fresh process; the first one compiles."""

    contestant: str
    process: int
    task: str
    batch_size: int
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    compiles: tuple[int, ...]
    peak_bytes: int  # the most memory in RAM during these calls
    peak_is_of_the_task: bool  # False: the mark could not be reset, it is that of the process so far
    beside: bool
    cache: tuple[int, int] = (0, 0)  # compiled programs found in the cache on disk, and not found
    condition: int = 0


@dataclass(frozen=True)
class Warmup:
    """Single calls before the samples, and what they look like: flat, warming, slowing or no steady state."""

    contestant: str
    process: int
    task: str
    batch_size: int
    times_s: tuple[float, ...]
    compiles: int
    series: str
    condition: int = 0


@dataclass(frozen=True)
class Sample:
    """`calls` calls timed together. Samples with the same block were taken in the same round of the same task."""

    contestant: str
    twin: bool  # the second arm of the contestant that is measured twice
    process: int
    task: str
    batch_size: int
    wave: int
    round: int
    block: int
    position: int  # in the round's order
    calls: int
    wall_ns: int
    cpu_ns: int
    switches: int  # involuntary context switches
    steal_ticks: int | None
    waited_ns: int | None  # its threads, all together, were ready and had no CPU: what other programs took
    compiles: int
    began_ns: int  # monotonic clock
    void: str | None = None  # why the sample does not count
    condition: int = 0

    @property
    def seconds(self) -> float:
        """Per call."""
        return self.wall_ns / self.calls / 1e9


@dataclass(frozen=True)
class Outputs:
    """Float32 outputs of the timed process for the proof's inputs, with its starting weights; its state's health."""

    contestant: str
    process: int
    arrays: str
    not_finite: int
    subnormal: int
    condition: int = 0


@dataclass(frozen=True)
class Latency:
    """Single predictions, each timed alone and waited for, in a pass of their own."""

    contestant: str
    process: int
    batch_size: int
    times_s: tuple[float, ...]
    compiles: int
    waited_ns: int | None  # its threads, all together, were ready and had no CPU
    condition: int = 0


@dataclass(frozen=True)
class Start:
    """How a fresh process starts when no other runs: import, build, and the first call of one task."""

    contestant: str
    condition: int
    task: str
    batch_size: int
    cache: str  # compiled programs on disk: cold, warm, mixed, none
    import_s: float
    build_s: float
    first_s: float  # the first call, compilation included
    compile_s: float  # what the first call takes longer than a later one


@dataclass(frozen=True)
class Costs:
    """What a task takes besides time, in a fresh process that does nothing else."""

    contestant: str
    task: str
    batch_size: int
    condition: int
    first_bytes: int | None  # high-water mark during the first calls, compilation included, above what the import took
    steady_bytes: int | None  # the same during later calls
    device_bytes: int | None  # the most that the accelerator's allocator gave out; None on a CPU
    joules: float | None  # while `calls` calls ran
    calls: int
    energy_source: str  # the counters that were read, or why there are none


@dataclass(frozen=True)
class Saved:
    """What the framework itself saves of the model; `format` is None, and `reason` says why, where it cannot."""

    contestant: str
    format: str | None
    bytes: int | None
    weights_bytes: int | None  # of weights.safetensors in the written package
    reason: str | None = None


@dataclass(frozen=True)
class Profile:
    """Where the time of a task's calls went, in a process that was profiled; shares of that time, which add up to 1."""

    contestant: str
    condition: int
    task: str
    batch_size: int
    calls: int
    seconds: float  # of a profiled call: profiling slows it
    kinds: tuple[tuple[str, float], ...]  # of operators, and what is none; the largest first
    operators: tuple[tuple[str, str, float, float], ...]  # name, kind, share, times a call runs it; the largest first


@dataclass(frozen=True)
class Decision:
    """Something that the protocol left open and how it was decided."""

    text: str


@dataclass(frozen=True)
class Remark:
    """Something about the whole run that a reader should know."""

    text: str


@dataclass(frozen=True)
class Loss:
    """A worker that was lost; its contestant went on in a new process. What it had measured stays.

    `contestant` is the twin's own name, `pytorch:eager (twin)`, where its process was lost.
    """

    contestant: str
    process: int
    stage: str  # prepare, waiting or timing
    reason: str
    block: int  # the first one that the new process can take part in


@dataclass(frozen=True)
class Failure:
    """A contestant that is out, and why."""

    contestant: str
    stage: str
    reason: str
    condition: int | None = None  # None: under all of them


@dataclass(frozen=True)
class Resumed:
    """The run went on after it had been cut short. `versions`: what was installed then, where it had changed."""

    at: str  # ISO 8601 with time zone
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """The last line of a run, or of a part of it, that ended by itself or by Ctrl-C."""

    seconds: float  # with the parts before
    interrupted: bool


@dataclass(frozen=True)
class Measurement:
    """One contestant at one task under one condition. Times are per call; `samples_s` are the means of each sample's calls.

    `interval_s` is an order-statistic interval of the median (at least 95 % where there are 6 values or more, else the
    range). The values are the samples of a single process, of which alone it tells then (`label` says "indicative"); of
    several processes they are the median of each.
    """

    contestant: str
    task: str
    batch_size: int
    status: str  # ok, failed or not-run
    reason: str | None = None
    label: str = ""
    samples_s: tuple[float, ...] = ()
    blocks: tuple[int, ...] = ()  # of each sample
    processes: tuple[int, ...] = ()  # of each sample
    calls: tuple[int, ...] = ()  # of each sample
    median_s: float | None = None
    interval_s: tuple[float, float] | None = None
    samples_per_s: float | None = None  # examples, not calls
    first_call_s: float | None = None
    second_call_s: float | None = None
    third_call_s: float | None = None
    peak_memory_bytes: int | None = None  # above what the import took
    cpu_per_wall: float | None = None  # CPUs kept busy, on average
    cpu_s: float | None = None  # CPU seconds of a call, all threads together
    series: str | None = None
    void_samples: int = 0
    threads: int = 0
    precision: str = "float32"


@dataclass(frozen=True)
class Record:
    """Everything known about one run."""

    header: Header
    environment: Environment
    proofs: tuple[Proved, ...] = ()
    curves: tuple[LossCurve, ...] = ()
    colds: tuple[Cold, ...] = ()
    first_calls: tuple[FirstCalls, ...] = ()
    warmups: tuple[Warmup, ...] = ()
    samples: tuple[Sample, ...] = ()
    outputs: tuple[Outputs, ...] = ()
    latencies: tuple[Latency, ...] = ()
    starts: tuple[Start, ...] = ()
    costs: tuple[Costs, ...] = ()
    saved: tuple[Saved, ...] = ()
    profiles: tuple[Profile, ...] = ()
    decisions: tuple[Decision, ...] = ()
    losses: tuple[Loss, ...] = ()
    failures: tuple[Failure, ...] = ()
    resumptions: tuple[Resumed, ...] = ()
    remarks: tuple[Remark, ...] = ()
    end: End | None = None  # None: it was killed, or goes on

    @property
    def interrupted(self) -> bool:
        """True if the run did not come to its end: Ctrl-C, or a manager that was killed."""
        return self.end is None or self.end.interrupted

    @property
    def conditions(self) -> tuple[tuple[int, str], ...]:
        """Threads and precision of every condition that was asked for."""
        return self.header.conditions or ((self.header.threads, "float32"),)

    def under(self, condition: int) -> Record:
        """What was found under one condition, as the record of a run that had no other."""
        if len(self.conditions) == 1:
            return self
        threads, precision = self.conditions[condition]
        of_it = {
            name: tuple(fact for fact in getattr(self, name) if fact.condition in (condition, None))
            for name in _UNDER_CONDITIONS
        }
        header = dataclasses.replace(self.header, threads=threads, conditions=((threads, precision),))
        kept = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return Record(**{**kept, **of_it, "header": header})

    def only(self, contestants: Collection[str]) -> Record:
        """What was found of some contestants, as the record of a run that had no other; with the A/A twin and its
        contestant's samples, which tell how much identical code differs."""
        twin_of = {sample.contestant for sample in self.samples if sample.twin}
        changed: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            facts = getattr(self, item.name)
            if isinstance(facts, tuple) and facts and hasattr(facts[0], "contestant"):
                wanted = {*contestants, *twin_of} if item.name == "samples" else {*contestants}
                changed[item.name] = tuple(fact for fact in facts if _contestant(fact.contestant) in wanted)
        names = tuple(name for name in self.header.contestants if name in contestants)
        return dataclasses.replace(self, header=dataclasses.replace(self.header, contestants=names), **changed)

    @property
    def processes(self) -> int:
        """How many processes of each contestant were timed."""
        return len({sample.process for sample in self.samples if sample.void is None})

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """One for every contestant, task and condition of the plan, failed and missing ones included."""
        from assay.measure.summary import measurements

        return measurements(self)


def _contestant(name: str) -> str:
    """A lost process of the twin is told under a name of its own."""
    return name.removesuffix(" (twin)")


# The fields of Record whose facts belong to a condition.
_UNDER_CONDITIONS = (
    "colds",
    "first_calls",
    "warmups",
    "samples",
    "outputs",
    "failures",
    "latencies",
    "starts",
    "costs",
    "profiles",
)
