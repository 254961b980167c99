"""What to take, for each purpose and overall, with the reasons and what would change it.

Overall: the geometric mean, over all tasks, of the ratio to the task's fastest, among the contestants that completed
every task. Where the first is not separated from others, the one of them that starts soonest is taken, and it is said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assay.judge import words
from assay.judge.verdict import Purpose, Recommendation, Relation, TaskVerdict
from assay.measure.record import Record

_TOO_NOISY = 0.5  # identical code that differs by more than this: nothing is recommended
_CLEAR = 1.2  # figures that were taken once (start, memory) have to differ by this factor to be told


@dataclass(frozen=True)
class _Start:
    """Seconds until a fresh process has made its first call."""

    contestant: str
    seconds: float


def recommendations(
    record: Record, tasks: Sequence[TaskVerdict], code_lines: Mapping[str, int]
) -> tuple[Recommendation, ...]:
    """Overall first, then each purpose that the record says something about."""
    starts = _starts(record)
    memory = _memory(record)
    found = [_overall(tasks, starts, memory, code_lines)] if tasks else []
    of_kind = {
        Purpose.TRAINING: [task for task in tasks if task.task == "train"],
        Purpose.LATENCY: [task for task in tasks if task.task == "infer" and task.batch_size == 1],
        Purpose.THROUGHPUT: [task for task in tasks if task.task == "infer" and task.batch_size > 1],
    }
    for purpose, mine in of_kind.items():
        if mine:
            found.append(_of_task(purpose, max(mine, key=lambda task: task.batch_size)))
    proven = {standing.contestant for task in tasks for standing in task.ranking}
    for purpose, figures, show, what in (
        (Purpose.COLD_START, {s.contestant: s.seconds for s in starts}, words.seconds, "from start to first result"),
        (Purpose.MEMORY, memory, words.size, "at its peak, above the import"),
        (Purpose.CODE_SIZE, dict(code_lines), _lines, "written"),
    ):
        figures = {name: value for name, value in figures.items() if name in proven}
        if figures:
            found.append(_smallest(purpose, figures, show, what))
    return tuple(found)


def _lines(count: float) -> str:
    return f"{count:.0f} lines"


def _of_task(purpose: Purpose, task: TaskVerdict) -> Recommendation:
    """The winner of a task, or nobody."""
    change = []
    if task.winner is None and len(task.ranking) > 1:
        change.append("more processes per contestant, on a quieter machine, could tell them apart")
    return Recommendation(purpose, task.winner, task.statement, would_change=tuple(change))


def _smallest(
    purpose: Purpose, figures: Mapping[str, float], show: Callable[[float], str], what: str
) -> Recommendation:
    """Who needs least of something that was counted once."""
    ordered = sorted(figures, key=lambda name: figures[name])
    first = ordered[0]
    statement = f"{first} needs {show(figures[first])} {what}"
    if len(ordered) == 1:
        return Recommendation(purpose, first, statement)
    second, last = ordered[1], ordered[-1]
    exact = purpose is Purpose.CODE_SIZE
    alike = figures[second] <= figures[first] * (1 if exact else _CLEAR)
    statement += f", {second} {show(figures[second])}"
    statement += f", at most {show(figures[last])} ({last})" if last != second else ""
    if alike:
        reason = (
            "the same"
            if exact
            else f"figures that were taken once and are within a factor of {_CLEAR:g} are not told apart"
        )
        return Recommendation(purpose, None, statement, (reason,))
    return Recommendation(purpose, first, statement)


def _overall(
    tasks: Sequence[TaskVerdict], starts: Sequence[_Start], memory: Mapping[str, float], code_lines: Mapping[str, int]
) -> Recommendation:
    ratios = {task: {standing.contestant: standing.ratio for standing in task.ranking} for task in tasks}
    complete = set.intersection(*(set(found) for found in ratios.values()))
    if not complete:
        return Recommendation(Purpose.OVERALL, None, "no contestant completed every task, so none is recommended")
    means = {
        name: math.exp(statistics.fmean(math.log(ratios[task][name]) for task in tasks)) for name in sorted(complete)
    }
    ordered = sorted(means, key=lambda name: means[name])
    if any(task.too_busy is not None for task in tasks):
        return Recommendation(
            Purpose.OVERALL,
            None,
            "no recommendation: other programs took the CPUs while it was measured; "
            "measure again when the machine is quieter",
        )
    widths = [task.smallest_difference for task in tasks]
    if any(width is None for width in widths):
        return Recommendation(Purpose.OVERALL, None, "no recommendation: the A/A twin was not measured for every task")
    width = max(width for width in widths if width is not None)
    if width > _TOO_NOISY:
        return Recommendation(
            Purpose.OVERALL,
            None,
            f"no recommendation: the same code measured twice differed by up to {words.percent(width)}, too much to "
            "recommend anything; measure again when the machine is quieter",
        )
    close = [name for name in ordered if means[name] <= means[ordered[0]] * (1 + width)]
    chosen, why = _among(close, starts)
    if chosen is None:
        statement = f"{words.listed(close)} are as fast as each other over all tasks, as far as this run can tell"
        return Recommendation(Purpose.OVERALL, None, statement, (why,))
    reasons = [why] if len(close) > 1 else [_lead(ordered, means, tasks)]
    reasons += [task.statement for task in tasks if task.winner == chosen]
    change = [*_other_winners(chosen, tasks, ratios), *_break_even(chosen, tasks, starts)]
    change += _cheaper(chosen, memory, "memory", words.size) + _cheaper(chosen, code_lines, "written code", _lines)
    return Recommendation(Purpose.OVERALL, chosen, f"take {chosen}", tuple(reasons), tuple(change))


def _among(close: Sequence[str], starts: Sequence[_Start]) -> tuple[str | None, str]:
    """The one to take of those that are equally fast: the one that starts soonest, if that is clear."""
    if len(close) == 1:
        return close[0], ""
    known = {start.contestant: start.seconds for start in starts if start.contestant in close}
    ordered = sorted(known, key=lambda name: known[name])
    alike = f"{words.listed(close)} cannot be told apart by speed over all tasks"
    if len(ordered) == len(close) and known[ordered[1]] > known[ordered[0]] * _CLEAR:
        return ordered[0], (
            f"{alike}; of them {ordered[0]} starts soonest "
            f"({words.seconds(known[ordered[0]])} against {words.seconds(known[ordered[1]])})"
        )
    return None, f"{alike}, nor by how soon they start"


def _lead(ordered: Sequence[str], means: Mapping[str, float], tasks: Sequence[TaskVerdict]) -> str:
    if len(ordered) == 1:
        return f"{ordered[0]} is the only one that completed every task"
    lead = means[ordered[1]] / means[ordered[0]]
    over = f"over all {len(tasks)} tasks (geometric mean)" if len(tasks) > 1 else "at the one task measured"
    return f"{over} {ordered[0]} is {words.times_as_fast(lead)} {ordered[1]}"


def _other_winners(
    chosen: str, tasks: Sequence[TaskVerdict], ratios: Mapping[TaskVerdict, Mapping[str, float]]
) -> list[str]:
    """Tasks at which somebody else is faster."""
    found = []
    for task in tasks:
        first = task.ranking[0]
        mine = next(standing for standing in task.ranking if standing.contestant == chosen)
        if first.contestant != chosen and mine.relation is Relation.SLOWER:
            found.append(
                f"if only {words.task(task.task, task.batch_size)} matters: {first.contestant} is "
                f"{words.times_as_fast(ratios[task][chosen])} {chosen} there"
            )
    return found


def _break_even(chosen: str, tasks: Sequence[TaskVerdict], starts: Sequence[_Start]) -> list[str]:
    """The number of training steps (or predictions) below which a contestant that starts sooner is done sooner."""
    task = next((task for task in tasks if task.task == "train"), tasks[0])
    times = {standing.contestant: standing.median_s for standing in task.ranking}
    known = {start.contestant: start.seconds for start in starts if start.contestant in times}
    if chosen not in known:
        return []
    sooner = [name for name in known if known[name] * _CLEAR < known[chosen]]
    if not sooner:
        return []
    name = min(sooner, key=lambda name: known[name])
    ahead, loses = known[chosen] - known[name], times[name] - times[chosen]
    unit = "training steps" if task.task == "train" else "predictions"
    if loses <= 0:
        what = words.task(task.task, task.batch_size)
        return [f"{name} starts {words.seconds(ahead)} sooner and is not slower at the {what}"]
    steps = float(f"{ahead / loses:.1g}")
    return [f"for fewer than about {steps:,.0f} {unit} {name} is done sooner: it starts {words.seconds(ahead)} earlier"]


def _cheaper(chosen: str, figures: Mapping[str, float], what: str, show: Callable[[float], str]) -> list[str]:
    """Somebody who needs much less of something."""
    if chosen not in figures:
        return []
    name = min(figures, key=lambda name: figures[name])
    if figures[name] * 1.5 > figures[chosen]:
        return []
    return [f"if {what} is scarce: {name} needs {show(figures[name])}, {chosen} {show(figures[chosen])}"]


def _starts(record: Record) -> list[_Start]:
    """Import, build and the first call (of training, if it was measured): the median over processes."""
    firsts = [first for first in record.first_calls if first.task == "train"] or list(record.first_calls)
    size = max((first.batch_size for first in firsts), default=0)
    found: dict[str, list[float]] = {}
    for first in firsts:
        for cold in record.colds:
            if (cold.contestant, cold.process) == (first.contestant, first.process) and first.batch_size == size:
                found.setdefault(first.contestant, []).append(cold.import_s + cold.build_s + first.wall_s[0])
    return [_Start(name, statistics.median(values)) for name, values in found.items()]


def _memory(record: Record) -> dict[str, float]:
    """The highest peak over all tasks."""
    found: dict[str, float] = {}
    for measurement in record.measurements:
        if measurement.status == "ok" and measurement.peak_memory_bytes is not None:
            peak = float(measurement.peak_memory_bytes)
            found[measurement.contestant] = max(found.get(measurement.contestant, 0.0), peak)
    return found
