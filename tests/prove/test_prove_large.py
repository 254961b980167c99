"""Large models: arrays are read one at a time and compared in blocks, with the same numbers as at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from assay.measure.arrays import save_arrays
from assay.prove import evidence, results
from assay.prove.evidence import BATCH, FEW, disturbed, gather
from assay.prove.results import Joined, deviation, read_results, size_of
from assay.workloads import WORKLOADS
from assay.write import write
from assay.write.weights import to_source


def test_results_are_those_of_the_whole_file(tmp_path: Path) -> None:
    model = WORKLOADS["vowels-rnn"].model()  # its gates are parts of the graph's weights, in another order
    package = write(model, "tensorflow")
    generator = np.random.default_rng(0)
    native = {path: generator.random(array.shape) for path, array in package.native_weights.items()}
    left_out = next(item.native for item in package.weights if item.role == "parameter")
    save_arrays(
        tmp_path / "proof.npz",
        {f"update/{path}": array for path, array in native.items()}
        | {f"gradient/{path}": array for path, array in native.items() if path != left_out},
    )
    shapes = {name: array.shape for name, array in model.weights().items()}
    maps = [item for item in package.weights if item.source in shapes]
    found = read_results(tmp_path / "proof.npz", model, package.weights)
    expected = to_source(maps, native, shapes)
    assert set(found.updates) == set(expected) and len(found.gradients) < len(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found.updates[name], array)
        assert found.update_sizes[name] == float(np.abs(array).max())


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    one = generator.standard_normal((7, 5))
    other = one * (1 + 1e-9 * generator.standard_normal(one.shape))
    holes = one.copy()
    holes[6, 4] = np.nan
    pairs = [(one, other), (one.T, other.T), (one, holes), (holes, holes.copy()), (one[0, 0], other[0, 0])]
    whole = [(deviation(a, b), size_of(a)) for a, b in pairs]
    monkeypatch.setattr(results, "BLOCK", 4)
    assert str([(deviation(a, b), size_of(a)) for a, b in pairs]) == str(whole)
    assert whole[2][0] == math.inf and whole[3][0] == 0.0


def test_weights_are_disturbed_alike_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = WORKLOADS["digits-cnn"].model()
    whole = disturbed(model).weights()
    monkeypatch.setattr(evidence, "_BLOCK", 7)
    for name, array in disturbed(model).weights().items():
        np.testing.assert_array_equal(array, whole[name])


def test_joined_mappings() -> None:
    joined = Joined({"a": np.zeros(1), "b": np.ones(1)}, {"c": np.ones(2)}, only=["c", "a"])
    assert list(joined) == ["c", "a"] and len(joined) == 2 and "b" not in joined


def test_a_large_model_is_proven_on_fewer_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    model = WORKLOADS["digits-cnn"].model()
    usual = gather(model)
    assert usual.reduced is None and len(usual.inputs[0]) == BATCH
    monkeypatch.setattr(evidence, "LARGE", 100)
    found = gather(model)
    assert found.reduced is not None and f"{FEW} examples instead of {BATCH}" in found.reduced
    sizes = {len(array) for inputs, targets in found.steps for array in (*inputs, targets)}
    assert sizes == {FEW} and found.targets is not None and len(found.targets) == FEW
    assert gather(model, batch=3).reduced is None and len(gather(model, batch=3).inputs[0]) == 3
    assert gather(WORKLOADS["mnist-cnn"].model()).reduced is not None
    monkeypatch.setattr(evidence, "_AVERAGED", 10**6)  # a batch normalisation would have too few numbers to average
    assert gather(WORKLOADS["mnist-cnn"].model()).reduced is None
