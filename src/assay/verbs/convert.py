"""From the results of the stages to the facts that are shown: other types with the same meaning."""

from __future__ import annotations

import io
import statistics
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast, get_args

import numpy as np

from assay import __version__
from assay.frameworks import find, frameworks, installed_versions
from assay.frameworks import target as find_target
from assay.judge import TaskVerdict as JudgedTask
from assay.judge import Verdict as Judged
from assay.judge import judge
from assay.measure import Record, caches
from assay.measure.effort import describe
from assay.measure.pace import ENDED
from assay.measure.record import Cold
from assay.measure.record import Measurement as Measured
from assay.model import Model, shape_of
from assay.nn.optimizers import Constant, Optimizer
from assay.prove import Proof
from assay.show import facts
from assay.verbs.contestants import Field, names_of
from assay.verbs.passes import extras
from assay.verbs.proving import Written
from assay.verbs.subject import Subject
from assay.verbs.variants import Variant, own_defaults_facts


@dataclass(frozen=True)
class Findings:
    """Everything that a comparison found out, as the stages handed it over."""

    model: Model
    subject: Subject
    field: Field
    written: Written
    proofs: Mapping[str, Proof]
    variants: Sequence[Variant]
    record: Record | None
    precisions: tuple[facts.Precision, ...]
    curves: facts.TrainingEquality | None
    options_seed: int
    command: str
    elapsed_s: float


def comparison(found: Findings) -> facts.Comparison:
    """All facts of a comparison. What was measured of variants is told apart: they are no part of the verdict."""
    contestants = names_of(found.field.contestants)
    whole = found.record
    record = whole.only(contestants) if whole is not None and found.variants else whole
    found = replace(found, record=record)
    code = code_facts(found.written)
    return facts.Comparison(
        assay=__version__,
        format=facts.FORMAT,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=found.command,
        effort=_effort(record),
        elapsed_s=found.elapsed_s,
        interrupted="Ctrl-C" if record is not None and record.interrupted else None,
        workload=_workload(found),
        environment=_environment(record),
        contestants=contestants,
        missing=tuple(facts.Missing(item.target, item.reason, item.command) for item in found.field.absent),
        proofs=tuple(_proof_of(name, found) for name in contestants),
        measurements=tuple(measurement_facts(item) for item in record.measurements) if record is not None else (),
        cold_starts=cold_starts(record),
        precisions=found.precisions,
        environments=tuple(
            facts.NamedEnvironment(item.name, item.requirements, dict(item.versions))
            for item in found.field.environments
        ),
        **(extras(record) if record is not None else {}),
        code=code,
        training=found.curves,
        verdict=_verdict(record, found, code),
        own_defaults=_own_defaults(whole, found),
    )


def _own_defaults(record: Record | None, found: Findings) -> tuple[facts.OwnDefaults, ...]:
    if record is None:
        return ()
    names = (name for item in found.variants for name in (item.contestant.name, item.beside))
    proofs = {name: _proof_of(name, found) for name in names}
    return own_defaults_facts(found.variants, record, proofs)


def proof_facts(proof: Proof) -> facts.Proof:
    """A proof as it is shown."""
    worst = proof.worst
    return facts.Proof(
        proof.contestant,
        cast("facts.ProofStatus", proof.status),
        facts.Worst(worst.check, worst.tensor, worst.error) if worst is not None else None,
        proof.reason,
        tuple(
            facts.Check(
                item.check,
                cast("facts.ProofStatus", item.status),
                item.tensors,
                item.tensor,
                item.error,
                item.tolerance,
                item.reason,
            )
            for item in proof.checks
        ),
        facts.Divergence(**vars(proof.divergence)) if proof.divergence is not None else None,
        proof.allowances,
        proof.reduced,
    )


def _proof_of(name: str, found: Findings) -> facts.Proof:
    """A contestant's proof; for one that never came to it, the reason that the record has."""
    if name in found.proofs:
        return proof_facts(found.proofs[name])
    failures = {item.contestant: item.reason for item in found.record.failures} if found.record is not None else {}
    return facts.Proof(name, "not-run", reason=failures.get(name, "interrupted before its proof"))


