"""Everything a comparison found out, as frozen data: what terminal, HTML, notebook and JSON are rendered from.

Units are in the names: `_s` seconds, `_bytes` bytes. A fact that is not known is None, never a made-up number; a list
that is not known is empty. `Comparison.to_json()` writes the layout described by `schema/comparison.schema.json`, which
docs/json.md explains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.errors import DataError
from assay.show.codec import decode, encode

FORMAT = 1  # of the JSON; grows when a reader of the older layout would be misled

ProofStatus = Literal["equal", "different", "not-run"]
MeasurementStatus = Literal["ok", "failed", "not-run"]
Task = Literal["train", "infer"]
Relation = Literal["fastest", "slower", "equivalent", "not-resolved"]
Outcome = Literal["faster", "slower", "equivalent", "not-resolved"]
PrecisionName = Literal["float32", "bfloat16", "float64"]
CompileCache = Literal["cold", "warm", "mixed", "none"]  # none: nothing is kept on disk


@dataclass(frozen=True)
class TensorShape:
    """An input or the target of the model: `("batch", 8, 8)`, `float32`."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True)
class Workload:
    """What was compared: a model, its training and its data."""

    name: str
    title: str
    description: str
    parameters: int  # trainable scalars
    inputs: tuple[TensorShape, ...]
    target: TensorShape | None
    loss: str | None  # in words: "cross-entropy"
    optimizer: str | None  # "Adam, learning rate 0.001"
    metric: str | None  # "accuracy"
    batch_size: int
    train_examples: int | None
    test_examples: int | None
    data_source: str | None  # where the data comes from, with its licence
    seed: int


@dataclass(frozen=True)
class Environment:
    """The machine and what ran on it, as found before the first measurement."""

    operating_system: str
    python: str  # "CPython 3.11.9"
    machine: str  # "x86_64"
    cpu: str  # its model
    cpus: int  # logical processors of the machine
    allowed: tuple[int, ...]  # the processors that assay may use
    used: tuple[int, ...]  # the processors that workers are kept to; empty: any
    device: str  # "cpu", or the name of the accelerator
    threads: int  # intra-operator threads of each worker
    governor: str | None  # of the processor's frequency
    cpu_quota: float | None  # processors that the container may use at a time
    memory_bytes: int | None
    available_bytes: int | None  # memory that was free
    load: float | None  # runnable processes, averaged over the last minute, before the start
    steal_ticks: int | None  # time that a hypervisor took from this machine, since it started
    virtual: bool | None  # under a hypervisor
    versions: Mapping[str, str] = field(default_factory=dict)  # distribution → version
    flags: Mapping[str, str] = field(default_factory=dict)  # environment variables and switches that change speed
    notes: tuple[str, ...] = ()  # what a reader should know: a busy machine, a slow governor
    accelerators: tuple[str, ...] = ()  # name, memory and driver of each, whether it was used or not
    energy: str = ""  # the counters of energy, or why there are none


@dataclass(frozen=True)
class Effort:
    """How hard the measurement tried, and how far its figures can be trusted."""

    name: Literal["quick", "standard", "rigorous"]
    label: str  # "indicative, one process per contestant"
    processes: int  # replicates per contestant
    smallest_difference: float | None = None  # relative difference that an A/A pair shows by chance
    own_twin: bool = False  # the A/A twin had a process of its own; else it shows the noise within a process only
    ended: tuple[str, ...] = ()  # why no more processes were measured


@dataclass(frozen=True)
class Worst:
    """The largest deviation a proof found."""

    check: str  # "gradients"
    tensor: str  # the path of the parameter, or the name of the output
    error: float  # relative, in float64


@dataclass(frozen=True)
class Check:
    """One kind of thing compared in float64: outputs, loss, gradients, steps, statistics, dropout."""

    check: str
    status: ProofStatus
    tensors: int  # how many arrays were compared
    tensor: str | None  # the one that deviates most
    error: float | None
    tolerance: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Divergence:
    """The first node whose value differs, and the line that computes it."""

    node: str
    operator: str
    error: float
    file: str | None = None
    line: int | None = None
    source: str | None = None
    reference: str | None = None  # the same node's line as written in a framework that is proven equal
    module: str | None = None  # the module of the source around it: its path and class
    expected: float | None = None  # the element that is furthest off, as the float64 oracle has it
    found: float | None = None  # and as the contestant has it
    index: tuple[int, ...] = ()  # which element that is
    origin: str | None = None  # the line of the user's own code, as `net.py:14: x = torch.tanh(x)`


