"""Threads and precision as conditions of a measurement: processes of their own, compared with their like only."""

from __future__ import annotations

import pytest
from measure_bench import Bench

from assay.errors import DataError, NotFoundError
from assay.frameworks.base import Contestant
from assay.judge import judge
from assay.measure import Condition, ProofResult, measure


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


def test_every_task_under_every_condition(bench: Bench) -> None:
    under = (Condition(1), Condition(2, "float64"), Condition(1, "bfloat16"))
    record = measure(bench.plan(bench.entry("jax:jit"), under=under), equal)
    assert record.conditions == ((1, "float32"), (2, "float64"), (1, "bfloat16"))
    assert [(m.threads, m.precision, m.task, m.status) for m in record.measurements] == [
        (1, "float32", "train", "ok"),
        (1, "float32", "infer", "ok"),
        (2, "float64", "train", "ok"),
        (2, "float64", "infer", "ok"),
        (1, "bfloat16", "train", "failed"),  # the fake framework's NumPy has no such type
        (1, "bfloat16", "infer", "failed"),
    ]
    assert "bfloat16" in (record.measurements[-1].reason or "")
    assert len(record.proofs) == 1  # the same source: proven once
    pairs = {(sample.condition, sample.block) for sample in record.samples}
    assert len({block for _, block in pairs}) == len(pairs)  # no block is shared by two conditions
    assert [item.condition for item in record.outputs] == [0, 1]


def test_a_record_under_one_condition(bench: Bench) -> None:
    record = measure(bench.plan(bench.entry("jax:jit"), under=(Condition(1), Condition(1, "float64"))), equal)
    second = record.under(1)
    assert second.conditions == ((1, "float64"),)
    assert {item.condition for item in (*second.samples, *second.warmups, *second.colds)} == {1}
    assert second.proofs == record.proofs
    verdicts = judge(record).tasks
    assert [(task.task, task.precision) for task in verdicts] == [
        ("train", "float32"),
        ("infer", "float32"),
        ("train", "float64"),
        ("infer", "float64"),
    ]
    assert all(task.statement.startswith(f"{task.precision}: ") for task in verdicts)
    assert all([one.contestant for one in task.ranking] == ["jax:jit"] for task in verdicts)
    assert [m.status for m in second.measurements] == ["ok", "ok"]


def test_a_failure_under_one_condition_is_none_under_the_others(bench: Bench) -> None:
    entry = bench.entry("jax:jit", misbehave={"at": "predict", "do": "kill", "dtype": "float32", "after": 2})
    record = measure(bench.plan(entry, proving=None, under=(Condition(1), Condition(1, "float64"))), equal)
    by_precision = {(m.precision, m.task): m.status for m in record.measurements}
    assert by_precision["float32", "train"] == "failed"
    assert by_precision["float64", "train"] == by_precision["float64", "infer"] == "ok"


def test_conditions_that_mean_nothing(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match=r"unknown precision 'bfloat61'.*bfloat16"):
        Condition(1, "bfloat61")
    with pytest.raises(DataError, match="0 threads: expected at least 1"):
        Condition(0)
    with pytest.raises(DataError, match="conditions given twice: 1 threads, float32"):
        bench.plan(bench.entry("jax:jit"), under=(Condition(1), Condition(1)))
