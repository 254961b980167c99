"""The NumPy definitions that written packages may take along: every official case of their operators, and what those leave out."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import pytest

from assay.testing.conformance import differences
from assay.testing.official import OfficialCase, official
from assay.write.host.image import image_decoder
from assay.write.host.ml import array_feature_extractor, binarizer, label_encoder, transformed_scores, tree_ensemble
from assay.write.host.selection import non_max_suppression, unique_elements
from assay.write.host.text import (
    regex_full_match,
    string_concat,
    string_normalizer,
    string_split,
    tfidf_vectorizer,
)

Attributes = dict[str, Any]


def _normalized(given: Attributes, x: np.ndarray) -> Any:
    return string_normalizer(
        x,
        case=given.get("case_change_action", "NONE"),
        case_sensitive=bool(given.get("is_case_sensitive", 0)),
        stopwords=tuple(given.get("stopwords", ())),
    )


def _tfidf(given: Attributes, x: np.ndarray) -> Any:
    pool = given.pop("pool_int64s", None) or given.pop("pool_strings")
    return tfidf_vectorizer(x, pool=tuple(pool), **given)


_TYPES = {"int64s": np.int64, "floats": np.float32, "strings": object}


def _encoded(given: Attributes, x: np.ndarray) -> Any:
    keys = next(value for name, value in given.items() if name.startswith("keys_"))
    kind, values = next((name[7:], value) for name, value in given.items() if name.startswith("values_"))
    if kind == "tensor":
        default = given["default_tensor"].item()
        return label_encoder(x, keys=keys, values=values.tolist(), default=default, dtype=values.dtype)
    default = given.get(f"default_{kind[:-1]}", {"int64s": -1, "floats": -0.0, "strings": "_Unused"}[kind])
    return label_encoder(x, keys=keys, values=values, default=default, dtype=_TYPES[kind])


def _suppressed(given: Attributes, boxes: np.ndarray, scores: np.ndarray, *limits: np.ndarray) -> Any:
    names = ("max_output_boxes_per_class", "iou_threshold", "score_threshold")
    named: Attributes = dict(zip(names, limits, strict=False))
    return non_max_suppression(boxes, scores, center_point_box=bool(given.get("center_point_box", 0)), **named)


def _unique(given: Attributes, x: np.ndarray) -> Any:
    return unique_elements(x, axis=given.get("axis"), sorted=bool(given.get("sorted", 1)))


# Operator → how its attributes and inputs are given to the definition.
OPERATORS: dict[str, Callable[..., Any]] = {
    "StringNormalizer": _normalized,
    "StringSplit": lambda given, x: string_split(x, **given),
    "StringConcat": lambda given, x, y: string_concat(x, y),
    "RegexFullMatch": lambda given, x: regex_full_match(x, **given),
    "TfIdfVectorizer": _tfidf,
    "LabelEncoder": _encoded,
    "ArrayFeatureExtractor": lambda given, x, indices: array_feature_extractor(x, indices),
    "Binarizer": lambda given, x: binarizer(x, **given),
    "TreeEnsemble": lambda given, x: tree_ensemble(x, **given),
    "ImageDecoder": lambda given, x: image_decoder(x, **given),
    "NonMaxSuppression": _suppressed,
    "Unique": _unique,
}


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode()
    return (
        [item.decode() if isinstance(item, bytes) else item for item in value] if hasattr(value, "__len__") else value
    )


@lru_cache
def _cases(operator: str) -> list[OfficialCase]:
    return [case for case in official(("node",)) if [node.op_type for node in case.model.graph.node] == [operator]]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_official_case(operator: str) -> None:
    if operator == "ImageDecoder":
        pytest.importorskip("PIL")
    cases = _cases(operator)
    assert cases
    for case in cases:
        node = case.model.graph.node[0]
        inputs, expected = case.data[0]
        found = OPERATORS[operator]({item.name: _value(item) for item in node.attribute}, *inputs)
        outputs = found if isinstance(found, tuple) else (found,)
        wanted = [value for value, name in zip(outputs, node.output, strict=False) if name]
        assert not differences(tuple(wanted), expected, case.rtol, case.atol), case.name


def test_what_is_left_of_strings() -> None:
    x = np.array(["Ab", "", "the", "É"], dtype=object)
    assert string_normalizer(x, stopwords=("THE",), case="LOWER").tolist() == ["ab", "", "é"]
    assert string_normalizer(x[None, 2:3], stopwords=("the",)).tolist() == [[""]]
    padded, counts = string_split(np.array(["  a b  c ", "   "], dtype=object), maxsplit=1)
    assert padded.tolist() == [["a", "b  c "], ["", ""]] and counts.tolist() == [2, 0]
    assert string_concat(np.array("a", dtype=object), np.array("b", dtype=object)).shape == ()


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\w+", "é", False),  # ASCII, as in RE2
        (r"é+", "éé", True),
        (r"[[:alpha:]]+[]$]*", "ab$]", True),
        (r"[^[:digit:]]+", "ab", True),
        (r"[^[:digit:]]+", "a1", False),
        (r"a$\n", "a\n", False),  # `$` is the end of the text
        (r"a\z", "a", True),
        (r"(?m)a$\nb", "a\nb", True),
        (r"\$\d", "$4", True),
        (r"[$]", "$", True),
    ],
)
def test_regular_expressions_as_in_re2(pattern: str, text: str, matches: bool) -> None:
    assert regex_full_match(np.array([text], dtype=object), pattern=pattern).tolist() == [matches]


@pytest.mark.parametrize("pattern", [r"\pL", r"[[:^alpha:]]", r"\Qa\E"])
def test_a_pattern_that_python_does_not_know(pattern: str) -> None:
    with pytest.raises(re.error):
        regex_full_match(np.array(["a"], dtype=object), pattern=pattern)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 3.0, 4.0, 5.0)])
@pytest.mark.parametrize("skips", [0, 1, 3])
@pytest.mark.parametrize("lengths", [(1, 1), (1, 2), (2, 2), (1, 3)])
def test_tfidf_is_that_of_the_reference(
    mode: str, weights: tuple[float, ...] | None, skips: int, lengths: tuple[int, int]
) -> None:
    given: Attributes = {
        "mode": mode,
        "ngram_counts": (0, 2, 6),
        "ngram_indexes": (0, 1, 3, 2, 4),
        "min_gram_length": lengths[0],
        "max_gram_length": lengths[1],
        "max_skip_count": skips,
    }
    words = np.random.default_rng(0).choice(["a", "b", "c"], (4, 9)).astype(object)
    pool = ("a", "b", "a", "b", "c", "c", "a", "b", "c")
    node = onnx.helper.make_node(
        "TfIdfVectorizer", ["x"], ["y"], pool_strings=list(pool), weights=weights or [1.0] * 5, **given
    )
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.STRING, [4, 9])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 5])],
    )
    expected = onnx.reference.ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": words})[0]
    np.testing.assert_array_equal(tfidf_vectorizer(words, pool=pool, weights=weights, **given), expected)


def test_labels_of_every_type() -> None:
    numbers = np.array([0.1, np.nan, 7], dtype=np.float32)
    given: Attributes = {"keys": (0.1, float("nan"), 0.1), "values": ("a", "b", "c"), "default": "?", "dtype": object}
    assert label_encoder(numbers, **given).tolist() == ["c", "b", "?"]
    found = label_encoder(np.array([[3]]), keys=(3,), values=(0.5,), default=-0.0, dtype=np.float32)
    assert found.dtype == np.float32 and found.shape == (1, 1) and found[0, 0] == 0.5


def test_trees_with_missing_values_and_every_aggregation() -> None:
    # Two trees of one node: x0 <= 1 ? 10 : 20 (NaN goes to the true branch), x1 in {0, 3} ? 30 : 40.
    given: Attributes = {
        "tree_roots": (0, 1),
        "nodes_featureids": (0, 1),
        "nodes_splits": np.array([1, 0], np.float32),
        "nodes_modes": (0, 6),
        "nodes_truenodeids": (0, 2),
        "nodes_trueleafs": (1, 1),
        "nodes_falsenodeids": (1, 3),
        "nodes_falseleafs": (1, 1),
        "leaf_targetids": (0, 0, 0, 0),
        "leaf_weights": np.array([10, 20, 30, 40], np.float32),
        "nodes_missing_value_tracks_true": (1, 0),
        "membership_values": np.array([0, 3, np.nan], np.float32),
    }
    x = np.array([[0, 0], [2, 3], [np.nan, 1], [1, np.nan]], np.float32)
    sums = [tree_ensemble(x, aggregate_function=mode, **given)[:, 0].tolist() for mode in range(4)]
    assert sums == [[20, 25, 25, 25], [40, 50, 50, 50], [10, 20, 10, 10], [30, 30, 40, 40]]


def test_transformations_of_scores() -> None:
    scores = np.array([[0.2, 0.0, 0.7]])
    softmax = transformed_scores(scores, 1)
    np.testing.assert_allclose(softmax, np.exp(scores) / np.exp(scores).sum())
    nonzero = transformed_scores(scores, 3)
    assert nonzero[0, 1] == 0 and nonzero.sum() == pytest.approx(1)
    np.testing.assert_allclose(transformed_scores(scores, 2), 1 / (1 + np.exp(-scores)))
    np.testing.assert_allclose(transformed_scores(scores[:, [0, 2]], 4), [[-0.8416, 0.5244]], rtol=4e-3)


def test_unique_slices_in_the_order_they_come() -> None:
    x = np.array([[3, 1, 3, 2], [0, 5, 0, 5]])
    found, first, inverse, counts = unique_elements(x, axis=1, sorted=False)
    assert found.tolist() == [[3, 1, 2], [0, 5, 5]]
    assert (first.tolist(), inverse.tolist(), counts.tolist()) == ([0, 1, 3], [0, 1, 0, 2], [2, 1, 1])


def test_no_boxes_without_a_limit() -> None:
    boxes, scores = np.zeros((1, 2, 4), np.float32), np.ones((1, 1, 2), np.float32)
    assert non_max_suppression(boxes, scores).shape == (0, 3)
    assert non_max_suppression(boxes, scores, max_output_boxes_per_class=5).tolist() == [[0, 0, 0], [0, 0, 1]]
