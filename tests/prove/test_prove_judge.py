"""The judge finds what is different, says it, and is not fooled by what is small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.frameworks import Contestant
from assay.model import intended
from assay.prove.compare import Judge
from assay.prove.evidence import disturbed, gather
from assay.prove.oracle import evaluate
from assay.prove.results import Results, deviation
from assay.workloads import WORKLOADS
from assay.write import Package, write

MODEL = disturbed(WORKLOADS["digits-cnn"].model())
EVIDENCE = gather(MODEL)
TRUTH = tuple(evaluate(MODEL, {"images": EVIDENCE.inputs[0]}))
ONE, OTHER = Contestant("pytorch", "eager"), Contestant("jax", "jit")


@pytest.fixture
def package() -> Package:
    return write(MODEL, "pytorch")


def results() -> Results:
    generator = np.random.default_rng(0)
    weights = MODEL.weights()
    gradients = {name: generator.standard_normal(array.shape) for name, array in weights.items()}
    ones = np.ones((64, 256))
    kept = (generator.random(ones.shape) >= 0.25) / 0.75
    return Results(TRUTH, 2.3, gradients, {}, np.array([2.3, 2.2]), dict(gradients), ((0.25, kept, ones),))


def changed(found: Results, name: str, factor: float, what: str = "gradients") -> Results:
    arrays = dict(getattr(found, what))
    arrays[name] = arrays[name] * factor
    return replace(found, **{what: arrays})


def judged(second: Results, package: Package, errors: dict[str, str] | None = None) -> tuple[str, str | None]:
    judge = Judge(MODEL, TRUTH, trained=True)
    assert judge.judge(ONE, package, results(), {}).status == "equal"
    proof = judge.judge(OTHER, package, second, errors or {})
    return proof.status, proof.reason


def test_the_same_is_equal(package: Package) -> None:
    assert judged(results(), package) == ("equal", None)


@pytest.mark.parametrize("what", ["gradients", "updates"])
def test_a_wrong_tensor_is_named(package: Package, what: str) -> None:
    status, reason = judged(changed(results(), "conv2.weight", 1 + 1e-6, what), package)
    assert status == "different"
    assert reason is not None and "conv2.weight deviates by" in reason


def test_rounding_is_not_a_difference(package: Package) -> None:
    assert judged(changed(results(), "conv2.weight", 1 + 1e-13), package)[0] == "equal"


def test_a_missing_gradient_is_a_difference(package: Package) -> None:
    found = results()
    missing = replace(found, gradients={k: v for k, v in found.gradients.items() if k != "hidden.bias"})
    assert judged(missing, package) == ("different", "gradients: hidden.bias is missing")


def with_noise(size: float, update: float) -> Results:
    """Results in which conv1.bias, as before batch normalisation, has no gradient but rounding."""
    found = results()
    noise = np.full_like(found.gradients["conv1.bias"], size)
    moved = np.full_like(noise, update)
    return replace(
        found,
        gradients={**found.gradients, "conv1.bias": noise},
        updates={**found.updates, "conv1.bias": moved},
    )


@pytest.mark.parametrize(
    ("second", "update", "expected"),
    [(-3e-15, 2e-8, "equal"), (1e-10, 2e-8, "different"), (-3e-15, 1e-2, "different")],
)
def test_a_gradient_that_is_only_rounding(package: Package, second: float, update: float, expected: str) -> None:
    judge = Judge(MODEL, TRUTH, trained=True)
    assert judge.judge(ONE, package, with_noise(2e-17, 0.0), {}).status == "equal"
    proof = judge.judge(OTHER, package, with_noise(second, update), {})
    assert proof.status == expected, proof.reason
    assert proof.reason is None or "conv1.bias" in proof.reason


def test_wrong_outputs_are_different_and_no_reference(package: Package) -> None:
    judge = Judge(MODEL, TRUTH, trained=True)
    wrong = replace(results(), outputs=(TRUTH[0] * (1 + 1e-7),))
    assert judge.judge(ONE, package, wrong, {}).status == "different"
    assert judge.reference is None
    assert judge.judge(OTHER, package, results(), {}).status == "equal"


def test_a_stage_that_failed(package: Package) -> None:
    assert judged(results(), package, {"steps": "ValueError: no"}) == ("different", "steps: ValueError: no")
    assert judged(results(), package, {"open": "ValueError: no"})[0] == "not-run"


@pytest.mark.parametrize(
    ("rate", "scale", "dropped", "evaluated", "message"),
    [
        (0.5, 2.0, 0.5, 1.0, "dropout rates"),
        (0.25, 1.0, 0.25, 1.0, "multiplied by"),
        (0.25, 1 / 0.75, 0.5, 1.0, "of the elements are dropped"),
        (0.25, 1 / 0.75, 0.25, 0.5, "in evaluation mode"),
    ],
)
def test_dropout_faults(
    package: Package, rate: float, scale: float, dropped: float, evaluated: float, message: str
) -> None:
    ones = np.ones((64, 256))
    trained = (np.random.default_rng(1).random(ones.shape) >= dropped) * scale
    status, reason = judged(replace(results(), dropout=((rate, trained, ones * evaluated),)), package)
    assert status == "different"
    assert reason is not None and message in reason


@given(st.floats(1e-12, 1e-2), st.floats(1e-3, 1e3))
def test_deviation_is_relative(error: float, scale: float) -> None:
    truth = np.array([1.0, -0.5, 0.25]) * scale
    assert deviation(truth * (1 + error), truth) == pytest.approx(error, rel=1e-3)


def test_deviation_of_what_cannot_be_compared() -> None:
    assert deviation(np.ones(3), np.ones(4)) == np.inf
    assert deviation(np.array([np.nan]), np.array([1.0])) == np.inf
    assert deviation(np.array([np.nan]), np.array([np.nan])) == 0.0
    assert deviation(np.zeros(3), np.zeros(3)) == 0.0


@pytest.mark.parametrize(
    ("stored", "meant"),
    [(1e-5, 1e-5), (1 / 6, 1 / 6), (0.2, 0.2), (0.01, 0.01), (1 / 3, 1 / 3), (0.1234567, 0.1234567), (2.0, 2.0)],
)
def test_attributes_are_the_numbers_that_were_meant(stored: float, meant: float) -> None:
    assert intended(float(np.float32(stored))) == meant


def test_the_oracle_gathers_from_a_row() -> None:
    """ONNX's reference fails on one row of many and fewer indices, as in BERT's table of token types."""
    from onnx import TensorProto, helper

    from assay.bring.onnx import model_of

    graph = helper.make_graph(
        [helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 70])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor("i", TensorProto.INT64, [1, 3], [5, -1, 0])],
    )
    found = model_of(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), "g", "g")
    x = np.arange(140.0).reshape(2, 70)
    np.testing.assert_array_equal(evaluate(found, {"x": x})[0], [[5.0, 69.0, 0.0]])
