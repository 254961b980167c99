"""`diff`: two runs of one protocol held against each other, across time or machines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from assay import __version__
from assay.errors import DataError
from assay.judge.paired import CONFIDENCE, holm
from assay.judge.unpaired import Unpaired, compare
from assay.judge.verdict import EQUIVALENT
from assay.judge.words import condition as condition_text
from assay.measure.effort import ENOUGH
from assay.show import facts
from assay.show.difference import FORMAT, Change, Difference, Other, Outcome, Side, Unmatched
from assay.store.contents import Contents, digest
from assay.verbs.history import comparison_of, find

# What a sample is; how many of them were taken follows from what was found and may differ.
_PROTOCOL = (
    "sample_seconds", "longest_sample", "warmup_calls", "warmup_seconds", "rounds", "batches", "own_twin", "cold_processes",
)  # fmt: skip
_MACHINE = ("cpu", "cpus", "machine", "operating_system", "python", "device", "memory_bytes", "governor", "cpu_quota")
_MOVED = math.log1p(0.02)  # all contestants together by more than this: it is worth a line

# A contestant at a task under a condition.
Key = tuple[str, str, int, int, str]


def diff(a: str | Path | facts.Comparison, b: str | Path | facts.Comparison, store: str | None = None) -> Difference:
    """How run `b` differs from run `a`: times over times, with intervals from the scatter of their processes.

    `a`, `b`: names of runs in the store (or `last`), files or folders that hold a run, or comparisons. Nothing is
    paired: the runs were never measured together, and whatever else changed between them is in the ratios too; it is
    listed. Raises `DataError` for runs of different models or protocols, and for one that was killed.
    """
    first, second = _contents(a, store), _contents(b, store)
    one, two = comparison_of(first), comparison_of(second)
    _require_same(first, second, one, two)
    changes, unmatched = _changes(one, two)
    changes = _judged(changes)
    logs = [math.log(change.ratio) for change in changes]
    common = math.exp(statistics.fmean(logs)) if logs else None
    found = Difference(
        assay=__version__,
        format=FORMAT,
        model=one.workload.name,
        effort=one.effort.name,
        a=_side(first, one),
        b=_side(second, two),
        changes=tuple(changes),
        unmatched=tuple(unmatched),
        others=tuple(_others(one, two)),
        common=common,
        notes=(),
    )
    return replace(found, notes=tuple(_notes(found)))


def _contents(run: str | Path | facts.Comparison, store: str | None) -> Contents:
    if isinstance(run, facts.Comparison):
        return Contents("comparison", {}, (), run.to_dict())
    return find(str(run), store)


def _require_same(first: Contents, second: Contents, one: facts.Comparison, two: facts.Comparison) -> None:
    """Refuses runs that did not measure the same thing in the same way; says all that differs."""
    wrong: list[str] = []

    def same(what: str, a: Any, b: Any) -> None:
        if a != b:
            wrong.append(f"{what}: {a} and {b}")

    for what in ("name", "parameters", "loss", "optimizer", "batch_size", "seed"):
        same(f"the model's {what}".replace("_", " "), getattr(one.workload, what), getattr(two.workload, what))
    digests = [str((item.description.get("model") or {}).get("digest") or "") for item in (first, second)]
    if all(digests) and not wrong:
        same("the model (by its digest)", digests[0][:12], digests[1][:12])
    same("the effort", one.effort.name, two.effort.name)
    same("threads", one.environment.threads, two.environment.threads)
    same("the device", one.environment.device, two.environment.device)
    if first.header and second.header:
        efforts = first.header["effort"], second.header["effort"]
        for what in _PROTOCOL:
            if all(what in effort for effort in efforts):  # an older assay's has not all of them
                same(f"the effort's {what}".replace("_", " "), *(effort[what] for effort in efforts))
        same("constants while timed", *(dict(item.header["constants"]) for item in (first, second)))
    if wrong:
        raise DataError(
            f"runs {first.id} and {second.id} cannot be compared, they did not measure the same in the same way: "
            f"{'; '.join(wrong)}. `assay compare --again {first.id}` repeats a run as it was"
        )


def _keyed(comparison: facts.Comparison) -> dict[Key, facts.Measurement]:
    """Measurements by what was measured."""
    found: dict[Key, facts.Measurement] = {}
    for item in comparison.measurements:
        fields = vars(item)  # an older assay measured under one condition, and did not say under which
        condition = fields.get("threads") or comparison.environment.threads, fields.get("precision") or "float32"
        found[item.contestant, item.task, item.batch_size, *condition] = item
    return found


def _changes(one: facts.Comparison, two: facts.Comparison) -> tuple[list[Change], list[Unmatched]]:
    """What both runs have a proven figure for; and what not, with the reason."""
    first, second = _keyed(one), _keyed(two)
    conditions = [key[3:] for key in {**first, **second}]
    code = [{item.target: _code(item) for item in side.code} for side in (one, two)]
    changes, unmatched = [], []
    for key in dict.fromkeys([*first, *second]):
        contestant, task, size = key[:3]
        said = condition_text(*key[3:], conditions)
        reason = _unusable(key, first, one, "A") or _unusable(key, second, two, "B")
        result = None if reason else compare(_processes(first[key]), _processes(second[key]))
        if result is None:
            what = ", ".join(part for part in (f"{task} of {size}", said) if part)
            unmatched.append(Unmatched(contestant, what, reason or "no samples"))
            continue
        target = contestant.rpartition(":")[0]
        changed = code[0].get(target) != code[1].get(target)
        note = "its written code is not the same in both runs" if changed else None
        changes.append(_change(key, said, first[key], second[key], result, note))
    return changes, unmatched


def _change(
    key: Key, said: str, a: facts.Measurement, b: facts.Measurement, result: Unpaired, note: str | None
) -> Change:
    contestant, task, size = key[:3]
    return Change(
        contestant=contestant,
        task=task,
        batch_size=size,
        condition=said,
        a_s=a.median_s or 0.0,
        b_s=b.median_s or 0.0,
        ratio=result.ratio,
        interval=result.interval,
        outcome="not-resolved",  # until all are looked at together
        p_value=result.p_value,
        processes=result.processes,
        reason=note,
    )


def _unusable(key: Key, found: Mapping[Key, facts.Measurement], side: facts.Comparison, name: str) -> str | None:
    """Why a run has no figure to compare."""
    item = found.get(key)
    if item is None:
        return f"not in {name}"
    proof = next((proof for proof in side.proofs if proof.contestant == key[0]), None)
    if proof is None or proof.status != "equal":
        return f"not proven equal in {name}"
    if item.status != "ok" or not item.samples_s:
        return f"not measured in {name}: {item.reason or item.status}"
    return None


def _processes(item: facts.Measurement) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for process, seconds in zip(item.processes, item.samples_s, strict=True):
        found.setdefault(process, []).append(seconds)
    return found


def _judged(changes: Sequence[Change]) -> list[Change]:
    """The outcomes, with Holm's correction over all that can be told anything about."""
    told = [change for change in changes if change.p_value is not None]
    adjusted = iter(holm([change.p_value or 0.0 for change in told]))
    found = []
    for change in changes:
        p_value = next(adjusted) if change.p_value is not None else None
        found.append(replace(change, p_value=p_value, outcome=_outcome(change, p_value)))
    return found


