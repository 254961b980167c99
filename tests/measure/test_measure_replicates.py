"""Several processes of each contestant: how many, the twin's own, what a lost worker costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from measure_bench import FAST, Bench, none_left

from assay.measure import Task, measure
from assay.measure import events as tell
from assay.measure.effort import EFFORTS, RIGOROUS, STANDARD, describe, is_indicative
from assay.measure.outlook import Outlook
from assay.measure.pace import Pace
from assay.measure.record import Record

SEVERAL = replace(FAST, name="standard", processes=3, most_processes=8, budget_s=600.0, own_twin=True)
TRAIN = (Task("train", 8),)


def test_the_twin_has_a_process_of_its_own_and_the_pilot_says_how_many_follow(bench: Bench) -> None:
    seen: list[tell.Event] = []
    asked: list[int] = []

    def look(record: Record) -> Outlook:
        asked.append(record.processes)
        return Outlook(5, 0.04)

    entries = [bench.entry("pytorch:eager"), bench.entry("jax:jit")]
    plan = bench.plan(*entries, effort=SEVERAL, tasks=TRAIN, proving=None, baseline="jax:jit")
    record = measure(plan, on_event=seen.append, look=look)
    assert record.processes == 5 and asked == [1, 2, 3, 4, 5] and not record.failures
    for process in range(5):
        arms = {(s.contestant, s.twin) for s in record.samples if s.process == process}
        assert arms == {("pytorch:eager", False), ("jax:jit", False), ("jax:jit", True)}
    assert {cold.contestant for cold in record.colds} == {"pytorch:eager", "jax:jit", "jax:jit (twin)"}
    assert len(record.colds) == 15  # a process for each of the three, five times
    done = [event for event in seen if isinstance(event, tell.ReplicateDone)]
    assert [(event.done, event.wanted) for event in done] == [(1, 3), (2, 3), (3, 5), (4, 5), (5, 5)]
    assert done[-1].seconds_left == 0 and all(event.smallest_difference == 0.04 for event in done)
    assert done[0].seconds_left > 0
    assert record.decisions[-1].text == "ended after 5 processes: as many as the scatter of the first 3 asked for"
    assert not any(isinstance(event, tell.StateChanged) and "twin" in event.contestant for event in seen)
    last = [event for event in seen if isinstance(event, tell.SampleTaken)][-1]
    assert last.done == last.expected
    assert {m.label for m in record.measurements} == {"indicative: 5 processes per contestant"}
    calls = {sample.calls for sample in record.samples}
    assert len(calls) == 1  # of all processes
    assert none_left(f"TEST_RUN={bench.folder}")


def test_a_lost_worker_costs_its_sample_not_its_contestant(bench: Bench) -> None:
    """A worker that dies now and then: the contestant goes on in a new process, within bounds."""
    entries = [
        bench.entry("pytorch:eager"),
        bench.entry("jax:jit", seconds={"jit": 0.003}, misbehave={"at": "train_step", "do": "kill", "after": 25}),
    ]
    effort = replace(FAST, rounds=12, restarts=20, sample_seconds=0.006)
    record = measure(bench.plan(*entries, effort=effort, tasks=TRAIN, proving=None))
    assert not record.failures and record.losses
    assert {loss.contestant for loss in record.losses} == {"jax:jit"}
    assert all("SIGKILL" in loss.reason and loss.stage == "timing" for loss in record.losses)
    status = {m.contestant: m.status for m in record.measurements}
    assert status == {"pytorch:eager": "ok", "jax:jit": "ok"}
    lost = [sample for sample in record.samples if sample.contestant == "pytorch:eager" and not sample.twin]
    assert len(lost) == effort.rounds  # the other one lost nothing
    assert len(record.colds) == 2 + len(record.losses)
    assert none_left(f"TEST_RUN={bench.folder}")


def test_a_worker_that_keeps_dying_is_given_up(bench: Bench) -> None:
    entries = [bench.entry("pytorch:eager"), bench.entry("jax:jit", misbehave={"at": "train_step", "do": "exit"})]
    record = measure(bench.plan(*entries, effort=replace(FAST, restarts=2), tasks=TRAIN, proving=None))
    (failure,) = record.failures
    assert failure.contestant == "jax:jit" and "exited with status 3" in failure.reason
    assert [loss.stage for loss in record.losses] == ["prepare", "prepare"]
    assert none_left(f"TEST_RUN={bench.folder}")


def test_an_error_that_a_worker_reports_is_not_tried_again(bench: Bench) -> None:
    entries = [bench.entry("pytorch:eager"), bench.entry("jax:jit", misbehave={"at": "train_step", "do": "raise"})]
    record = measure(bench.plan(*entries, tasks=TRAIN, proving=None))
    assert [failure.contestant for failure in record.failures] == ["jax:jit"] and not record.losses


def test_without_its_twin_a_process_goes_on(bench: Bench) -> None:
    """The baseline fails in its second process: the next contestant has the twin then."""
    entries = [
        bench.entry("jax:jit", misbehave={"at": "train_step", "do": "raise", "after": 60}),
        bench.entry("pytorch:eager"),
    ]
    effort = replace(SEVERAL, processes=2, most_processes=2, rounds=12, sample_seconds=0.02)
    record = measure(bench.plan(*entries, effort=effort, tasks=TRAIN, proving=None, baseline="jax:jit"))
    assert [failure.contestant for failure in record.failures] == ["jax:jit"]
    assert {sample.contestant for sample in record.samples if sample.twin and sample.process == 1} == {"pytorch:eager"}


class Clock:
    """Seconds as the test wants them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(seconds: float, needed: int | None, **changes: object) -> tuple[int, str]:
    """How many replicates of this length are measured, and why no more."""
    clock = Clock()
    pace = Pace(replace(STANDARD, **changes), clock=clock)  # type: ignore[arg-type]
    while True:
        clock.now += seconds
        told = pace.finished(lambda: Outlook(needed, None))
        assert told.done == pace.done and told.wanted >= told.done
        if not pace.another():
            return pace.done, pace.reason