def measurement_facts(item: Measured) -> facts.Measurement:
    """A measurement as it is shown."""
    return facts.Measurement(
        contestant=item.contestant,
        task=cast("facts.Task", item.task),
        batch_size=item.batch_size,
        status=cast("facts.MeasurementStatus", item.status),
        reason=item.reason,
        median_s=item.median_s,
        interval_s=item.interval_s,
        samples_per_s=item.samples_per_s,
        first_call_s=item.first_call_s,
        second_call_s=item.second_call_s,
        third_call_s=item.third_call_s,
        peak_memory_bytes=item.peak_memory_bytes,
        samples_s=item.samples_s,
        calls=item.calls,
        blocks=item.blocks,
        processes=item.processes,
        void_samples=item.void_samples,
        cpu_per_wall=item.cpu_per_wall,
        cpu_s=item.cpu_s,
        series=item.series,
        threads=item.threads,
        precision=cast("facts.PrecisionName", item.precision),
    )


def code_lines(text: str) -> int:
    """Lines of Python that are neither blank, nor comment, nor docstring."""
    counted: set[int] = set()
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        docstring = token.type == tokenize.STRING and previous in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in skipped and not docstring:
            counted.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            previous = token.type
    return len(counted)


def code_facts(written: Written) -> tuple[facts.WrittenCode, ...]:
    """The written packages with their sizes."""
    found = []
    for name, package in written.packages.items():
        chosen = find_target(name)
        title = find(chosen.framework).title
        backend = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(chosen.backend or "")
        train = package.files.get("train.py")
        found.append(
            facts.WrittenCode(
                name,
                f"{title} on {backend}" if backend else title,
                tuple(facts.SourceFile(file, text) for file, text in package.files.items()),
                code_lines(package.files["model.py"]),
                code_lines(train) if train is not None else None,
                sum(map(len, package.files.values())),
            )
        )
    return tuple(found)


def _effort(record: Record | None) -> facts.Effort:
    if record is None:
        return facts.Effort("quick", "nothing was measured", 0)
    effort = record.header.effort
    processes = min(record.under(condition).processes for condition in range(len(record.conditions)))
    ended = tuple(item.text for item in record.decisions if item.text.startswith(ENDED))
    label = describe(processes) if processes else "nothing was measured"
    return facts.Effort(effort["name"], label, processes, None, bool(effort.get("own_twin")), ended)


def _environment(record: Record | None) -> facts.Environment:
    from assay.measure.environment import environment

    machine = record.environment if record is not None else environment(threads=0)
    names = [name for framework in frameworks().values() for name in framework.distributions]
    versions = installed_versions([*names, "numpy", "onnx", "onnx-ir"])
    versions |= dict(machine.versions)
    return facts.Environment(**{**vars(machine), "device": device(record), "versions": versions})


def device(record: Record | None) -> str:
    """What all contestants computed on or, where they differ, each device with those that did."""
    by_device: dict[str, list[str]] = {}
    found = {cold.contestant: cold.device for cold in record.colds if not cold.process} if record is not None else {}
    for name in record.header.contestants if record is not None else ():
        if name in found:
            by_device.setdefault(found[name], []).append(name)
    if len(by_device) <= 1:
        return next(iter(by_device), "cpu")
    return "; ".join(f"{device} ({', '.join(names)})" for device, names in by_device.items())


def _workload(found: Findings) -> facts.Workload:
    model, training, subject = found.model, found.model.training, found.subject
    parameters = sum(
        int(np.prod(value.const_value.shape.numpy())) for value in model.parameters() if value.const_value is not None
    )
    targets, dataset = subject.dataset.train.targets, subject.dataset
    inputs = tuple(facts.TensorShape(v.name or "", shape_of(v), str(v.dtype).lower()) for v in model.graph.inputs)
    return facts.Workload(
        name=model.name,
        title=subject.title,
        description=subject.description,
        parameters=parameters,
        inputs=inputs,
        target=facts.TensorShape(model.target, ("batch", *targets.shape[1:]), str(targets.dtype)) if training else None,
        loss=_words(type(training.loss).__name__).lower() if training else None,
        optimizer=describe_optimizer(training.optimizer) if training else None,
        metric=training.metric if training and subject.is_real else None,
        batch_size=subject.batch_size,
        train_examples=len(dataset.train) if subject.is_real else None,
        test_examples=len(dataset.test) if subject.is_real else None,
        data_source=f"{dataset.source}; {dataset.licence}" if subject.is_real else dataset.source,
        seed=found.options_seed,
    )


def _words(name: str) -> str:
    """`CrossEntropy` → `Cross-Entropy`."""
    return "".join(
        f"-{letter}" if letter.isupper() and place and not name[place - 1].isupper() else letter
        for place, letter in enumerate(name)
    )


