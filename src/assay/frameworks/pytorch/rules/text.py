"""Strings, tables and trees: NumPy definitions that every framework shares, around arrays of strings and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, is_text
from assay.graph.calls import Call
from assay.model import intended
from assay.write.body import Builder
from assay.write.text import literal_text

_TREE = (
    *("tree_roots", "nodes_featureids", "nodes_splits", "nodes_modes", "nodes_truenodeids", "nodes_trueleafs"),
    *("nodes_falsenodeids", "nodes_falseleafs", "leaf_targetids", "leaf_weights", "n_targets"),
    *("nodes_missing_value_tracks_true", "membership_values", "aggregate_function", "post_transform"),
)


def _array(call: Call, w: Builder, slot: int = 0) -> str:
    """An input as a NumPy array."""
    value = call.inputs[slot]
    assert value is not None
    return w.array(value) if is_text(value) else f"{w.array(value)}.numpy(force=True)"


def _emit(call: Call, w: Builder, text: str) -> None:
    """A NumPy result as the value that it is: strings stay as they are."""
    if is_text(call.y):
        return w.emit(call.y, text)
    found = w.temporary("found")
    w.emit(found, text)
    w.emit(call.y, f"torch.from_numpy({w.use(found)})")


def _options(**given: Any) -> list[str]:
    return [f"{name}={literal_text(value)}" for name, value in given.items() if value is not None]


@TABLE.rule("StringConcat")
def string_concat(call: Call, w: Builder) -> None:
    w.emit(call.y, f"string_concat({w.array(call.x)}, {w.array(call.inputs[1])})", light=True)


@TABLE.rule("StringSplit")
def string_split(call: Call, w: Builder) -> None:
    delimiter, most = call.attribute("delimiter", ""), call.attribute("maxsplit", -1)
    options = _options(delimiter=delimiter or None, maxsplit=most if most != -1 else None)
    counts = w.temporary("counts")
    w.emit([call.outputs[0], counts], f"string_split({arguments_of(w.array(call.x), *options)})")
    if (second := call.wanted(1)) is not None:
        w.emit(second, f"torch.from_numpy({w.use(counts)})")


@TABLE.rule("StringNormalizer")
def string_normalizer(call: Call, w: Builder) -> None:
    case, words = call.attribute("case_change_action", "NONE"), call.attribute("stopwords")
    call.attribute("locale")
    options = _options(
        case=case if case != "NONE" else None,
        case_sensitive=True if call.attribute("is_case_sensitive", 0) else None,
        stopwords=tuple(words) if words else None,
    )
    w.emit(call.y, f"string_normalizer({arguments_of(w.array(call.x), *options)})", light=True)


@TABLE.rule("RegexFullMatch")
def regex_full_match(call: Call, w: Builder) -> None:
    pattern = literal_text(call.attribute("pattern", ""))
    w.emit(call.y, f"torch.from_numpy(regex_full_match({w.array(call.x)}, pattern={pattern}))", light=True)


@TABLE.rule("TfIdfVectorizer")
def tfidf_vectorizer(call: Call, w: Builder) -> None:
    texts, whole, weights = (call.attribute(name) for name in ("pool_strings", "pool_int64s", "weights"))
    options = _options(
        mode=call.attribute("mode"),
        pool=tuple(texts if texts is not None else whole or ()),
        ngram_counts=tuple(call.attribute("ngram_counts")),
        ngram_indexes=tuple(call.attribute("ngram_indexes")),
        min_gram_length=call.attribute("min_gram_length"),
        max_gram_length=call.attribute("max_gram_length"),
        max_skip_count=call.attribute("max_skip_count", 0) or None,
        weights=None if weights is None else tuple(weights),
    )
    _emit(call, w, f"tfidf_vectorizer({arguments_of(_array(call, w), *options)})")


@TABLE.rule("ai.onnx.ml:LabelEncoder")
def label_encoder(call: Call, w: Builder) -> None:
    def listed(stem: str) -> tuple[Any, ...]:
        found = [call.attribute(f"{stem}_{kind}") for kind in ("int64s", "strings", "floats")]
        tensor = call.attribute(f"{stem}_tensor")
        if tensor is not None:
            return tuple(_plain(item) for item in tensor.numpy().reshape(-1).tolist())
        return tuple(next((item for item in found if item is not None), ()))

    kinds = {ir.DataType.STRING: ("string", "object"), ir.DataType.FLOAT: ("float", "np.float32")}
    name, dtype = kinds.get(call.y.dtype or ir.DataType.INT64, ("int64", "np.int64"))
    if call.y.dtype is not None and call.y.dtype not in kinds:
        dtype = f"np.{call.y.dtype.numpy().name}"
    usual = {"string": "_Unused", "float": 0.0, "int64": -1}[name]
    for other in ("string", "float", "int64"):
        if (found := call.attribute(f"default_{other}")) is not None and other == name:
            usual = found
    if (tensor := call.attribute("default_tensor")) is not None:
        usual = _plain(tensor.numpy().reshape(-1).tolist()[0])
    options = _options(keys=listed("keys"), values=listed("values"), default=usual)
    _emit(call, w, f"label_encoder({arguments_of(_array(call, w), *options, f'dtype={dtype}')})")


def _plain(item: Any) -> Any:
    return item.decode() if isinstance(item, bytes) else item


@TABLE.rule("ai.onnx.ml:ArrayFeatureExtractor")
def array_feature_extractor(call: Call, w: Builder) -> None:
    _emit(call, w, f"array_feature_extractor({_array(call, w)}, {_array(call, w, 1)})")


@TABLE.rule("ai.onnx.ml:Binarizer")
def binarizer(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    w.emit(call.y, f"({w.array(call.x, 3)} > {call.attribute('threshold', 0.0)}).to({x}.dtype)", light=True)


@TABLE.rule("ai.onnx.ml:TreeEnsemble")
def tree_ensemble(call: Call, w: Builder) -> None:
    kind = "np.float64" if call.x.dtype == ir.DataType.DOUBLE else "np.float32"
    call.attribute("nodes_hitrates")
    options = []
    for name in _TREE:
        value = call.attribute(name)
        if value is None:
            continue
        array = value.numpy() if hasattr(value, "numpy") else None
        if array is None:
            options += _options(**{name: tuple(value) if isinstance(value, (list, tuple)) else value})
        elif array.dtype.kind == "f":
            options.append(f"{name}=np.array({literal_text([_number(item) for item in array])}, {kind})")
        else:
            options += _options(**{name: tuple(array.tolist())})
    _emit(call, w, f"tree_ensemble({arguments_of(_array(call, w), *options)})")


def _number(item: Any) -> float:
    """A float32 as the decimal that somebody meant."""
    return intended(float(item)) if isinstance(item, np.float32) and np.isfinite(item) else float(item)
