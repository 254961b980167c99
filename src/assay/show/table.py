"""The facts as one table: a row per contestant, a column per question. Terminal, HTML and notebook draw the same one.

No figure of a contestant that is not proven equal gets into a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assay.show import words
from assay.show.facts import (
    ColdStart,
    Comparison,
    Measurement,
    Proof,
    Recommendation,
    Standing,
    TaskVerdict,
    WrittenCode,
)

INTERRUPTED = "interrupted"
ConditionKey = tuple[int, str]  # threads, precision


@dataclass(frozen=True)
class Cell:
    """A figure: its text in the column's unit, and what makes it comparable."""

    text: str = words.NOTHING
    value: float | None = None  # to sort by; lower is better in every column
    spread: str = ""  # "±2%"
    ratio: float | None = None  # to the best of the column
    best: bool = False
    tied: bool = False  # not separated from the best
    note: str = ""  # the parts of the figure, or why there is none


@dataclass(frozen=True)
class Column:
    """A question: `training step`, `batch 64, ms`."""

    key: str
    heading: str
    detail: str
    meaning: str  # a sentence for tooltips and legends
    timed: bool = False  # measured in rounds: has spread, ratio and bar


@dataclass(frozen=True)
class Row:
    """A contestant's answers."""

    contestant: str
    status: str  # of the proof: equal, different, not-run
    proof: str  # "equal 3e-13"
    allowances: tuple[str, ...] = ()
    cells: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]  # fastest first, those without figures last

    @property
    def timed(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.timed)


Filled = tuple[Column, dict[str, Cell]]  # a column, and its cells by contestant


@dataclass(frozen=True)
class Problem:
    """Something that kept a contestant or a framework from being counted."""

    subject: str
    text: str
    details: str = ""


def table_of(comparison: Comparison) -> Table:
    """The table of a comparison, with only the columns that some contestant has a figure for.

    It is that of the first condition (threads, precision) and of the main batch sizes; `sections_of` has the others.
    """
    equal = proven(comparison)
    timed = timed_columns(comparison, equal, conditions_of(comparison)[0], main_only=True)
    return made_of(comparison, [*timed, *_cost_columns(comparison, equal)])


def proven(comparison: Comparison) -> list[str]:
    """The contestants that have figures: those proven equal."""
    equal = {proof.contestant for proof in comparison.proofs if proof.status == "equal"}
    return [name for name in comparison.contestants if name in equal]


def conditions_of(comparison: Comparison) -> list[ConditionKey]:
    """Threads and precision of every condition measured, in order; the environment's threads where nothing was."""
    found = dict.fromkeys((m.threads, m.precision) for m in comparison.measurements)
    return list(found) or [(comparison.environment.threads, "float32")]


def main_verdicts(comparison: Comparison) -> tuple[TaskVerdict, ...]:
    """The verdicts on what the main table shows; `sections_of` tells the others."""
    main, keys = conditions_of(comparison)[0], {column.key for column in table_of(comparison).timed}
    of_main = [v for v in comparison.verdict.tasks if (v.threads, v.precision) == main]
    shown = tuple(v for v in of_main if f"{v.task}-{v.batch_size}" in keys)
    return shown or tuple(of_main)


def made_of(comparison: Comparison, filled: Sequence[Filled]) -> Table:
    """A table of these columns, with a row for every contestant."""
    proofs = {proof.contestant: proof for proof in comparison.proofs}
    rows = [
        Row(
            name,
            proofs[name].status if name in proofs else "not-run",
            proof_text(proofs.get(name)),
            proofs[name].allowances if name in proofs else (),
            {column.key: cells.get(name, Cell()) for column, cells in filled},
        )
        for name in comparison.contestants
    ]
    columns = tuple(column for column, _ in filled)
    return Table(columns, tuple(sorted(rows, key=lambda row: _rank(row, columns))))


def proof_text(proof: Proof | None) -> str:
    """`equal 3e-13`, `different`, `not run`."""
    if proof is None or proof.status == "not-run":
        return "not run"
    if proof.status == "different":
        return "different"
    return f"equal {words.error(proof.worst.error)}" if proof.worst else "equal"


def _rank(row: Row, columns: tuple[Column, ...]) -> tuple[int, tuple[float, ...]]:
    order = {"equal": 0, "different": 1}.get(row.status, 2)
    values = (row.cells[column.key].value for column in columns if column.timed)
    return order, tuple(math.inf if value is None else value for value in values)


# ---------------------------------------------------------------- timed columns