def describe_optimizer(optimizer: Optimizer) -> str:
    """`SGD, learning rate 0.05, momentum 0.9, cosine schedule`."""
    parts = [type(optimizer).__name__]
    for name, value in vars(optimizer).items():
        label = name.replace("_", " ")
        if name == "schedule":
            parts.extend([] if isinstance(value, Constant) else [f"{type(value).__name__.lower()} schedule"])
        elif isinstance(value, bool):
            parts.extend([label] if value else [])
        elif value:
            parts.append(f"{label} {value:g}")
    return ", ".join(parts)


def cold_starts(record: Record | None) -> tuple[facts.ColdStart, ...]:
    """How each contestant starts, an entry for each state of the compile cache that its processes met, cold ones first."""
    if record is None:
        return ()
    first = record.under(0)
    found: dict[tuple[str, str], list[facts.ColdStart]] = {}
    for cold in first.colds:
        if cold.contestant in record.header.contestants:  # no twin
            start = _cold_start(first, cold)
            found.setdefault((cold.contestant, start.compile_cache or "none"), []).append(start)
    states = list(get_args(facts.CompileCache))
    names = list(record.header.contestants)
    ordered = sorted(found, key=lambda key: (names.index(key[0]), states.index(key[1])))
    return tuple(_median_start(found[key]) for key in ordered)


def _cold_start(record: Record, cold: Cold) -> facts.ColdStart:
    """The start of one process."""
    first = [item for item in record.first_calls if (item.contestant, item.process) == (cold.contestant, cold.process)]
    train = next((item.wall_s[0] for item in first if item.task == "train"), None)
    infer = next((item.wall_s[0] for item in first if item.task == "infer"), None)
    beside = cold.beside or any(item.beside for item in first)
    cache = caches.state(*map(sum, zip(cold.cache, *(item.cache for item in first), strict=True)))
    return facts.ColdStart(cold.contestant, cold.import_s, cold.build_s, train, infer, cache, beside)


def _median_start(starts: list[facts.ColdStart]) -> facts.ColdStart:
    def median(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return replace(
        starts[0],
        import_s=median(start.import_s for start in starts),
        build_s=median(start.build_s for start in starts),
        first_step_s=median(start.first_step_s for start in starts),
        first_inference_s=median(start.first_inference_s for start in starts),
        beside_others=any(start.beside_others for start in starts),
        processes=len(starts),
    )


def _verdict(record: Record | None, found: Findings, code: tuple[facts.WrittenCode, ...]) -> facts.Verdict:
    if record is None:
        return facts.Verdict("withheld", "nothing was measured")
    sizes = {item.target: item.model_lines + (item.train_lines or 0) for item in code}
    lines = {item.name: sizes[item.target] for item in found.field.contestants if item.target in sizes}
    return verdict_facts(judge(record, code_lines=lines))


def verdict_facts(judged: Judged) -> facts.Verdict:
    """A verdict as it is shown."""
    tasks = tuple(
        facts.TaskVerdict(
            task=cast("facts.Task", item.task),
            batch_size=item.batch_size,
            ranking=tuple(
                facts.Standing(
                    s.contestant, s.median_s, s.ratio, s.ratio_interval, cast("facts.Relation", _dashed(s.relation))
                )
                for s in item.ranking
            ),
            winner=item.winner,
            statement=item.statement,
            smallest_difference=item.smallest_difference,
            comparisons=tuple(
                facts.Pair(
                    pair.a,
                    pair.b,
                    pair.ratio,
                    pair.interval,
                    cast("facts.Outcome", _dashed(pair.outcome)),
                    pair.blocks,
                    pair.p_value,
                )
                for pair in item.comparisons
            ),
            twin=_twin(item),
            threads=item.threads,
            precision=cast("facts.PrecisionName", item.precision),
        )
        for item in judged.tasks
    )
    found = tuple(
        facts.Recommendation(item.purpose.value, item.contestant, item.statement, item.reasons, item.would_change)
        for item in judged.recommendations
    )
    status = "given" if judged.status == "given" else "withheld"
    return facts.Verdict(cast("Any", status), judged.reason, judged.indicative, tasks, found, judged.notes)


def _twin(judged: JudgedTask) -> facts.Twin | None:
    pair = judged.twins
    if pair is None or judged.twin_of is None:
        return None
    return facts.Twin(judged.twin_of, pair.ratio, pair.interval, pair.processes, pair.excludes_zero)


def _dashed(text: Any) -> str:
    return str(getattr(text, "value", text)).replace(" ", "-")