def _outcome(change: Change, p_value: float | None) -> Outcome:
    """Nothing is called a difference, or none, from fewer processes than a verdict within one run needs."""
    if change.interval is None or p_value is None or min(change.processes) < ENOUGH:
        return "not-resolved"
    low, high = change.interval
    if low > 1 / (1 + EQUIVALENT) and high < 1 + EQUIVALENT:
        return "equivalent"
    if p_value < 1 - CONFIDENCE and not low <= 1 <= high:
        return "slower" if change.ratio > 1 else "faster"
    return "not-resolved"


def _side(contents: Contents, comparison: facts.Comparison) -> Side:
    return Side(
        contents.id,
        comparison.date,
        comparison.assay,
        comparison.command,
        comparison.effort.processes,
        comparison.interrupted,
    )


def _code(item: facts.WrittenCode) -> str:
    return digest("\0".join(f"{file.name}\0{file.text}" for file in item.files))


def _others(one: facts.Comparison, two: facts.Comparison) -> Iterator[Other]:
    """What is not the same beside the times: machine, versions, flags, assay itself."""
    if one.assay != two.assay:
        yield Other("assay", "version", one.assay, two.assay)
    yield from changed_environment(vars(one.environment), vars(two.environment))


def changed_environment(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[Other]:
    """What of machine, versions and flags is not the same in two environments."""
    for what in _MACHINE:
        a, b = one.get(what), two.get(what)
        if a != b and what in one and what in two:
            yield Other(what.replace("_", " "), "machine", _said(a), _said(b))
    for field, kind in (("versions", "version"), ("flags", "flag")):
        before, after = one.get(field, {}), two.get(field, {})
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield Other(name, cast("Any", kind), before.get(name), after.get(name))


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _notes(found: Difference) -> Iterator[str]:
    fewest = min((min(change.processes) for change in found.changes), default=0)
    yield (
        "the two runs were never measured together: the intervals tell of the scatter between processes of one run, not "
        "of what a day, another load or another machine changes, and all that is listed above is in the ratios too"
    )
    if found.changes and fewest < 2:
        yield "one process of each contestant cannot tell a change from chance: measure with --effort standard"
    elif found.changes and fewest < ENOUGH:
        yield f"fewer than {ENOUGH} processes of each contestant: intervals are shown, and nothing is called a change"
    if any(other.kind == "machine" and other.what in ("cpu", "cpus", "machine", "device") for other in found.others):
        yield "the runs are from different machines"
    logs = [math.log(change.ratio) for change in found.changes]
    if len(logs) > 2 and abs(statistics.fmean(logs)) > _MOVED and (min(logs) > 0 or max(logs) < 0):
        yield (
            f"every contestant moved the same way, by {found.common:.2f} in the geometric mean: that looks like the machine "
            "rather than any framework"
        )