def timed_columns(
    comparison: Comparison, equal: list[str], condition: ConditionKey, *, main_only: bool
) -> Iterable[Filled]:
    """A column for each task and batch size under a condition.

    `main_only`: of a sweep over batch sizes, training at the workload's and inference at the smallest and that one.
    """
    under = [m for m in comparison.measurements if (m.threads, m.precision) == condition]
    kinds = sorted({(m.task != "train", m.batch_size, m.task) for m in under})
    if main_only:
        kept = {comparison.workload.batch_size, min((size for _, size, _ in kinds), default=0)}
        kinds = [kind for kind in kinds if kind[1] in (kept if kind[0] else {comparison.workload.batch_size})] or kinds
    for _, batch_size, task in kinds:
        found = [m for m in under if (m.task, m.batch_size) == (task, batch_size)]
        found = [m for m in found if m.contestant in equal]
        times = [m.median_s for m in found if m.median_s is not None and m.status == "ok"]
        if not times:
            continue
        unit, factor = words.unit_for(times)
        heading = "train step" if task == "train" else "inference"
        meaning = (
            f"Median time of one whole training step (forward, loss, backward, optimizer) on {batch_size:,} examples"
            if task == "train"
            else f"Median time of one prediction for {words.counted(batch_size, 'example')}"
        )
        key = f"{task}-{batch_size}"
        column = Column(key, heading, f"batch {batch_size:,}, {unit}", meaning, timed=True)
        ranks = {
            rank.contestant: rank
            for verdict in comparison.verdict.tasks
            if (verdict.task, verdict.batch_size) == (task, batch_size)
            and (verdict.threads, verdict.precision) == condition
            for rank in verdict.ranking
        }
        yield column, {m.contestant: _timed_cell(m, min(times), factor, ranks) for m in found}


def _timed_cell(m: Measurement, fastest: float, factor: float, ranks: Mapping[str, Standing]) -> Cell:
    if m.status != "ok" or m.median_s is None:
        return Cell(note=m.reason or "")
    rank = ranks.get(m.contestant)
    ratio = rank.ratio if rank else m.median_s / fastest if fastest > 0 else None
    best = rank.relation == "fastest" if rank else m.median_s == fastest
    return Cell(
        words.three_digits(m.median_s / factor),
        m.median_s,
        words.spread(m.median_s, m.interval_s),
        ratio,
        best,
        tied=rank is not None and rank.relation in ("equivalent", "not-resolved"),
        note=m.reason or "",
    )


# ---------------------------------------------------------------- columns of what it costs


def _cost_columns(comparison: Comparison, equal: list[str]) -> Iterable[Filled]:
    yield from _cold_columns(comparison, equal)
    memory: dict[str, float] = {}
    main = conditions_of(comparison)[0]
    for m in comparison.measurements:
        if m.contestant in equal and m.peak_memory_bytes is not None and (m.threads, m.precision) == main:
            memory[m.contestant] = max(memory.get(m.contestant, 0), m.peak_memory_bytes)
    yield from present(
        Column("memory", "memory", "peak, MB", "Peak memory of the worker process above what importing takes"),
        {name: Cell(words.three_digits(value / 1e6), value) for name, value in memory.items()},
    )
    code = {written.target: _lines_cell(written) for written in comparison.code}
    yield from present(
        Column("lines", "code", "lines", "Lines of model.py and train.py that are neither blank nor comment"),
        {name: code[target_of(name)] for name in equal if target_of(name) in code},
    )


def _cold_columns(comparison: Comparison, equal: list[str]) -> Iterable[Filled]:
    """One column or, where the same contestants started with and without compiled programs on disk, one of each."""
    meaning = "From a fresh process to the first step done: import, build, compile and step"
    starts = [start for start in comparison.cold_starts if start.contestant in equal]
    if len({start.contestant for start in starts}) == len(starts):
        state = cache_state(comparison)
        column = Column("cold", "cold start", f"{state} cache, s" if state else "s", meaning)
        yield from present(column, {start.contestant: _cold_cell(start) for start in starts})
        return
    for key, detail, states in (("cold", "cold cache, s", ("cold", "mixed")), ("warm", "warm cache, s", ("warm",))):
        cells = {
            start.contestant: _cold_cell(start)
            for start in starts
            if start.compile_cache in states or start.compile_cache in (None, "none")
        }
        yield from present(Column(key, "cold start", detail, meaning), cells)