@dataclass(frozen=True)
class Proof:
    """Whether a contestant computes the same function, in its own mode."""

    contestant: str
    status: ProofStatus
    worst: Worst | None = None
    reason: str | None = None  # why it is different or was not run
    checks: tuple[Check, ...] = ()
    divergence: Divergence | None = None
    allowances: tuple[str, ...] = ()  # operators whose float64 is less than float64 there, with the error allowed
    reduced: str | None = None  # what the proof was made smaller in, because the model is large


@dataclass(frozen=True)
class Measurement:
    """The speed of one contestant at one task. `samples_s` are seconds per call: means of the sample's `calls`."""

    contestant: str
    task: Task
    batch_size: int
    status: MeasurementStatus
    reason: str | None = None  # why there is no figure, or what to know about it
    median_s: float | None = None
    interval_s: tuple[float, float] | None = None
    samples_per_s: float | None = None  # examples per second: batch_size / median_s
    first_call_s: float | None = None  # compilation included
    second_call_s: float | None = None
    third_call_s: float | None = None
    peak_memory_bytes: int | None = None
    samples_s: tuple[float, ...] = ()
    calls: tuple[int, ...] = ()  # of each sample
    blocks: tuple[int, ...] = ()  # of each sample: those of one block, from different contestants, are pairs
    processes: tuple[int, ...] = ()  # of each sample: the replicate that it comes from
    void_samples: int = 0  # taken and not counted: something was compiled meanwhile
    cpu_per_wall: float | None = None  # processors kept busy, on average
    series: str | None = None  # "flat", "warming", "slowing", "no steady state"
    cpu_s: float | None = None  # CPU seconds of a call, all threads together
    threads: int = 0  # of its process
    precision: PrecisionName = "float32"  # that it computed in


@dataclass(frozen=True)
class Precision:
    """How a contestant computed in a precision, and how far its timed outputs are from the float64 truth."""

    contestant: str
    precision: PrecisionName
    threads: int
    status: ProofStatus  # equal: as near as this precision comes, by the reference's distance
    arithmetic: str  # how the precision was got: "torch.autocast(bfloat16) around the forward pass and the loss"
    distance: float | None = None  # largest relative distance of an output to float64
    limit: float | None = None  # distance allowed
    reason: str | None = None


@dataclass(frozen=True)
class ColdStart:
    """What passes before the first trained step of a fresh process; an entry for each state of the compile cache."""

    contestant: str
    import_s: float | None = None
    build_s: float | None = None  # model.py's load()
    first_step_s: float | None = None  # first training step, compilation included
    first_inference_s: float | None = None
    compile_cache: CompileCache | None = None  # whether the programs that it needed were on disk: all, none, some
    beside_others: bool = False  # other workers ran meanwhile: an upper bound
    processes: int = 1  # how many started so; the figures are their medians


@dataclass(frozen=True)
class NamedEnvironment:
    """Packages that contestants ran with: those of `pytorch@NAME:eager`."""

    name: str
    requirements: tuple[str, ...]  # as they were asked for
    versions: Mapping[str, str]  # distribution → version, of all that is installed there


@dataclass(frozen=True)
class Percentile:
    """A percentile of single calls."""

    percent: int
    value_s: float  # of the calls that were seen
    upper_s: float  # with 95 % confidence the true percentile is not above it (an order statistic)


@dataclass(frozen=True)
class Latency:
    """Single predictions, each timed alone, in a pass of their own; only percentiles that so many calls can bound."""

    contestant: str
    batch_size: int
    threads: int
    precision: PrecisionName
    percentiles: tuple[Percentile, ...]  # the 50th from 5 calls, the 90th from 29, the 95th from 59, the 99th from 299
    times_s: tuple[float, ...]  # of every call, in order
    waited: float | None  # seconds that its threads, all together, were ready and had no processor


@dataclass(frozen=True)
class Start:
    """How a fresh process starts when no other worker runs."""

    contestant: str
    task: Task  # whose first call was made
    batch_size: int
    compile_cache: CompileCache
    import_s: float
    build_s: float  # model.py's load()
    compile_s: float  # what the first call takes longer than a later one
    first_call_s: float  # compilation included


