"""The facts and their JSON: nothing lost, nothing misread, and the names that others rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from assay.errors import DataError
from assay.show import facts
from assay.show.codec import encode
from assay.show.facts import Comparison

Sample = Callable[[str], Comparison]


def test_json_round_trip_keeps_everything(any_comparison: Comparison) -> None:
    again = Comparison.from_json(any_comparison.to_json())
    assert again.to_json() == any_comparison.to_json()
    if all(
        not proof.worst or math.isfinite(proof.worst.error) for proof in any_comparison.proofs
    ):  # NaN equals nothing
        assert again == any_comparison


def test_json_is_strict_ascii_and_survives_numbers_that_are_not_finite(sample: Sample) -> None:
    found = sample("all")
    assert found.training is not None
    curve = replace(found.training.curves[0], losses=(1.0, math.inf, -math.inf, math.nan), distance=math.inf)
    broken = replace(found, training=replace(found.training, curves=(curve,)))
    text = broken.to_json()
    assert text.isascii()
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert plain["training"]["curves"][0]["losses"] == [1.0, "Infinity", "-Infinity", "NaN"]
    again = Comparison.from_json(text).training
    assert again is not None
    assert again.curves[0].losses[:3] == (1.0, math.inf, -math.inf)
    assert math.isnan(again.curves[0].losses[3])


def test_names_that_other_programs_rely_on(sample: Sample) -> None:
    plain = sample("failures").to_dict()
    assert {"assay", "workload", "environment", "proofs", "measurements", "verdict"} <= plain.keys()
    assert {"contestant", "status", "worst"} <= plain["proofs"][0].keys()
    assert plain["proofs"][0]["worst"].keys() == {"check", "tensor", "error"}
    assert {proof["status"] for proof in plain["proofs"]} == {"equal", "different", "not-run"}
    assert {
        "contestant",
        "task",
        "batch_size",
        "median_s",
        "interval_s",
        "samples_per_s",
        "first_call_s",
        "peak_memory_bytes",
        "samples_s",
        "status",
        "reason",
    } <= plain["measurements"][0].keys()
    assert {m["task"] for m in plain["measurements"]} == {"train", "infer"}


def test_facts_are_frozen(sample: Sample) -> None:
    with pytest.raises(FrozenInstanceError):
        sample("all").assay = "2"  # type: ignore[misc]


def test_every_class_says_what_it_is() -> None:
    classes = [kind for kind in vars(facts).values() if isinstance(kind, type) and kind.__module__ == facts.__name__]
    assert len(classes) > 15
    for kind in classes:
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}("), f"{kind.__name__} has only a generated docstring"
        assert fields(kind)


def test_unknown_fields_are_ignored(sample: Sample) -> None:
    plain = sample("all").to_dict()
    plain["from_the_future"] = 1
    plain["workload"]["from_the_future"] = {"a": 1}
    assert Comparison.from_dict(plain) == sample("all")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain.pop("verdict"), "lacks verdict"),
        (lambda plain: plain["workload"].pop("loss"), "workload lacks loss"),
        (
            lambda plain: plain["workload"].update(batch_size="64"),
            "workload.batch_size should be a whole number, not '64'",
        ),
        (lambda plain: plain["workload"].update(batch_size=True), "workload.batch_size should be a whole number"),
        (
            lambda plain: plain["proofs"][1].update(status="fine"),
            r"proofs\[1\].status should be one of 'equal', 'different'",
        ),
        (lambda plain: plain["measurements"][0].update(interval_s=[1.0]), "should be a list of 2"),
        (lambda plain: plain["measurements"][0].update(median_s="fast"), "median_s should be a number"),
        (lambda plain: plain.update(contestants="jax:jit"), "contestants should be a list"),
        (lambda plain: plain["environment"].update(versions=[]), "environment.versions should be an object"),
        (lambda plain: plain.update(format=99), "format 99"),
    ],
)
def test_what_does_not_fit_is_named(sample: Sample, change: Callable[[dict], object], message: str) -> None:  # type: ignore[type-arg]
    plain = sample("default modes").to_dict()
    change(plain)
    with pytest.raises(DataError, match=message):
        Comparison.from_dict(plain)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"digits"', "{}", b"\xff\xfe\x00"])
def test_what_is_no_comparison_is_refused(text: str | bytes) -> None:
    with pytest.raises(DataError):
        Comparison.from_json(text)


def test_only_plain_values_are_written() -> None:
    assert encode(np.float64(0.5)) == 0.5
    with pytest.raises(TypeError, match="float32"):
        encode([np.float32(0.5)])
