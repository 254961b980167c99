"""The metrics against scikit-learn's, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from assay.errors import DataError, NotFoundError
from assay.workloads.metrics import METRICS, accuracy, auc, bits_per_character, find_metric, r2

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", [None, 3, 1])
def test_auc_agrees_with_scikit_learn(seed: int, levels: int | None) -> None:
    """`levels` rounds the scores to so many values: None has no ties, 1 nothing but ties."""
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the metrics are compared with")
    generator = np.random.default_rng(seed)
    targets = np.concatenate([[0, 1], generator.integers(0, 2, 200)])
    scores = generator.normal(size=len(targets)) + targets
    if levels is not None:
        scores = np.floor(scores * levels / 6) if levels > 1 else np.zeros(len(targets))
    expected = reference.roc_auc_score(targets, scores)
    assert auc(scores, targets) == pytest.approx(expected, abs=1e-12)
    assert auc(scores[:, None].astype(np.float64), targets[:, None].astype(np.float32)) == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracy_r2_and_bits_agree_with_scikit_learn(seed: int) -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the metrics are compared with")
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(50, 7)) * 3
    targets = generator.integers(0, 7, 50)
    assert accuracy(logits, targets) == pytest.approx(reference.accuracy_score(targets, logits.argmax(1)), abs=1e-15)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    nats = reference.log_loss(targets, probabilities, labels=np.arange(7))
    assert bits_per_character(logits, targets) == pytest.approx(nats / np.log(2), rel=1e-12)
    values, goals = generator.normal(size=(2, 60))
    assert r2(values, goals) == pytest.approx(reference.r2_score(goals, values), rel=1e-12)


def test_classes_stand_on_the_last_axis() -> None:
    logits = np.zeros((2, 3, 4), dtype=np.float32)
    logits[0, :, 1] = 1
    logits[1, :, 2] = 1
    assert accuracy(logits, np.array([[1, 1, 1], [2, 2, 0]])) == pytest.approx(5 / 6)
    assert bits_per_character(np.zeros((2, 3, 96)), np.zeros((2, 3), dtype=np.int64)) == pytest.approx(np.log2(96))


def test_bits_do_not_overflow() -> None:
    assert bits_per_character(np.array([[1e4, 0.0]], dtype=np.float32), np.array([0])) == 0.0
    assert bits_per_character(np.array([[1e4, 0.0]], dtype=np.float32), np.array([1])) == pytest.approx(1e4 / np.log(2))


def test_a_diverged_model_never_looks_good() -> None:
    broken = np.full((4, 3), np.nan)
    assert accuracy(broken, np.zeros(4, dtype=np.int64)) == 0.0
    assert np.isnan(bits_per_character(broken, np.zeros(4, dtype=np.int64)))
    assert np.isnan(auc(np.array([np.nan, 1.0]), np.array([0, 1])))
    assert np.isnan(r2(np.array([np.nan, 1.0]), np.array([0.0, 1.0])))
    for metric in METRICS.values():
        assert not metric.reached(float("nan"), 0.0)


def test_perfect_and_constant_predictions() -> None:
    assert auc(np.array([0.1, 0.9]), np.array([0, 1])) == 1.0
    assert auc(np.array([0.9, 0.1]), np.array([0, 1])) == 0.0
    assert auc(np.array([-np.inf, np.inf, 0.0]), np.array([0, 1, 0])) == 1.0
    assert r2(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 1.0
    assert r2(np.array([1.5, 1.5]), np.array([1.0, 2.0])) == 0.0


def test_what_is_undefined_is_refused() -> None:
    with pytest.raises(DataError, match="examples of both outcomes"):
        auc(np.zeros(3), np.ones(3))
    with pytest.raises(DataError, match="must be 0 or 1"):
        auc(np.zeros(3), np.array([0, 1, 2]))
    with pytest.raises(DataError, match="targets that differ"):
        r2(np.zeros(3), np.ones(3))


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (np.zeros((3, 2)), np.zeros(4, dtype=np.int64), "do not fit"),
        (np.zeros((3,)), np.zeros(3, dtype=np.int64), "do not fit"),
        (np.zeros((0, 2)), np.zeros(0, dtype=np.int64), "at least one target"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), "integers from 0 to 1"),
        (np.zeros((3, 2)), np.array([0, 1, -1]), "integers from 0 to 1"),
        (np.zeros((3, 2)), np.array([0.0, 1.0, 1.0]), "they must be integers"),
    ],
)
def test_logits_and_targets_that_do_not_fit_are_refused(logits: np.ndarray, targets: np.ndarray, words: str) -> None:
    for metric in (accuracy, bits_per_character):
        with pytest.raises(DataError, match=words):
            metric(logits, targets)


def test_one_value_for_each_target() -> None:
    for metric in (auc, r2):
        with pytest.raises(DataError, match="one for each"):
            metric(np.zeros(3), np.zeros(4))
        with pytest.raises(DataError, match="at least one"):
            metric(np.zeros(0), np.zeros(0))


def test_metrics_are_found_by_name() -> None:
    assert list(METRICS) == ["accuracy", "auc", "bits-per-character", "r2"]
    assert find_metric("auc").compute is auc
    assert find_metric("bits-per-character").reached(2.0, 2.1) and not find_metric("bits-per-character").reached(
        2.2, 2.1
    )
    assert find_metric("accuracy").reached(0.98, 0.98) and not find_metric("accuracy").reached(0.97, 0.98)
    with pytest.raises(NotFoundError, match="did you mean accuracy"):
        find_metric("acuracy")
