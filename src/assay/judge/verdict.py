"""From a record to a verdict: per task who is fastest and whether that can be told, and what to take.

Nothing is called faster that lies inside what identical code shows (the A/A twin), and a single process per contestant
is never enough to tell small differences, whatever its samples look like. If the statistics fail, there is no verdict.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from assay.judge import paired, words
from assay.measure.effort import describe, is_indicative
from assay.measure.record import Measurement, Record

TOO_BUSY = 0.5  # of the time that threads could have run they waited: then other programs are measured, not frameworks
EQUIVALENT = 0.03  # both bounds inside ±3 %: a difference that nobody chooses a framework for
ONE_PROCESS = 0.05  # what two processes of identical code may differ by; see docs/decisions
SIGNIFICANCE = 0.05


class Relation(StrEnum):
    """Where a contestant stands to the fastest."""

    FASTEST = "fastest"
    SLOWER = "slower"
    EQUIVALENT = "equivalent"
    NOT_RESOLVED = "not-resolved"


@dataclass(frozen=True)
class Comparison:
    """Time of `a` over time of `b`, and what may be said of it: `a` is faster, slower, equivalent or not-resolved."""

    a: str
    b: str
    ratio: float
    interval: tuple[float, float] | None
    outcome: str
    blocks: int
    p_value: float | None = None  # adjusted for the number of comparisons of the task (Holm)

    def turned(self) -> Comparison:
        """The same, told as the time of `b` over that of `a`."""
        interval = self.interval and (1 / self.interval[1], 1 / self.interval[0])
        outcome = {"faster": "slower", "slower": "faster"}.get(self.outcome, self.outcome)
        return replace(self, a=self.b, b=self.a, ratio=1 / self.ratio, interval=interval, outcome=outcome)


@dataclass(frozen=True)
class Standing:
    """A place in a task's ranking. `ratio`: its time over the fastest's."""

    contestant: str
    median_s: float
    ratio: float
    ratio_interval: tuple[float, float] | None
    relation: Relation


@dataclass(frozen=True)
class TaskVerdict:
    """One task. `smallest_difference` is the relative difference below which nothing is told."""

    task: str
    batch_size: int
    ranking: tuple[Standing, ...]  # fastest first
    winner: str | None  # None unless the first is separated from the second
    statement: str
    smallest_difference: float | None
    comparisons: tuple[Comparison, ...] = ()  # every pair, the faster first
    left_out: tuple[tuple[str, str], ...] = ()  # contestants without a figure, and why
    twins: paired.Paired | None = None  # the A/A twin against its contestant: what identical code showed
    twin_of: str | None = None
    too_busy: float | None = None  # ready threads waited for a CPU this part of their time, too much for a verdict
    threads: int = 0
    precision: str = "float32"


class Purpose(StrEnum):
    """What somebody may want most."""

    OVERALL = "overall"
    TRAINING = "training"
    LATENCY = "inference latency"
    THROUGHPUT = "inference throughput"
    COLD_START = "cold start"
    MEMORY = "memory"
    CODE_SIZE = "code size"


@dataclass(frozen=True)
class Recommendation:
    """What to take for a purpose. `contestant` is None where the measurements do not tell."""

    purpose: Purpose
    contestant: str | None
    statement: str
    reasons: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()  # what would make it another one


@dataclass(frozen=True)
class Verdict:
    """What the measurements say. `status`: given, or withheld with a `reason`."""

    status: str
    indicative: bool
    label: str
    tasks: tuple[TaskVerdict, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def overall(self) -> Recommendation | None:
        """The recommendation for somebody without a special wish."""
        return next((one for one in self.recommendations if one.purpose is Purpose.OVERALL), None)


def judge(record: Record, code_lines: Mapping[str, int] | None = None) -> Verdict:
    """The verdict on a record. `code_lines`: contestant → lines of written code, if they are to be weighed.

    Any failure of the statistics withholds the verdict: no number is better than a wrong one.
    """
    parts = [record.under(condition) for condition in range(len(record.conditions))]
    processes = max(1, min(part.processes for part in parts))
    label, indicative = describe(processes), is_indicative(processes)
    try:
        from assay.judge.recommend import recommendations

        by_part = [tuple(_under(record, part, _task(part, *task)) for task in record.header.tasks) for part in parts]
        # What is recommended is recommended for the first condition: the others tell how it changes with them.
        advice = recommendations(parts[0], by_part[0], code_lines or {})
        found = [note for part, tasks in zip(parts, by_part, strict=True) for note in _notes(part, tasks)]
        alike = {re.sub(r"[\d.,]+", "#", note): note for note in reversed(found)}  # of the first condition that has it
        tasks = tuple(task for of_part in by_part for task in of_part)
        return Verdict("given", indicative, label, tasks, advice, tuple(reversed(alike.values())))
    except Exception as error:  # whatever it is, it must not look like a result
        return Verdict("withheld", indicative, label, reason=f"the statistics failed: {type(error).__name__}: {error}")


def _under(record: Record, part: Record, verdict: TaskVerdict) -> TaskVerdict:
    """A verdict with the condition that it holds under, which its sentence names where there are others."""
    ((threads, precision),) = part.conditions
    named = words.condition(threads, precision, record.conditions)
    statement = f"{named}: {verdict.statement}" if named else verdict.statement
    return replace(verdict, threads=threads, precision=precision, statement=statement)


def _task(record: Record, kind: str, size: int) -> TaskVerdict:
    of_task = [m for m in record.measurements if (m.task, m.batch_size) == (kind, size)]
    left_out = tuple((m.contestant, m.reason or m.status) for m in of_task if m.status != "ok")
    blocks = {
        m.contestant: paired.blocks_of(record.samples, m.contestant, kind, size) for m in of_task if m.status == "ok"
    }
    medians = {m.contestant: _median(m) for m in of_task if m.status == "ok"}
    if not blocks:
        return TaskVerdict(kind, size, (), None, f"{words.task(kind, size)}: nothing was measured", None, (), left_out)
    waited = max(part_waited(record, name, kind, size) for name in blocks)
    busy = waited if waited > TOO_BUSY else None
    twin_of, twins = twins_of(record, kind, size)
    floor = _floor(twins, record)
    ranked = ordered(blocks, medians)
    comparisons = _compare_all(ranked, blocks, medians, None if busy else floor, design_of(record))
    of_pair = {(c.a, c.b): c for c in comparisons}
    ranking = [Standing(ranked[0], medians[ranked[0]], 1.0, None, Relation.FASTEST)]
    for name in ranked[1:]:
        comparison = of_pair[ranked[0], name]
        relation = Relation.SLOWER if comparison.outcome == "faster" else Relation(comparison.outcome)
        turned = comparison.turned()
        ranking.append(Standing(name, medians[name], turned.ratio, turned.interval, relation))
    separated = len(ranking) > 1 and ranking[1].relation is Relation.SLOWER
    winner = ranked[0] if separated else None
    statement = _statement(kind, size, ranking, floor, busy)
    return TaskVerdict(
        kind, size, tuple(ranking), winner, statement, floor, tuple(comparisons), left_out, twins, twin_of, busy
    )


def part_waited(record: Record, contestant: str, kind: str, size: int) -> float:
    """Of the time that its threads were ready to run, the part that they waited for a CPU: the median over samples."""
    parts = [
        sample.waited_ns / (sample.waited_ns + sample.cpu_ns)
        for sample in record.samples
        if (sample.contestant, sample.task, sample.batch_size) == (contestant, kind, size)
        and sample.waited_ns is not None
        and sample.waited_ns + sample.cpu_ns > 0
    ]
    return statistics.median(parts) if parts else 0.0


def _median(measurement: Measurement) -> float:
    if measurement.median_s is None or not measurement.median_s > 0:
        raise ValueError(f"{measurement.contestant} at {measurement.task} has a median of {measurement.median_s}")
    return measurement.median_s


def design_of(record: Record) -> paired.Design | None:
    """How the number of processes was decided; None for a single one."""
    effort = record.header.effort
    if not effort.get("half_width") or effort.get("most_processes", 1) == 1:
        return None
    return paired.Design(int(effort["processes"]), math.log1p(float(effort["half_width"])))


def twins_of(record: Record, kind: str, size: int) -> tuple[str | None, paired.Paired | None]:
    """The A/A twin against its contestant; of several (the first one was lost) the one that shows most."""
    shown: tuple[str | None, paired.Paired | None] = (None, None)
    for name in sorted({s.contestant for s in record.samples if s.twin and (s.task, s.batch_size) == (kind, size)}):
        twin = paired.blocks_of(record.samples, name, kind, size, twin=True)
        pair = paired.compare(twin, paired.blocks_of(record.samples, name, kind, size), design=design_of(record))
        most = paired.smallest_difference(shown[1]) if shown[1] is not None else -1.0
        if pair is not None and paired.smallest_difference(pair) > most:
            shown = name, pair
    return shown


def _floor(twins: paired.Paired | None, record: Record) -> float | None:
    """Below this nothing is told: the A/A twin's width and, with few processes, what processes differ by.

    None if the twin was not measured: then nothing can be told at all.
    """
    if twins is None:
        return None
    least = ONE_PROCESS if is_indicative(record.processes) else 0.0
    return max(paired.smallest_difference(twins), least)


def ordered(blocks: Mapping[str, paired.Blocks], medians: Mapping[str, float]) -> list[str]:
    """Contestants, fastest first, each placed by its paired ratio to the one that took part in most blocks."""
    common = max(blocks, key=lambda name: (sum(map(len, blocks[name].values())), -medians[name]))

    def place(name: str) -> float:
        found = paired.compare(blocks[name], blocks[common])
        return found.log_ratio if found is not None else math.log(medians[name] / medians[common])

    return sorted(blocks, key=place)


def _compare_all(
    ranked: list[str],
    blocks: Mapping[str, paired.Blocks],
    medians: Mapping[str, float],
    floor: float | None,
    design: paired.Design | None,
) -> list[Comparison]:
    """Every pair, the faster first, with p-values adjusted for their number."""
    pairs = list(combinations(ranked, 2))
    found = [paired.compare(blocks[a], blocks[b], design=design) for a, b in pairs]
    raw = [pair.p_value for pair in found if pair is not None and pair.p_value is not None]
    adjusted = iter(paired.holm(raw))
    comparisons = []
    for (a, b), pair in zip(pairs, found, strict=True):
        if pair is None:
            comparisons.append(Comparison(a, b, medians[a] / medians[b], None, str(Relation.NOT_RESOLVED), 0))
            continue
        p_value = next(adjusted) if pair.p_value is not None else None
        one = Comparison(a, b, pair.ratio, pair.interval, "", pair.blocks, p_value)
        comparisons.append(replace(one, outcome=_outcome(pair, p_value, floor)))
    return comparisons


def _outcome(pair: paired.Paired, p_value: float | None, floor: float | None) -> str:
    """What may be said of the first of a pair."""
    if floor is None:
        return str(Relation.NOT_RESOLVED)
    told = pair.excludes_zero and (p_value is None or p_value <= SIGNIFICANCE)
    if told and abs(pair.log_ratio) > math.log1p(floor):
        return "slower" if pair.log_ratio > 0 else "faster"
    bound = math.log1p(EQUIVALENT)
    if floor <= EQUIVALENT and -bound < pair.low and pair.high < bound:
        return str(Relation.EQUIVALENT)
    return str(Relation.NOT_RESOLVED)


def _statement(kind: str, size: int, ranking: list[Standing], floor: float | None, busy: float | None) -> str:
    what, first = words.task(kind, size), ranking[0]
    if len(ranking) == 1:
        return f"{what}: {first.contestant} takes {words.seconds(first.median_s)}; there is nothing to compare it with"
    if busy is not None:
        return (
            f"{what}: no verdict, because other programs took the CPUs: threads that were ready to run "
            f"waited {words.percent(busy)} of the time; measure again when the machine is quieter"
        )
    if floor is None:
        return f"{what}: no verdict, because the A/A twin was not measured"
    if ranking[1].relation is Relation.SLOWER:
        second = ranking[1]
        return (
            f"{what}: {first.contestant} is fastest with {words.seconds(first.median_s)}, "
            f"{words.times_as_fast(second.ratio)} {second.contestant}"
        )
    close = [first.contestant]
    for standing in ranking[1:]:
        if standing.relation is Relation.SLOWER:
            break
        close.append(standing.contestant)
    same = all(standing.relation is Relation.EQUIVALENT for standing in ranking[1 : len(close)])
    how = f"are within {EQUIVALENT * 100:.0f} % of each other" if same else "cannot be told apart"
    limit = "" if same else f"; differences under {words.percent(floor)} cannot be told by this run"
    return f"{what}: no winner, {words.listed(close)} {how} (about {words.seconds(first.median_s)}){limit}"


def _notes(record: Record, tasks: tuple[TaskVerdict, ...]) -> list[str]:
    """What a reader has to know to read the verdict rightly."""
    notes = list(record.environment.notes)
    processes = max(1, record.processes)
    if is_indicative(processes):
        few = "one process" if processes == 1 else f"{processes} processes"
        notes.append(
            f"indicative: {few} per contestant cannot tell a difference between frameworks from one between "
            f"processes, so nothing under {words.percent(ONE_PROCESS)} is called a difference"
        )
    notes += [
        f"{words.task(task.task, task.batch_size)}: identical code was called different, {_shown(task.twins)}"
        for task in tasks
        if task.twins is not None and task.twins.processes > 1 and task.twins.excludes_zero
    ]
    if record.losses:
        lost = sorted({loss.contestant for loss in record.losses})
        notes.append(f"lost a worker and went on in a new process: {words.listed(lost)}")
    notes += [remark.text for remark in record.remarks]
    for resumed in record.resumptions:
        changed = ", ".join(f"{name} {version}" for name, version in resumed.versions.items())
        notes.append(
            f"the run had been cut short and went on at {resumed.at}, in new processes{f', with {changed}' if changed else ''}"
        )
    widths = [task.smallest_difference for task in tasks if task.smallest_difference is not None]
    if widths and max(widths) > 2 * ONE_PROCESS:
        notes.append(
            f"the same code measured twice differed by up to {words.percent(max(widths))}: the machine is noisy"
        )
    waited = [
        part_waited(record, name, kind, size)
        for name in record.header.contestants
        for kind, size in record.header.tasks
    ]
    if waited and max(waited) > TOO_BUSY / 5:
        part = words.percent(max(waited))
        notes.append(f"other programs were running: threads that were ready to run waited up to {part} of the time")
    steal = [sample.steal_ticks for sample in record.samples if sample.steal_ticks]
    if steal and len(steal) > len(record.samples) / 10:
        notes.append(f"the hypervisor took time away during {len(steal)} of {len(record.samples)} samples")
    unsteady = sorted({w.contestant for w in record.warmups if w.series in ("warming", "slowing", "no steady state")})
    if unsteady:
        notes.append(f"not steady after warm-up: {words.listed(unsteady)}")
    if busy := _too_many_threads(record):
        notes.append(busy)
    return notes


def _shown(pair: paired.Paired) -> str:
    low, high = (words.signed_percent(bound - 1) for bound in pair.interval)
    return f"by {words.signed_percent(pair.ratio - 1)} ({low} to {high})"


def _too_many_threads(record: Record) -> str | None:
    """MEASURING.md, point 2: CPU time over wall time must not exceed the threads that were allowed."""
    allowed = record.header.threads
    over = [
        m.contestant
        for m in record.measurements
        if m.cpu_per_wall is not None and m.cpu_per_wall > allowed * 1.05 + 0.05
    ]
    if not over:
        return None
    return f"used more CPU than {allowed} threads can: {words.listed(sorted(set(over)))}"
