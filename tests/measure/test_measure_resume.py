"""Runs that were cut short go on: what was recorded stands, what is missing is added, nothing is there twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from measure_bench import FAST, Bench, none_left
from test_measure_record import HEADER, MACHINE
from test_measure_record import sample as made_sample

from assay.errors import DataError
from assay.frameworks.base import Contestant
from assay.judge import judge
from assay.measure import Curve, Plan, ProofResult, Record, Task, measure, read_record
from assay.measure import events as tell
from assay.measure.past import Past, distributions_of
from assay.measure.plan import Condition

NAMES = ("pytorch:eager", "jax:jit", "jax:eager")
Finished = tuple[Plan, list[bytes]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that came to its end, and the lines of its record: each test cuts them off where it likes."""
    plan = a_plan(Bench(tmp_path_factory.mktemp("finished")))
    measure(plan, equal)
    return plan, lines_of(plan)


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


def a_plan(bench: Bench, **changes: Any) -> Plan:
    order = bench.folder / "order.npz"
    np.savez(order, rows=np.arange(30).reshape(6, 5))
    curve = Curve(order, {"LEARNING_RATE": 0.1}, truth=("jax:jit",), batch=5, examples=10, roundings=1)
    entries = [bench.entry(name) for name in NAMES]
    return bench.plan(*entries, first_wave=("jax:jit",), baseline="jax:jit", curve=curve, **changes)


def lines_of(plan: Plan) -> list[bytes]:
    return (plan.folder / "record.jsonl").read_bytes().splitlines(keepends=True)


def cut(plan: Plan, lines: list[bytes], half: bytes = b'{"kind": "sam') -> None:
    """The file as a manager leaves it that is killed: whole lines, and the beginning of one."""
    (plan.folder / "record.jsonl").write_bytes(b"".join(lines) + half)


def go_on(plan: Plan, prove: Any = equal, changed: dict[str, str] | None = None) -> Record:
    past = Past(read_record(plan.folder / "record.jsonl"), changed or {})
    return measure(plan, prove, past=past)


def check_whole(record: Record, plan: Plan, processes: int = 1) -> None:
    """Everything that a run has which was never cut short, and nothing twice."""
    assert not record.interrupted and not record.failures
    assert Counter(proof.contestant for proof in record.proofs) == dict.fromkeys(NAMES, 1)
    curves = Counter((curve.contestant, curve.dtype, curve.rounding) for curve in record.curves)
    assert curves == {
        **{(name, "float32", 0): 1 for name in NAMES},
        ("jax:jit", "float64", 0): 1,
        ("jax:jit", "float64", 1): 1,
    }
    assert {(item.contestant, item.condition) for item in record.outputs} == {
        (name, condition) for name in NAMES for condition in range(len(plan.conditions))
    }
    for measurement in record.measurements:
        assert measurement.status == "ok" and measurement.reason is None
    arms = Counter((s.block, s.contestant, s.twin, s.void is None) for s in record.samples)
    assert set(arms.values()) == {1}  # once in each block
    blocks: dict[int, set[Any]] = {}
    for sample in record.samples:
        blocks.setdefault(sample.block, set()).add((sample.condition, sample.process, sample.task, sample.batch_size))
    assert all(len(what) == 1 for what in blocks.values())
    for condition in range(len(plan.conditions)):
        for process in range(processes):
            for task in plan.tasks:
                check_rounds(record, (condition, process, task.kind, task.batch_size))


def check_rounds(record: Record, where: tuple[Any, ...]) -> None:
    """Each replicate has every round with everybody in it; one that was broken off may have been taken again."""
    full: Counter[int] = Counter()
    blocks: dict[int, set[str]] = {}
    number: dict[int, int] = {}
    for sample in record.samples:
        if (sample.condition, sample.process, sample.task, sample.batch_size) == where:
            blocks.setdefault(sample.block, set()).add(sample.contestant)
            number[sample.block] = sample.round
    for block, who in blocks.items():
        if who == set(NAMES):
            full[number[block]] += 1
    assert set(full) == {0, 1, 2}, (where, full)
    assert max(full.values()) <= 2 and sum(full.values()) <= 4, (where, full)