@dataclass(frozen=True)
class Costs:
    """What a task takes besides time, in a fresh process that does nothing else. Memory is above what the import takes."""

    contestant: str
    task: Task
    batch_size: int
    threads: int
    precision: PrecisionName
    first_memory_bytes: int | None  # at most, during the first calls, compilation included
    steady_memory_bytes: int | None  # at most, during later calls
    device_memory_bytes: int | None  # the most that the accelerator's allocator gave out; null on a CPU
    joules_per_call: float | None  # of whole processors and cards, whoever else used them
    energy_source: str  # the counters, or why there are none


@dataclass(frozen=True)
class Part:
    """A part of the time of a call: kinds of operators, or "dispatch and Python", in which nothing is computed."""

    name: str
    seconds: float  # share of the profiled call, times the median of the timed ones


@dataclass(frozen=True)
class ProfiledOperator:
    """One operator, by the framework's own name."""

    name: str
    kind: str  # the part that it belongs to
    seconds: float
    count: float  # times a call runs it


@dataclass(frozen=True)
class Attribution:
    """Where the time of a contestant's calls goes, by its framework's own profiler, in a process of its own."""

    contestant: str
    task: Task
    batch_size: int
    parts: tuple[Part, ...]  # the largest first; they add up to median_s
    operators: tuple[ProfiledOperator, ...]  # the largest
    slowed: float  # how many times longer a call took while it was profiled
    slower_than: str | None  # the fastest contestant at the task; null for itself
    statement: str  # where the difference to the fastest comes from, in a sentence


@dataclass(frozen=True)
class Artefact:
    """What a contestant's framework itself saves of the model."""

    contestant: str
    format: str | None  # "SavedModel"; null where it cannot be saved
    size_bytes: int | None
    weights_bytes: int | None  # of weights.safetensors in the written package
    reason: str | None = None  # why it cannot be saved


@dataclass(frozen=True)
class SourceFile:
    """A written file."""

    name: str
    text: str


@dataclass(frozen=True)
class WrittenCode:
    """The written package of one target, `keras/jax`; all modes of a target share it."""

    target: str
    title: str  # "Keras on JAX"
    files: tuple[SourceFile, ...]
    model_lines: int  # lines of model.py that are neither blank nor comment
    train_lines: int | None
    characters: int = 0  # of all files


@dataclass(frozen=True)
class Curve:
    """How a contestant's float32 training went on real data, from the same weights with the same batches."""

    contestant: str
    status: ProofStatus
    losses: tuple[float, ...] = ()
    distance: float | None = None  # largest relative distance to the float64 curve
    metric: float | None = None  # on test examples, after these steps
    reason: str | None = None


@dataclass(frozen=True)
class TrainingEquality:
    """The loss curves of all contestants beside the float64 curve."""

    steps: int
    truth: tuple[float, ...]  # float64
    truth_contestant: str
    reference: str  # the contestant whose float32 distance sets the limit
    limit: float | None  # distance allowed: twice the reference's
    curves: tuple[Curve, ...]
    metric: str | None = None
    metric_goal: float | None = None
    metric_examples: int | None = None  # how many test examples it was computed on


@dataclass(frozen=True)
class Standing:
    """A place in the ranking of one task; ratios are times over the best's."""

    contestant: str
    median_s: float
    ratio: float
    ratio_interval: tuple[float, float] | None
    relation: Relation


@dataclass(frozen=True)
class Pair:
    """Two contestants compared sample by sample, within the rounds they share: `ratio` is a's time over b's."""

    a: str
    b: str
    ratio: float
    interval: tuple[float, float] | None
    outcome: Outcome  # what a is to b
    blocks: int  # rounds, or processes, that were paired
    p_value: float | None = None  # adjusted for the number of pairs


@dataclass(frozen=True)
class Twin:
    """Identical code against itself: the baseline's A/A twin, over the baseline. Whatever it shows, nothing differs."""

    contestant: str
    ratio: float
    interval: tuple[float, float]
    processes: int
    different: bool  # the interval leaves out 1: a difference would have been seen where there is none


@dataclass(frozen=True)
class TaskVerdict:
    """Who is fastest at one task, and whether that is settled."""

    task: Task
    batch_size: int
    ranking: tuple[Standing, ...]  # fastest first; only contestants proven equal
    winner: str | None  # None while the first is not separated from the second
    statement: str  # the same in a sentence
    smallest_difference: float | None = None  # relative difference below which nothing is told
    comparisons: tuple[Pair, ...] = ()  # every pair, the faster first
    twin: Twin | None = None
    threads: int = 0
    precision: PrecisionName = "float32"


