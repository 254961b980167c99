"""Strings, tables, trees and encoded images: host functions in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks.keras.rules.common import TABLE, type_of
from assay.graph.calls import Call
from assay.write.body import Builder


def plain_text(value: Any) -> str:
    """An attribute as Python writes it."""
    if isinstance(value, (ir.TensorProtocol, np.ndarray)):
        array = value.numpy() if not isinstance(value, np.ndarray) else value
        if array.dtype.kind in "OSU":
            listed = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1)]
            return f"np.array({listed}, dtype=object)"
        return f'np.array({array.tolist()}, dtype="{array.dtype.name}")'.replace("inf", "np.inf").replace(
            "nan", "np.nan"
        )
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, (list, tuple)):
        items = tuple(item.decode() if isinstance(item, bytes) else item for item in value)
        return repr(items)
    return repr(value)


def _host(call: Call, w: Builder, function: str, names: dict[str, str], extra: str = "") -> None:
    more = ""
    for attribute, argument in names.items():
        value = call.attribute(attribute)
        if value is not None:
            more += f", {argument}={plain_text(value)}"
    operands = ", ".join(w.array(value) for value in call.inputs if value is not None)
    outputs = list(call.outputs)
    w.emit(outputs if len(outputs) > 1 else call.y, f"on_host({function}, {operands}{more}{extra})")


@TABLE.rule("StringConcat")
def concat(call: Call, w: Builder) -> None:
    _host(call, w, "string_concat", {})


@TABLE.rule("StringSplit")
def split(call: Call, w: Builder) -> None:
    names = {"delimiter": "delimiter", "maxsplit": "maxsplit"}
    if len(call.outputs) == 1:
        call.outputs = (*call.outputs, None)
    _host(call, w, "string_split", names)


@TABLE.rule("StringNormalizer")
def normalizer(call: Call, w: Builder) -> None:
    call.attribute("locale")
    sensitive = ", case_sensitive=True" if call.attribute("is_case_sensitive", 0) else ""
    _host(call, w, "string_normalizer", {"case_change_action": "case", "stopwords": "stopwords"}, sensitive)


@TABLE.rule("RegexFullMatch")
def regex(call: Call, w: Builder) -> None:
    _host(call, w, "regex_full_match", {"pattern": "pattern"})


@TABLE.rule("TfIdfVectorizer")
def tfidf(call: Call, w: Builder) -> None:
    names = ("mode", "min_gram_length", "max_gram_length", "max_skip_count", "ngram_counts", "ngram_indexes", "weights")
    pool = "pool_strings" if call.attribute("pool_strings") else "pool_int64s"
    _host(call, w, "tfidf_vectorizer", {pool: "pool", **{name: name for name in names}})


@TABLE.rule("ImageDecoder")
def image(call: Call, w: Builder) -> None:
    _host(call, w, "image_decoder", {"pixel_format": "pixel_format"})


@TABLE.rule("ai.onnx.ml:LabelEncoder")
def label_encoder(call: Call, w: Builder) -> None:
    def side(stem: str) -> Any:
        for kind in ("strings", "int64s", "floats"):
            found = call.attribute(f"{stem}_{kind}")
            if found is not None:
                return found
        tensor = call.attribute(f"{stem}_tensor")
        return (
            None
            if tensor is None
            else [item.decode() if isinstance(item, bytes) else item for item in tensor.numpy().reshape(-1).tolist()]
        )

    keys, values = side("keys"), side("values")
    usual = {
        "string": ("default_string", "_Unused"),
        "int64": ("default_int64", -1),
        "float32": ("default_float", -0.0),
    }
    kind = type_of(call.y)
    name, otherwise = usual.get(kind, ("default_float", 0.0))
    default = call.attribute(name, otherwise)
    tensor = call.attribute("default_tensor")
    for other in ("default_string", "default_int64", "default_float"):
        call.attribute(other)
    if tensor is not None:
        default = tensor.numpy().reshape(-1)[0]
        default = default.decode() if isinstance(default, bytes) else getattr(default, "item", lambda: default)()
    dtype = "object" if kind == "string" else f"np.{kind}"
    listed = f"keys={_number_text(keys)}, values={_number_text(values)}, default={_number_text(default)}, dtype={dtype}"
    w.emit(call.y, f"on_host(label_encoder, {w.array(call.x)}, {listed})")


def _number_text(value: Any) -> str:
    """Numbers as Python writes them, those without digits included."""
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_number_text(item) for item in value)
        return f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, bytes):
        return repr(value.decode())
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    return repr(value)


@TABLE.rule("ai.onnx.ml:ArrayFeatureExtractor")
def features(call: Call, w: Builder) -> None:
    _host(call, w, "array_feature_extractor", {})


@TABLE.rule("ai.onnx.ml:Binarizer")
def binarizer(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    threshold = call.attribute("threshold", 0.0)
    w.emit(call.y, f"ops.cast({x} > {threshold!r}, {x}.dtype)", light=True)


@TABLE.rule("ai.onnx.ml:TreeEnsemble")
def trees(call: Call, w: Builder) -> None:
    names = (
        *("tree_roots", "nodes_featureids", "nodes_splits", "nodes_modes", "nodes_truenodeids", "nodes_trueleafs"),
        *("nodes_falsenodeids", "nodes_falseleafs", "leaf_targetids", "leaf_weights", "n_targets"),
        *("nodes_missing_value_tracks_true", "membership_values", "aggregate_function", "post_transform"),
    )
    call.attribute("nodes_hitrates")
    _host(call, w, "tree_ensemble", {name: name for name in names})