def test_when_it_ends() -> None:
    assert paced(10, None) == (6, "as many as the scatter of the first 6 asked for")
    assert paced(10, 3)[0] == 6
    assert paced(10, 11)[0] == 11
    assert paced(10, 500) == (30, "the most that this effort measures")
    assert paced(100, 500) == (9, "the budget of 900 s does not hold one more")
    assert paced(300, 500) == (6, "the budget of 900 s does not hold one more")  # six in any case
    assert paced(300, 500, strict_budget=True)[0] == 3
    assert paced(5000, 500, strict_budget=True)[0] == 1
    assert paced(10, 500, most_processes=1, processes=1) == (1, "as many as this effort measures")


def test_the_budget_is_shared_by_conditions() -> None:
    clock = Clock()
    pace = Pace(replace(STANDARD, budget_s=100.0, strict_budget=True), share=0.5, began=0.0, clock=clock)
    counts = 0
    while True:
        clock.now += 10
        counts += 1
        pace.finished(lambda: Outlook(None, None))
        if not pace.another():
            break
    assert counts == 5


def test_nothing_is_begun_after_a_strict_budget(bench: Bench) -> None:
    effort = replace(SEVERAL, budget_s=0.01, strict_budget=True, costs=True)
    record = measure(bench.plan(bench.entry("jax:jit"), effort=effort, tasks=TRAIN, proving=None))
    assert record.processes == 1 and not record.costs
    assert [item.text for item in record.decisions][-2:] == [
        "ended after one process: the budget of 0.01 s does not hold one more",
        "ended after the budget of 0.01 s: starts, memory and energy were not measured",
    ]


def test_efforts() -> None:
    assert list(EFFORTS) == ["quick", "standard", "rigorous"]
    assert STANDARD.processes == 6 and STANDARD.own_twin and STANDARD.half_width == 0.02
    assert RIGOROUS.processes == 10 and RIGOROUS.cold_processes >= 1
    assert describe(1).startswith("indicative: one") and is_indicative(5) and not is_indicative(6)


@pytest.mark.parametrize("cold", [0, 2])
def test_cold_starts_have_an_empty_cache(bench: Bench, cold: int) -> None:
    from assay.measure.manager import _Run
    from assay.measure.outlook import blind
    from assay.measure.record_file import RecordFile

    plan = bench.plan(bench.entry("jax:jit"), effort=replace(SEVERAL, cold_processes=cold))
    file = RecordFile(plan.folder / "record.jsonl")
    run = _Run(plan, None, lambda event: None, file, blind)
    homes = [run._cache_of(process) for process in range(3)]
    assert [home is not None for home in homes] == [process < cold for process in range(3)]
    assert len(set(homes)) == min(cold + 1, 3)
    file.close()