def present(column: Column, cells: dict[str, Cell]) -> Iterable[Filled]:
    """The column with its best marked; nothing where no contestant has a figure."""
    values = [cell.value for cell in cells.values() if cell.value is not None]
    if values:
        least = min(values)
        differ = len(values) == 1 or least < max(values)  # where all are the same, none stands out
        yield column, {name: replace(cell, best=differ and cell.value == least) for name, cell in cells.items()}


def _cold_cell(start: ColdStart) -> Cell:
    first, called = start.first_step_s, "first step"
    if first is None:
        first, called = start.first_inference_s, "first inference"
    parts = [("import", start.import_s), ("build", start.build_s), (called, first)]
    if first is None or any(value is None for _, value in parts):
        return Cell()
    total = sum(value for _, value in parts if value is not None)
    note = ", ".join(f"{name} {words.seconds(value)}" for name, value in parts)
    kept = start.compile_cache not in (None, "none")
    return Cell(words.three_digits(total), total, note=f"{note}, {start.compile_cache} compile cache" if kept else note)


def cache_state(comparison: Comparison) -> str:
    """Whether compiled programs were on disk when the contestants started: `warm`, `cold`, `mixed`; empty if none are kept."""
    found = {start.compile_cache for start in comparison.cold_starts} - {None, "none"}
    return str(found.pop()) if len(found) == 1 else "mixed" if found else ""


def _lines_cell(code: WrittenCode) -> Cell:
    total = code.model_lines + (code.train_lines or 0)
    parts = f"model.py {code.model_lines}" + (f", train.py {code.train_lines}" if code.train_lines is not None else "")
    return Cell(f"{total:,}", total, note=parts)


def target_of(contestant: str) -> str:
    """`keras/jax:jit` → `keras/jax`, what its written code is filed under."""
    return (contestant.rpartition(":")[0] or contestant).partition("@")[0]


# ---------------------------------------------------------------- what went wrong


def problems_of(comparison: Comparison) -> tuple[Problem, ...]:
    """Everything that kept a contestant from being counted, one entry for each cause."""
    found = [Problem(INTERRUPTED, comparison.interrupted)] if comparison.interrupted else []
    found += [
        Problem(m.framework, m.reason, f"install it: {m.command}" if m.command else "") for m in comparison.missing
    ]
    proofs = {proof.contestant: proof for proof in comparison.proofs}
    for name in comparison.contestants:
        found += _problems_of_contestant(comparison, name, proofs.get(name))
    return tuple(found)


def _problems_of_contestant(comparison: Comparison, name: str, proof: Proof | None) -> Iterable[Problem]:
    if proof is None:
        if not comparison.interrupted:  # said once, for all of them
            yield Problem(name, "not proven: the comparison ended before its turn")
        return
    if proof.status == "not-run":
        yield Problem(name, f"not proven: {proof.reason or 'no reason given'}")
        return
    if proof.status == "different":
        yield Problem(name, f"different: {difference(proof)}", first_divergence(proof))
        return
    told: dict[str, list[str]] = {}
    for m in comparison.measurements:
        if m.contestant == name and m.status != "ok":
            told.setdefault(m.reason or "no reason given", []).append(_where(m, comparison))
    for reason, tasks in told.items():
        yield Problem(name, f"not measured ({'; '.join(tasks)}): {reason}")
    for curve in comparison.training.curves if comparison.training else ():
        if curve.contestant == name and curve.status != "equal":
            yield Problem(name, f"training curve {curve.status.replace('-', ' ')}: {curve.reason or 'no reason given'}")


def _where(m: Measurement, comparison: Comparison) -> str:
    """`training step, batch 64`, with the condition where there are several."""
    under = condition_name((m.threads, m.precision), conditions_of(comparison))
    return f"{words.task_name(m.task, m.batch_size)}{f', {under}' if under else ''}"


def condition_name(condition: ConditionKey, among: Sequence[ConditionKey]) -> str:
    """`2 threads, bfloat16`: only what tells a condition from the others; empty where there are none."""
    threads, precision = condition
    parts = [words.counted(threads, "thread")] if len({one for one, _ in among}) > 1 else []
    return ", ".join([*parts, *([precision] if len({one for _, one in among}) > 1 else [])])