def cuts_of(lines: list[bytes]) -> list[int]:
    """Moments of all kinds: after the header, and after the first, a middle and the last line of each kind."""
    kinds = [json.loads(line)["kind"] for line in lines]
    found = {2, 3, len(lines) - 1, len(lines)}
    for kind in set(kinds) - {"header", "environment"}:
        places = [place + 1 for place, one in enumerate(kinds) if one == kind]
        found |= {places[0], places[len(places) // 2], places[-1]}
    return sorted(place for place in found if 2 <= place <= len(lines))


def test_a_run_cut_anywhere_goes_on(finished: Finished) -> None:
    plan, whole = finished
    places = cuts_of(whole)
    for place in places[:: max(1, len(places) // 9)]:
        cut(plan, whole[:place])
        record = go_on(plan)
        after = lines_of(plan)
        assert after[:place] == whole[:place], place  # what was recorded stands
        check_whole(record, plan)
        assert len(record.resumptions) == 1
        assert judge(record).tasks  # and is judged
    assert none_left(f"TEST_RUN={plan.folder.parent}")


def test_replicates_and_conditions(bench: Bench) -> None:
    effort = replace(FAST, processes=2, most_processes=2, own_twin=True)
    conditions = (Condition(1), Condition(2))
    plan = a_plan(bench, effort=effort, under=conditions, tasks=(Task("infer", 1),))
    measure(plan, equal)
    whole = lines_of(plan)
    samples = [place + 1 for place, line in enumerate(whole) if json.loads(line)["kind"] == "sample"]
    for part in (0.1, 0.4, 0.6, 0.9):
        place = samples[int(part * len(samples))]
        cut(plan, whole[:place])
        record = go_on(plan)
        assert lines_of(plan)[:place] == whole[:place]
        check_whole(record, plan, processes=2)
        twins = {(s.condition, s.process) for s in record.samples if s.twin}
        assert twins == {(condition, process) for condition in (0, 1) for process in (0, 1)}


def test_proofs_are_not_made_again(finished: Finished) -> None:
    plan, whole = finished
    kinds = [json.loads(line)["kind"] for line in whole]
    proven = len(kinds) - kinds[::-1].index("proof")
    first = kinds.index("sample", proven)
    cut(plan, whole[: first + 4])
    seen: list[str] = []
    states: list[tuple[str, str]] = []

    def prove(contestant: Contestant, result: ProofResult) -> None:
        seen.append(contestant.name)

    def listen(event: tell.Event) -> None:
        if isinstance(event, tell.StateChanged):
            states.append((event.contestant, event.state))

    past = Past(read_record(plan.folder / "record.jsonl"))
    record = measure(plan, prove, listen, past=past)
    check_whole(record, plan)
    assert sorted(seen) == sorted(NAMES)  # judged by the arrays that were there
    assert all(state != tell.PROVING for _, state in states)  # no process computed them again


def test_a_proof_whose_arrays_are_gone_is_made_again(finished: Finished) -> None:
    plan, whole = finished
    kinds = [json.loads(line)["kind"] for line in whole]
    proven = len(kinds) - kinds[::-1].index("proof")
    first = kinds.index("sample", proven)
    cut(plan, whole[:first])
    plan.array_file("jax:eager", "proof").unlink()
    record = go_on(plan)
    assert not record.interrupted and not record.failures
    assert Counter(proof.contestant for proof in record.proofs)["jax:eager"] == 2
    assert plan.array_file("jax:eager", "proof").exists()


def test_who_was_out_stays_out(bench: Bench) -> None:
    def prove(contestant: Contestant, result: ProofResult) -> str | None:
        return "gradient of layer/kernel is off by 3e-02" if contestant.name == "jax:eager" else None

    plan = a_plan(bench)
    measure(plan, prove)
    whole = lines_of(plan)
    samples = [place for place, line in enumerate(whole) if json.loads(line)["kind"] == "sample"]
    cut(plan, whole[: samples[len(samples) // 2]])
    record = go_on(plan, prove)
    assert not record.interrupted
    assert [failure.contestant for failure in record.failures] == ["jax:eager"]
    assert {s.contestant for s in record.samples} == {"pytorch:eager", "jax:jit"}
    assert Counter(proof.contestant for proof in record.proofs) == dict.fromkeys(NAMES, 1)


def test_cut_twice(finished: Finished) -> None:
    plan, whole = finished
    samples = [place for place, line in enumerate(whole) if json.loads(line)["kind"] == "sample"]
    cut(plan, whole[: samples[5]])
    go_on(plan)
    again = lines_of(plan)
    last = [place for place, line in enumerate(again) if json.loads(line)["kind"] == "sample"][-3]
    cut(plan, again[:last], half=b"")
    assert read_record(plan.folder / "record.jsonl").interrupted  # the end of the first part is not there any more
    record = go_on(plan)
    assert len(record.resumptions) == 2
    check_whole(record, plan)


def test_the_end_of_a_part_is_not_the_end(finished: Finished) -> None:
    plan, whole = finished
    cut(plan, [*whole[:-1], b'{"kind": "end", "seconds": 100.0, "interrupted": true}\n'], half=b"")
    record = go_on(plan)
    check_whole(record, plan)
    assert record.end is not None and record.end.seconds > 100
    lines = lines_of(plan)
    cut(plan, lines[:-1], half=b"")
    assert read_record(plan.folder / "record.jsonl").end is None


def test_an_upgraded_framework_is_out_and_the_others_go_on(finished: Finished) -> None:
    plan, whole = finished
    whole = list(whole)
    machine = json.loads(whole[1])
    machine["versions"]["jax"] = "0.0.1"
    whole[1] = json.dumps(machine).encode() + b"\n"
    samples = [place for place, line in enumerate(whole) if json.loads(line)["kind"] == "sample"]
    cut(plan, whole[: samples[8]])
    record = go_on(plan)
    reasons = {failure.contestant: (failure.stage, failure.reason) for failure in record.failures}
    assert set(reasons) == {"jax:jit", "jax:eager"}
    stage, reason = reasons["jax:jit"]
    assert stage == "resume" and "jax was 0.0.1 when the run was begun and is" in reason
    status = {(m.contestant, m.status) for m in record.measurements}
    assert ("pytorch:eager", "ok") in status
    assert all(m.reason for m in record.measurements if m.contestant.startswith("jax"))
    assert "jax" in record.resumptions[0].versions
    assert any("cut short and went on" in note and "jax" in note for note in judge(record).notes)
    again = record.samples[8:]
    assert {sample.contestant for sample in again} == {"pytorch:eager"}


def test_code_that_has_changed_is_out(finished: Finished) -> None:
    plan, whole = finished
    samples = [place for place, line in enumerate(whole) if json.loads(line)["kind"] == "sample"]
    cut(plan, whole[: samples[-1]])
    record = go_on(plan, changed={"jax:jit": "its written code is another"})
    assert [(failure.contestant, failure.stage) for failure in record.failures] == [("jax:jit", "resume")]


@pytest.mark.parametrize("change", ["seed", "tasks", "effort", "entries"])
def test_another_plan_is_refused(finished: Finished, change: str) -> None:
    plan, before = finished
    cut(plan, before, half=b"")
    other = {
        "seed": replace(plan, seed=5),
        "tasks": replace(plan, tasks=(Task("train", 8),)),
        "effort": replace(plan, effort=replace(FAST, rounds=4)),
        "entries": replace(plan, entries=plan.entries[:2]),
    }[change]
    with pytest.raises(DataError, match="cannot be gone on with"):
        go_on(other)
    assert lines_of(plan) == before


def test_another_machine_is_refused(finished: Finished) -> None:
    plan, whole = finished
    whole = list(whole)
    machine = json.loads(whole[1]) | {"cpu": "a slower one"}
    cut(plan, [whole[0], json.dumps(machine).encode() + b"\n", *whole[2:-1]], half=b"")
    before = lines_of(plan)
    with pytest.raises(DataError, match=r"begun on another machine or setting \(cpu: a slower one then"):
        go_on(plan)
    assert lines_of(plan) == before


def test_what_a_contestant_depends_on() -> None:
    assert "torch" in distributions_of("pytorch:eager")
    assert {"keras", "jax"} <= set(distributions_of("keras/jax:jit")) and "torch" not in distributions_of(
        "keras/jax:jit"
    )
    assert {"keras", "torch"} <= set(distributions_of("keras/torch:eager"))
    assert distributions_of("somebody/else:mode") == ()


def rounds_of(*taken: tuple[int, int, str, bool]) -> int:
    """The rounds that count as done, of samples given by wave, round, contestant and whether it is the twin."""
    made = [
        made_sample(contestant=name, block=10 * wave + number, wave=wave, round=number, twin=twin)
        for wave, number, name, twin in taken
    ]
    return Past(Record(HEADER, MACHINE, samples=tuple(made))).rounds(0, 0, Task("train", 8), ["a", "b"])


def test_rounds_that_were_broken_off_do_not_count() -> None:
    everybody = [("a", False), ("b", False), ("a", True)]
    first = [(0, 0, *arm) for arm in everybody]
    assert rounds_of() == 0
    for missing in range(3):  # somebody, or the twin, was not sampled any more
        assert rounds_of(*(first[:missing] + first[missing + 1 :])) == 0
        second = [(0, 1, *arm) for arm in everybody]
        assert rounds_of(*first, *(second[:missing] + second[missing + 1 :])) == 1
    assert rounds_of(*first) == 1
    assert rounds_of(*first, *((0, 1, *arm) for arm in everybody)) == 2
    assert rounds_of((0, 0, "a", False), (0, 0, "a", True), (0, 1, "a", False), (0, 1, "a", True)) == 0  # a first wave
    later = [(1, 1, *arm) for arm in everybody]  # went on once already
    assert rounds_of(*first, *later) == 2 and rounds_of(*first, *later[:1]) == 1
