"""Passes beside the rounds: percentiles with their bounds, energy counters, starts, costs, what is saved."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from measure_bench import FAST, Bench

from assay.frameworks.base import Contestant
from assay.measure import Condition, ProofResult, measure, read_record
from assay.measure.energy import Energy
from assay.measure.quantiles import percentiles, upper_rank


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


@pytest.mark.parametrize(("percent", "fewest"), [(50, 5), (90, 29), (95, 59), (99, 299)])
def test_the_fewest_calls_that_bound_a_percentile(percent: int, fewest: int) -> None:
    """1 - pⁿ ≥ 95 %: only then is the largest of n calls above the percentile often enough."""
    assert 1 - (percent / 100) ** fewest >= 0.95 > 1 - (percent / 100) ** (fewest - 1)
    assert upper_rank(fewest, percent / 100) == fewest
    assert upper_rank(fewest - 1, percent / 100) is None
    assert [one.percent for one in percentiles([1.0] * fewest)][-1] == percent


@pytest.mark.parametrize("percent", [50, 90, 99])
def test_bounds_cover_the_true_percentile(percent: int) -> None:
    """Of exponential times, whose percentiles are known, in 95 % of the trials or more."""
    import math

    draw, truth = random.Random(percent), -math.log(1 - percent / 100)
    trials = 400
    covered = 0
    for _ in range(trials):
        found = {one.percent: one for one in percentiles([draw.expovariate(1) for _ in range(320)])}
        covered += found[percent].upper_s >= truth
        assert found[percent].upper_s >= found[percent].value_s
    assert covered >= 0.95 * trials - 3 * math.sqrt(trials * 0.95 * 0.05)


def powercap(root: Path, **energy: int) -> Path:
    """A folder like /sys/class/powercap."""
    for name, value in energy.items():
        folder = root / f"intel-rapl:{len(list(root.iterdir()))}"
        folder.mkdir()
        (folder / "name").write_text(name.replace("_", "-") + "\n")
        (folder / "energy_uj").write_text(f"{value}\n")
        (folder / "max_energy_range_uj").write_text("999999\n")
    return root


class Card:
    """What NVML tells of one card."""

    def nvmlInit(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return 5000


def test_energy_of_packages_and_cards(tmp_path: Path) -> None:
    counters = Energy(powercap(tmp_path, package_0=999_000, core=5, package_1=100), Card())
    assert counters.sources == ("RAPL, 2 packages", "NVML, 1 card") and counters.absent is None
    before = counters.read()
    assert before == (999_000, 100, 5000)
    # The first package's counter began anew, the second took 900 µJ, the card 250 mJ.
    assert counters.joules(before, (1_000, 1_000, 5250)) == pytest.approx(2000e-6 + 900e-6 + 0.25)


class Absent:
    def nvmlInit(self) -> None:
        raise RuntimeError("no driver")


def test_without_counters_the_reason_is_said(tmp_path: Path) -> None:
    counters = Energy(tmp_path / "nothing", Absent())
    assert counters.sources == () and "no RAPL domain" in (counters.absent or "")
    folder = powercap(tmp_path, package_0=1) / "intel-rapl:0"
    (folder / "energy_uj").unlink()
    counters = Energy(tmp_path, Absent())
    assert counters.sources == () and "cannot be read" in (counters.absent or "")


def run(bench: Bench, **behaviour: Any) -> Any:
    effort = replace(FAST, costs=True, latency_seconds=0.1, energy_seconds=0.01)
    plan = bench.plan(bench.entry("jax:jit", **behaviour), effort=effort, under=(Condition(1), Condition(1, "float64")))
    record = measure(plan, equal)
    assert record == read_record(plan.folder / "record.jsonl")
    return record


def test_every_pass_of_a_run(bench: Bench) -> None:
    record = run(bench, device_memory=4096)
    assert [(item.condition, item.batch_size) for item in record.latencies] == [(0, 1), (1, 1)]
    for item in record.latencies:
        assert 0 < len(item.times_s) <= 400 and min(item.times_s) > 0
    assert [item.condition for item in record.starts] == [0, 0, 1]  # the second with what the first one left on disk
    for start in record.starts:
        assert (start.task, start.batch_size, start.cache) == ("infer", 1, "none")
        assert start.import_s > 0 and start.first_s >= start.compile_s >= 0
    costs = [(item.condition, item.task) for item in record.costs]
    assert costs == [(0, "infer"), (0, "train"), (1, "infer"), (1, "train")]
    for cost in record.costs:
        assert cost.device_bytes == 4096
        assert (cost.steady_bytes or 0) >= 0 and (cost.joules is None) == (cost.calls == 0)
    (saved,) = record.saved
    assert (saved.format, saved.bytes) == ("fake", 4)
    assert record.under(1).starts == tuple(item for item in record.starts if item.condition == 1)


def test_a_model_that_cannot_be_saved(bench: Bench) -> None:
    (saved,) = run(bench, misbehave={"at": "save", "do": "raise"}).saved
    assert saved.format is None and "because it was told to" in saved.reason


def test_a_worker_that_dies_in_a_pass_costs_that_pass(bench: Bench) -> None:
    record = run(bench, misbehave={"at": "save", "do": "kill"})
    assert record.saved == () and len(record.costs) == 4
    assert any("its costs could not be measured" in item.text and "SIGKILL" in item.text for item in record.decisions)
    assert all(item.status == "ok" for item in record.measurements)