def difference(proof: Proof) -> str:
    """What a proof found to be different, by how much, and how much is allowed."""
    if proof.worst is None:
        return proof.reason or "no reason given"
    tolerance = next((c.tolerance for c in proof.checks if c.check == proof.worst.check and c.tolerance), None)
    allowed = f" ({words.error(tolerance)} allowed)" if tolerance else ""
    deviate = f"deviate by {words.error(proof.worst.error)}" if math.isfinite(proof.worst.error) else "are not finite"
    where = f"{proof.worst.check} of {proof.worst.tensor} {deviate}{allowed}"
    return f"{where}; {proof.reason}" if proof.reason else where


def first_divergence(proof: Proof) -> str:
    """Where the values part, as far as that is known."""
    found = proof.divergence
    if found is None:
        return ""
    place = f"{found.file}:{found.line}" if found.file and found.line else found.node
    of = f" of {found.module}" if found.module else ""
    text = f"first at {place} ({found.operator}{of})" + (f": {found.source.strip()}" if found.source else "")
    if found.expected is not None and found.found is not None:
        index = f" at {list(found.index)}" if found.index else ""
        text += f"; it gives {found.found:.9g}{index} where {found.expected:.9g} is right"
    if found.origin:
        text += f"; in your code {found.origin}"
    return text + (
        f"; a framework that is proven equal computes it by {found.reference.strip()}" if found.reference else ""
    )


def reasons_of(found: Recommendation) -> tuple[str, ...]:
    """The reasons of a recommendation, and what would change it, as sentences."""
    return tuple(words.sentence(text) for text in (*found.reasons, *(f"but {change}" for change in found.would_change)))


def calibration_of(comparison: Comparison) -> tuple[str, ...]:
    """What the A/A twin showed at each task, as sentences, where it had a process of its own."""
    if not comparison.effort.own_twin:
        return ()
    found = []
    for task in comparison.verdict.tasks:
        if task.twin is not None:
            low, high = task.twin.interval
            found.append(
                f"A/A, {words.task_name(task.task, task.batch_size)}: {task.twin.contestant} over itself "
                f"{task.twin.ratio:.3f} ({low:.3f} to {high:.3f}, {words.counted(task.twin.processes, 'process', 'processes')}): "
                + (
                    "called different, though it is the same code"
                    if task.twin.different
                    else "no difference, as it should be"
                )
            )
    return tuple(f"{text}." for text in found)


def notes_of(comparison: Comparison) -> tuple[str, ...]:
    """What a reader should know of the machine and of the verdict, each said once, as sentences."""
    reduced = [proof.reduced for proof in comparison.proofs if proof.reduced]
    notes = (*reduced, *comparison.environment.notes, *comparison.verdict.notes, *_cache_notes(comparison))
    return tuple(dict.fromkeys(words.sentence(note) for note in notes))


def _cache_notes(comparison: Comparison) -> Iterable[str]:
    """Which cold starts found compiled programs on disk: on a machine that has none they take longer."""
    for state, said in (("warm", "all"), ("mixed", "some")):
        several = [start.contestant for start in comparison.cold_starts]
        names = [
            start.contestant
            for start in comparison.cold_starts
            if start.compile_cache == state and several.count(start.contestant) == 1
        ]
        if names:
            yield (
                f"cold starts with {said} compiled programs found on disk, from an earlier run: {words.listed(names)}; "
                "where there are none it takes longer"
            )


def summary_of_training(comparison: Comparison) -> str:
    """One sentence about the loss curves; empty when there are none."""
    training = comparison.training
    equal = [curve for curve in training.curves if curve.status == "equal"] if training else []
    if training is None or not equal:
        return ""
    farthest = max((curve.distance for curve in equal if curve.distance is not None), default=None)
    total = len(training.curves)
    who = "The loss curve coincides with the float64 curve"
    if total > 1:
        who = f"The loss curves of {'all' if len(equal) == total else f'{len(equal)} of'} {total} contestants coincide"
    text = f"{who} over {words.counted(training.steps, 'step')} of training on the same batches"
    if farthest is not None:
        allowed = f", {words.error(training.limit)} allowed" if training.limit is not None else ""
        text += f" (largest distance to float64 {words.error(farthest)}{allowed})"
    reached = [curve.metric for curve in equal if curve.metric is not None]
    if training.metric and reached:
        least, most = min(reached), max(reached)
        text += f"; {training.metric} after them "
        text += f"on {training.metric_examples:,} test examples " if training.metric_examples is not None else ""
        text += f"{least:.3g}" + (f"–{most:.3g}" if f"{least:.3g}" != f"{most:.3g}" else "")
        text += f" (goal {training.metric_goal:.3g})" if training.metric_goal is not None else ""
    return text + "."