@dataclass(frozen=True)
class Recommendation:
    """What to take for a purpose, and why."""

    purpose: str  # overall, training, inference latency, inference throughput, cold start, memory, code size
    contestant: str | None  # None where the measurements do not tell
    statement: str
    reasons: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()  # what would make it another


@dataclass(frozen=True)
class Verdict:
    """What the measurements say; `withheld` when they cannot say anything."""

    status: Literal["given", "withheld"] = "given"
    reason: str | None = None  # why it is withheld
    indicative: bool = True  # too few processes for a finding that holds elsewhere
    tasks: tuple[TaskVerdict, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()  # overall first, then by purpose
    notes: tuple[str, ...] = ()

    @property
    def overall(self) -> Recommendation | None:
        """What to take without a special wish."""
        return next((found for found in self.recommendations if found.purpose == "overall"), None)

    @property
    def by_purpose(self) -> tuple[Recommendation, ...]:
        """What to take for a special wish."""
        return tuple(found for found in self.recommendations if found.purpose != "overall")


@dataclass(frozen=True)
class OwnSpeed:
    """The time of a task with a framework's own defaults over that with the model's numbers: `ratio`."""

    task: Task
    batch_size: int
    ratio: float
    interval: tuple[float, float] | None
    outcome: Outcome  # what the framework's own defaults are to the model's numbers


@dataclass(frozen=True)
class OwnDefaults:
    """A framework's version of the model with its own defaults: other maths, so it takes no part in the verdict."""

    contestant: str  # "pytorch+own:eager"
    beside: str  # the contestant with the model's own numbers
    changes: tuple[str, ...]  # "BatchNormalization: epsilon 0.001 (3 times)"
    proof: Proof  # that it computes its own numbers' function
    speeds: tuple[OwnSpeed, ...] = ()
    last_loss: float | None = None  # of the first steps on real data
    last_loss_beside: float | None = None  # with the model's own numbers
    steps: int = 0  # how many steps those were


@dataclass(frozen=True)
class Missing:
    """A framework that was asked for and could not take part."""

    framework: str
    reason: str
    command: str | None = None  # that installs it


@dataclass(frozen=True)
class Comparison:
    """One comparison, whole or as far as it came."""

    assay: str  # version
    format: int
    date: str  # ISO 8601 with time zone
    command: str  # that runs it again
    effort: Effort
    elapsed_s: float | None
    interrupted: str | None  # what cut it short, in words
    workload: Workload
    environment: Environment
    contestants: tuple[str, ...]  # in the order they were asked for
    missing: tuple[Missing, ...]
    proofs: tuple[Proof, ...]
    measurements: tuple[Measurement, ...]
    cold_starts: tuple[ColdStart, ...]
    code: tuple[WrittenCode, ...]
    training: TrainingEquality | None
    verdict: Verdict
    precisions: tuple[Precision, ...] = ()
    latencies: tuple[Latency, ...] = ()
    starts: tuple[Start, ...] = ()
    costs: tuple[Costs, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    environments: tuple[NamedEnvironment, ...] = ()
    attributions: tuple[Attribution, ...] = ()
    own_defaults: tuple[OwnDefaults, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dictionaries, strings and numbers, as the JSON Schema describes them."""
        plain: dict[str, Any] = encode(self)
        return plain

    def to_json(self, indent: int | None = 1) -> str:
        """Strict JSON: a number that is not finite becomes the string "NaN", "Infinity" or "-Infinity"."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from assay.show.notebook import fragment

        return fragment(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Comparison:
        if plain.get("format") != FORMAT:
            raise DataError(
                f"format {plain.get('format')!r} of a comparison is not known to this assay, which reads {FORMAT}"
            )
        return decode(cls, plain)

    @classmethod
    def from_json(cls, text: str | bytes) -> Comparison:
        """Reads what `to_json` wrote; DataError says which field does not fit."""
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise DataError(f"not JSON: {error}; expected a file that `assay compare --json FILE` wrote") from error
        if not isinstance(plain, dict):
            raise DataError("not a comparison: expected a file that `assay compare --json FILE` wrote")
        return cls.from_dict(plain)
