"""Verdicts on records whose truth is known: right when given, withheld when nothing can be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_simulate import Noise, record

from assay.judge import Purpose, Relation, Verdict, judge, words
from assay.measure.record import Failure

QUIET = Noise(sample=0.003, block=0.02, process=0.002)
TASKS = (("train", 64), ("infer", 1), ("infer", 64))


def relations(verdict: Verdict, task: int = 0) -> dict[str, Relation]:
    return {standing.contestant: standing.relation for standing in verdict.tasks[task].ranking}


def test_a_clear_case() -> None:
    verdict = judge(record({"a": 0.010, "b": 0.015, "c": 0.100}, QUIET))
    (task,) = verdict.tasks
    assert verdict.status == "given" and verdict.indicative
    assert [standing.contestant for standing in task.ranking] == ["a", "b", "c"]
    assert task.winner == "a" and relations(verdict)["c"] is Relation.SLOWER
    assert task.ranking[1].ratio == pytest.approx(1.5, rel=0.02)
    low, high = task.ranking[1].ratio_interval or (0, 0)
    assert low <= task.ranking[1].ratio <= high
    assert task.statement.startswith("training step, batch of 64: a is fastest with 10.")
    assert "faster than b" in task.statement
    assert [(one.a, one.b, one.outcome) for one in task.comparisons] == [
        ("a", "b", "faster"),
        ("a", "c", "faster"),
        ("b", "c", "faster"),
    ]


def test_no_winner_when_the_first_two_are_close() -> None:
    verdict = judge(record({"a": 0.0100, "b": 0.0102, "c": 0.0300}, QUIET))
    assert verdict.tasks[0].winner is None
    assert relations(verdict)["c"] is Relation.SLOWER
    assert "no winner" in verdict.tasks[0].statement and "5.0 %" in verdict.tasks[0].statement
    assert "c" not in verdict.tasks[0].statement.split("winner")[1].split("cannot")[0].replace("cannot", "")


def test_one_process_each_tells_no_small_difference() -> None:
    """However steady the samples look."""
    still = Noise(sample=1e-5, block=1e-5, process=0)
    assert judge(record({"a": 1.0, "b": 1.04}, still)).tasks[0].winner is None
    assert judge(record({"a": 1.0, "b": 1.06}, still)).tasks[0].winner == "a"


def test_six_processes_tell_a_small_difference() -> None:
    verdict = judge(record({"a": 1.0, "b": 1.04}, QUIET, processes=6))
    assert verdict.tasks[0].winner == "a" and not verdict.indicative
    assert verdict.tasks[0].comparisons[0].p_value is not None
    assert verdict.tasks[0].comparisons[0].p_value < 0.05


def test_equivalence_needs_evidence() -> None:
    same = judge(record({"a": 1.0, "b": 1.001}, QUIET, processes=8))
    assert relations(same)["b" if same.tasks[0].ranking[0].contestant == "a" else "a"] is Relation.EQUIVALENT
    assert "within 3 % of each other" in same.tasks[0].statement
    vague = judge(record({"a": 1.0, "b": 1.001}, Noise(process=0.05), processes=6))
    assert Relation.NOT_RESOLVED in relations(vague).values()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_a_difference_inside_the_twins_width_is_never_called(seed: int) -> None:
    """Noise that makes the twin look different makes everything look different."""
    noise = Noise(sample=0.2, block=0.3, process=0.1, outliers=0.1)
    verdict = judge(record({"a": 1.0, "b": 1.0, "c": 1.0}, noise, seed))
    task = verdict.tasks[0]
    assert task.smallest_difference is not None and task.smallest_difference >= 0.05
    for one in task.comparisons:
        if one.outcome in ("faster", "slower"):
            assert max(one.ratio, 1 / one.ratio) > 1 + task.smallest_difference


def false_verdicts(processes: int, noise: Noise, trials: int) -> float:
    """How often one of two identical contestants is called faster."""
    wrong = 0
    for seed in range(trials):
        wrong += judge(record({"a": 1.0, "b": 1.0}, noise, seed, processes)).tasks[0].winner is not None
    return wrong / trials


@pytest.mark.parametrize(
    ("processes", "noise"),
    [
        (1, Noise()),
        (1, Noise(process=0.015, block=0.5)),
        (1, Noise(sample=0.1, outliers=0.05)),
        (6, Noise(process=0.02)),
        (6, Noise(process=0.05, sample=0.05, outliers=0.05)),
    ],
)
def test_identical_contestants_are_seldom_told_apart(processes: int, noise: Noise) -> None:
    assert false_verdicts(processes, noise, 200) <= 0.05


def test_five_per_cent_is_found_by_six_processes_on_a_quiet_machine() -> None:
    found = [judge(record({"a": 1.0, "b": 1.05}, Noise(process=0.01), seed, 6)).tasks[0].winner for seed in range(100)]
    assert found.count("a") >= 90 and "b" not in found


def test_without_a_twin_nothing_is_told() -> None:
    verdict = judge(record({"a": 1.0, "b": 2.0}, QUIET, twin=False))
    assert verdict.tasks[0].winner is None and relations(verdict)["b"] is Relation.NOT_RESOLVED
    assert "A/A twin was not measured" in verdict.tasks[0].statement
    assert verdict.overall is not None and verdict.overall.contestant is None


def test_a_failed_contestant_is_listed_not_ranked() -> None:
    made = record({"a": 1.0, "b": 2.0, "c": 1.5}, QUIET)
    samples = tuple(sample for sample in made.samples if sample.contestant != "b")
    verdict = judge(replace(made, samples=samples, failures=(Failure("b", "prove", "its gradient is off"),)))
    assert [standing.contestant for standing in verdict.tasks[0].ranking] == ["a", "c"]
    assert verdict.tasks[0].left_out == (("b", "its gradient is off"),)


def test_nothing_measured() -> None:
    verdict = judge(replace(record({"a": 1.0, "b": 2.0}, QUIET), samples=()))
    assert verdict.status == "given" and verdict.tasks[0].ranking == ()
    assert "nothing was measured" in verdict.tasks[0].statement
    assert verdict.overall is not None and verdict.overall.contestant is None


@pytest.mark.parametrize("wall", [0, -5])
def test_statistics_that_fail_give_no_verdict(wall: int) -> None:
    made = record({"a": 1.0, "b": 2.0}, QUIET)
    broken = tuple(replace(sample, wall_ns=wall) if sample.contestant == "b" else sample for sample in made.samples)
    verdict = judge(replace(made, samples=broken))
    assert verdict.status == "withheld" and verdict.tasks == () and verdict.recommendations == ()
    assert "the statistics failed" in (verdict.reason or "")


def test_recommendations() -> None:
    speeds = {"fast": 0.010, "slow": 0.030, "slower": 0.080}
    starts = {"fast": 24.0, "slow": 2.0, "slower": 3.0}
    memory = {"fast": 500_000_000, "slow": 100_000_000, "slower": 110_000_000}
    made = record(speeds, QUIET, tasks=TASKS, starts=starts, memory=memory)
    verdict = judge(made, {"fast": 80, "slow": 120, "slower": 80})
    found = {one.purpose: one for one in verdict.recommendations}
    assert set(found) == set(Purpose)
    overall = found[Purpose.OVERALL]
    assert overall.contestant == "fast" and overall.statement == "take fast"
    assert "3.0 times as fast as slow" in overall.reasons[0] and "all 3 tasks" in overall.reasons[0]
    assert (
        "for fewer than about 1,000 training steps slow is done sooner: it starts 22 s earlier" in overall.would_change
    )
    assert "if memory is scarce: slow needs 100 MB, fast 500 MB" in overall.would_change
    assert found[Purpose.COLD_START].contestant == "slow"
    assert found[Purpose.TRAINING].contestant == found[Purpose.LATENCY].contestant == "fast"
    assert "batch of 64" in found[Purpose.THROUGHPUT].statement
    assert found[Purpose.MEMORY].contestant is None  # 100 and 110 MB, each counted once
    assert found[Purpose.CODE_SIZE].contestant is None and "80 lines" in found[Purpose.CODE_SIZE].statement


def test_equal_speed_is_decided_by_the_start_and_said() -> None:
    made = record({"a": 0.0100, "b": 0.0101}, QUIET, starts={"a": 20.0, "b": 2.0})
    overall = judge(made).overall
    assert overall is not None and overall.contestant == "b"
    assert (
        "cannot be told apart by speed over all tasks; of them b starts soonest (2 s against 20 s)"
        in overall.reasons[0]
    )
    alike = judge(record({"a": 0.0100, "b": 0.0101}, QUIET, starts={"a": 2.0, "b": 2.1})).overall
    assert alike is not None and alike.contestant is None


def test_another_task_may_have_another_winner() -> None:
    made = record({"a": 0.010, "b": 0.020}, QUIET, tasks=TASKS)
    turned = tuple(
        replace(sample, wall_ns=sample.wall_ns // 3) if sample.contestant == "b" and sample.batch_size == 1 else sample
        for sample in made.samples
    )
    verdict = judge(replace(made, samples=turned))
    assert verdict.overall is not None and verdict.overall.contestant == "a"
    assert "if only inference, one example matters: b is" in "".join(verdict.overall.would_change)


def test_a_noisy_machine_gets_no_recommendation() -> None:
    made = record({"a": 0.010, "b": 0.020}, Noise(sample=0.8))
    overall = judge(made).overall
    assert overall is not None and overall.contestant is None and "quieter" in overall.statement


def test_a_busy_machine_gets_no_verdict() -> None:
    made = record({"a": 0.010, "b": 0.100}, QUIET)
    busy = tuple(replace(sample, waited_ns=sample.cpu_ns * 3) for sample in made.samples)
    verdict = judge(replace(made, samples=busy))
    (task,) = verdict.tasks
    assert task.too_busy == pytest.approx(0.75) and task.winner is None
    assert "threads that were ready to run waited 75 % of the time" in task.statement
    assert all(one.outcome == "not-resolved" for one in task.comparisons)
    assert verdict.overall is not None and verdict.overall.contestant is None
    untold = tuple(replace(sample, waited_ns=None) for sample in made.samples)
    assert judge(replace(made, samples=untold)).tasks[0].winner == "a"


def test_notes_warn() -> None:
    made = record({"a": 0.010, "b": 0.020}, Noise(sample=0.15, block=0.3))
    changed: dict[str, Any] = {
        "samples": tuple(
            replace(sample, cpu_ns=sample.wall_ns * 3, steal_ticks=2, waited_ns=sample.wall_ns)
            for sample in made.samples
        ),
        "warmups": (replace(made.warmups[0], series="warming"),),
    }
    notes = " | ".join(judge(replace(made, **changed)).notes)
    for words_of_it in (
        "indicative",
        "noisy",
        "hypervisor",
        "other programs",
        "not steady after warm-up: a",
        "more CPU than 2 threads",
    ):
        assert words_of_it in notes


def test_words() -> None:
    assert [words.seconds(value) for value in (12.34, 0.0031, 4.5e-5, 0.25, 1e-9)] == [
        "12.3 s",
        "3.1 ms",
        "45 µs",
        "250 ms",
        "0.001 µs",
    ]
    assert words.size(312_400_000) == "312 MB" and words.size(12) == "12 bytes"
    assert words.times_as_fast(1.03) == "3.0 % faster than" and words.times_as_fast(1.2) == "20 % faster than"
    assert words.times_as_fast(1.84) == "1.8 times as fast as" and words.times_as_fast(25) == "25 times as fast as"
    assert words.listed(["a"]) == "a" and words.listed(["a", "b", "c"]) == "a, b and c"
