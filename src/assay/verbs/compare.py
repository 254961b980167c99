"""`compare`: the main job. Bring, write, prove, measure, judge; the result is a set of facts to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import DataError
from assay.judge.outlook import outlook
from assay.measure import QUICK, Condition, Effort, Entry, Plan, Record, Task, devices, measure
from assay.measure import events as measuring
from assay.measure.plan import FLOAT32, allowed_cpus
from assay.model import Model
from assay.prove import Proof
from assay.show import facts
from assay.store.contents import PACKAGES
from assay.verbs import convert
from assay.verbs.contestants import Field, choose, names_of
from assay.verbs.curves import CurvePlan, curves_of, plan_curves
from assay.verbs.environments import choose_in, read_wanted
from assay.verbs.identity import model_digest, package_digest
from assay.verbs.precision import check_timed, withheld
from assay.verbs.proving import Written, save_all, write_all
from assay.verbs.recording import Recording
from assay.verbs.subject import Subject, subject_of
from assay.verbs.variants import Provers, Variant, measured, own_defaults

if TYPE_CHECKING:
    from assay.workloads.data import Dataset


class Watcher:
    """What `compare` tells while it runs; every method may be overridden. `assay.show.progress.Progress` fits."""

    def state(self, contestant: str, state: str, detail: str = "") -> None: ...
    def proof(self, proof: facts.Proof) -> None: ...
    def measurements(self, found: Sequence[facts.Measurement]) -> None: ...
    def samples(self, done: int, expected: int) -> None: ...
    def replicates(self, done: int, wanted: int, seconds_left: float, smallest: float | None) -> None: ...
    def notice(self, text: str) -> None: ...


@dataclass(frozen=True)
class Options:
    """What a user may choose about a comparison."""

    frameworks: tuple[str, ...] | None = None
    modes: tuple[str, ...] | None = None
    task: str = "both"  # "train", "infer" or "both"
    batch_sizes: tuple[int, ...] = ()  # none: the workload's; several: a sweep
    effort: Effort = QUICK
    threads: tuple[int, ...] = ()  # of each worker, each number measured on its own; none: all processors
    precisions: tuple[str, ...] = (FLOAT32,)  # float32, bfloat16, float64, each measured on its own
    seed: int = 0
    device: str = devices.CPU  # "cpu", "cuda", or "auto": cuda where there is one
    environments: tuple[str, ...] = ()  # "0.9=jax==0.9.*": releases to compare, each installed in an environment
    environments_file: Path | None = None  # the same as TOML: "0.9" = ["jax==0.9.*"]
    tell: Callable[[str], None] = lambda text: None  # of environments that are being made
    own_defaults: bool = False  # measure each framework with its own defaults too, beside the model's numbers
    curves: bool = True  # the loss curves of the first steps on real data
    keep: Path | None = None  # keep packages, logs and the raw record in this folder
    store: str | None = None  # the database for the result, as a URL or a path; None: $ASSAY_STORE, or the user's own
    stored: bool = True  # False: leave nothing behind
    command: str = "assay compare"


def compare(
    model: Model,
    options: Options | None = None,
    watch: Callable[[Field], Watcher] | None = None,
    recording: Recording | None = None,
) -> facts.Comparison:
    """Compares a model over the installed frameworks: a workload's on its real data, any other on random numbers.

    The run is kept in the result store (`assay.history()`), unless `options.stored` is False; a store that cannot be used
    costs nothing measured. `recording` says how it is kept instead of the options.
    Ctrl-C ends it early: what is finished is in the facts, and `interrupted` says so. Raises `FrameworkMissing` if no
    framework is installed and `DataError` if the batch size does not fit, or if training is to be timed of a model without
    a loss.
    """
    options = options or Options()
    began = time.monotonic()
    subject = subject_of(model, options.batch_sizes, options.seed)
    device, conditions = devices.choose(options.device, devices.cards()), _conditions(options)
    field = _field(options)
    variants = own_defaults(model, field) if options.own_defaults else ()
    field = replace(field, variants=measured(variants))
    watcher = watch(field) if watch is not None else Watcher()
    tasks = _tasks(model, options.task, subject)
    with recording or Recording(options.keep, options.store, options.stored) as kept:
        kept.begin(options.command, model.name, model_digest(model))
        data = _save_data(subject.dataset, kept.path)
        run = _Comparing(model, field, variants, kept, options, watcher, device, conditions)
        written = write_all(model, field.targets)
        record = run.measure(written, data, tasks, subject)
        comparison = convert.comparison(
            convert.Findings(
                model=model,
                subject=subject,
                field=field,
                written=written,
                proofs=run.prover.proofs,
                variants=variants,
                record=record,
                precisions=run.precisions,
                curves=curves_of(record, model, subject.dataset) if record else None,
                options_seed=options.seed,
                command=options.command,
                elapsed_s=time.monotonic() - began,
            )
        )
        kept.finish(comparison)
    return comparison


class _Comparing:
    """One run of proof and measurement."""

    def __init__(
        self,
        model: Model,
        field: Field,
        variants: tuple[Variant, ...],
        kept: Recording,
        options: Options,
        watcher: Watcher,
        device: str,
        conditions: tuple[Condition, ...],
    ) -> None:
        self.conditions = conditions
        self.device = device
        self.model, self.field, self.options, self.watcher = model, field, options, watcher
        self.kept, self.folder = kept, kept.path
        kept.renew("proof")
        self.variants = variants
        self.prover = Provers(model, field, variants, self.folder / "proof", options.seed, self._tell_proof)
        self.curves: CurvePlan | None = None
        self.precisions: tuple[facts.Precision, ...] = ()

    def measure(self, written: Written, data: Path, tasks: tuple[Task, ...], subject: Subject) -> Record | None:
        """Proves and times every contestant that could be written."""
        for target, reason in written.refused.items():
            for contestant in self.field.contestants:
                if contestant.target == target:
                    self.prover.main.keep(Proof(contestant.name, "not-run", reason))
                    self.watcher.state(contestant.name, "failed", reason)
        contestants = [item for item in self.field.contestants if item.target in written.packages]
        if not contestants:
            return None
        self.kept.renew(PACKAGES)
        own = {item.contestant.code: item.package for item in self.variants if item.package is not None}
        folders = save_all({**written.packages, **own}, self.folder / PACKAGES)
        contestants += self.field.variants
        digests = {target: package_digest(folder) for target, folder in folders.items()}
        self.kept.packages(digests)
        if self.options.curves and subject.is_real:
            names = [item.name for item in contestants]
            self.curves = plan_curves(self.model, subject.dataset, self.folder, subject.batch_size, names)
        plan = Plan(
            entries=tuple(Entry(item, folders[item.code], data) for item in contestants),
            folder=self.folder / "run",
            tasks=tasks,
            proving=self.prover.proving(),
            effort=self.options.effort,
            under=self.conditions,
            seed=self.options.seed,
            first_wave=tuple(name for name in self.field.first_wave if any(item.name == name for item in contestants)),
            curve=self.curves.request if self.curves is not None else None,
            device=self.device,
            environments=self.field.environments,
        )
        past = self.kept.past(digests, {item.name: item.code for item in contestants})
        record = measure(plan, prove=self.prover, on_event=self._tell, look=outlook, past=past)
        self.precisions = check_timed(record.only(names_of(self.field.contestants)), self.prover.main)
        for name, prover in self.prover.variants.items():
            check_timed(record.only((name,)), prover)
        if not record.interrupted:
            self.prover.explain()
        return withheld(record, self.precisions)

    def _tell_proof(self, proof: Proof) -> None:
        self.watcher.proof(convert.proof_facts(proof))

    def _tell(self, event: measuring.Event) -> None:
        match event:
            case measuring.StateChanged(contestant, state, detail):
                self.watcher.state(contestant, state, detail)
            case measuring.SampleTaken(_, done, expected):
                self.watcher.samples(done, expected)
            case measuring.ReplicateDone(done, wanted, seconds_left, smallest):
                self.watcher.replicates(done, wanted, seconds_left, smallest)
            case measuring.RowsReady(measurements, _):
                self.watcher.measurements([convert.measurement_facts(item) for item in measurements])
            case measuring.Notice(text):
                self.watcher.notice(text)
            case _:
                pass


def _tasks(model: Model, task: str, subject: Subject) -> tuple[Task, ...]:
    """What is timed; of a model that brings no loss, inference only."""
    if task == "train" and model.training is None:
        raise DataError(
            f"{model.name} has no loss, so no training of it can be timed: give one, as --loss cross-entropy"
        )
    trains = task in ("train", "both") and model.training is not None
    train = tuple(Task("train", size) for size in subject.train_sizes) if trains else ()
    infer = tuple(Task("infer", size) for size in subject.sizes) if task in ("infer", "both") else ()
    return (*train, *infer)


def _field(options: Options) -> Field:
    """Who takes part, and the environments that were made for them."""
    wanted, here = read_wanted(options.environments, options.environments_file)
    if not wanted:
        return choose(options.frameworks, options.modes)
    return choose_in(wanted, here, options.frameworks, options.modes, options.tell)


def _conditions(options: Options) -> tuple[Condition, ...]:
    """Every number of threads with every precision, the first of each first."""
    threads = options.threads or (len(allowed_cpus()),)
    for what, given in (("number of threads", threads), ("precision", options.precisions)):
        if len(set(given)) < len(given):
            raise DataError(f"a {what} is given twice: {', '.join(map(str, given))}")
    return tuple(Condition(count, precision) for precision in options.precisions for count in threads)


def _save_data(dataset: Dataset, folder: Path) -> Path:
    from assay.workloads.data import save_arrays

    path = folder / "data.safetensors"
    save_arrays(dataset, path)
    return path
