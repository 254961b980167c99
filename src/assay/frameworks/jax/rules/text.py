"""Strings, tables and trees, by host definitions in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.jax.rules.common import TABLE, is_string, options
from assay.graph.calls import Call
from assay.write.body import Builder


def _text(value: Any) -> str:
    """A constant as source text; strings in double quotes."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        return '"' + repr(value)[1:-1].replace('"', '\\"') + '"'
    if isinstance(value, float):
        return f'float("{value}")' if not np.isfinite(value) else repr(value)
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_text(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _host(call: Call, w: Builder, place: int = 0) -> str:
    """An input as a NumPy array."""
    value = call.inputs[place]
    return w.array(value) if is_string(value) else f"np.asarray({w.array(value)})"


@TABLE.rule("StringConcat")
def string_concat(call: Call, w: Builder) -> None:
    w.emit(call.y, f"string_concat({w.array(call.x)}, {w.array(call.inputs[1])})", light=True)


@TABLE.rule("StringSplit")
def string_split(call: Call, w: Builder) -> None:
    delimiter, most = call.attribute("delimiter", ""), call.attribute("maxsplit", -1)
    more = options(delimiter=_text(delimiter) if delimiter else None, maxsplit=most if most != -1 else None)
    parts, counts = w.temporary("parts"), w.temporary("counts")
    w.emit([parts, counts], f"string_split({w.array(call.x)}{more})")
    if call.wanted(0) is not None:
        w.emit(call.y, w.use(parts), light=True)
    if call.wanted(1) is not None:
        w.emit(call.outputs[1] or call.y, f"jnp.asarray({w.use(counts)})")


@TABLE.rule("StringNormalizer")
def string_normalizer(call: Call, w: Builder) -> None:
    case, words = call.attribute("case_change_action", "NONE"), call.attribute("stopwords", [])
    call.attribute("locale")
    more = options(
        case=None if case == "NONE" else _text(case),
        case_sensitive=bool(call.attribute("is_case_sensitive", 0)) or None,
        stopwords=_text(tuple(words)) if words else None,
    )
    w.emit(call.y, f"string_normalizer({w.array(call.x)}{more})", light=True)


@TABLE.rule("RegexFullMatch")
def regex_full_match(call: Call, w: Builder) -> None:
    pattern = _text(call.attribute("pattern", ""))
    w.emit(call.y, f"jnp.asarray(regex_full_match({w.array(call.x)}, pattern={pattern}))", light=True)


@TABLE.rule("TfIdfVectorizer")
def tfidf_vectorizer(call: Call, w: Builder) -> None:
    strings, whole = call.attribute("pool_strings", None), call.attribute("pool_int64s", None)
    weights = call.attribute("weights", None)
    more = options(
        mode=_text(call.attribute("mode")),
        pool=_text(tuple(strings if strings is not None else whole or ())),
        ngram_counts=tuple(call.attribute("ngram_counts")),
        ngram_indexes=tuple(call.attribute("ngram_indexes")),
        min_gram_length=call.attribute("min_gram_length"),
        max_gram_length=call.attribute("max_gram_length"),
        max_skip_count=call.attribute("max_skip_count", 0) or None,
        weights=None if weights is None else tuple(weights),
    )
    w.emit(call.y, f"jnp.asarray(tfidf_vectorizer({_host(call, w)}{more}))")


@TABLE.rule("ai.onnx.ml:LabelEncoder")
def label_encoder(call: Call, w: Builder) -> None:
    def listed(stem: str) -> tuple[Any, ...]:
        for kind in ("int64s", "strings", "floats"):
            found = call.attribute(f"{stem}_{kind}", None)
            if found is not None:
                return tuple(found)
        tensor = call.attribute(f"{stem}_tensor", None)
        return () if tensor is None else tuple(tensor.numpy().tolist())

    keys, values = listed("keys"), listed("values")
    kind = "object" if is_string(call.y) else f"np.{call.y.dtype.name.lower()}" if call.y.dtype else "object"
    kind = {"np.float": "np.float32", "np.double": "np.float64"}.get(kind, kind)
    defaults = {"int64": -1, "string": "_Unused", "float": 0.0}
    given = {name: call.attribute(f"default_{name}", None) for name in defaults}
    tensor = call.attribute("default_tensor", None)
    usual = defaults["string" if kind == "object" else "int64" if "int" in kind else "float"]
    present = [item for item in given.values() if item is not None]
    own = {"object": "string"}.get(kind, "int64" if "int" in kind else "float")
    default = tensor.numpy().reshape(-1).tolist()[0] if tensor is not None else given[own] if present else usual
    default = usual if default is None else default
    text = f"label_encoder({_host(call, w)}, keys={_text(keys)}, values={_text(values)}"
    text += f", default={_text(default)}, dtype={kind})"
    w.emit(call.y, text if kind == "object" else f"jnp.asarray({text})")


@TABLE.rule("ai.onnx.ml:ArrayFeatureExtractor")
def array_feature_extractor(call: Call, w: Builder) -> None:
    text = f"array_feature_extractor({_host(call, w)}, {_host(call, w, 1)})"
    w.emit(call.y, text if is_string(call.y) else f"jnp.asarray({text})")


@TABLE.rule("ai.onnx.ml:Binarizer")
def binarizer(call: Call, w: Builder) -> None:
    x = w.array(call.x, 100)
    w.emit(call.y, f"({x} > {call.attribute('threshold', 0.0)}).astype({x}.dtype)", light=True)


@TABLE.rule("ai.onnx.ml:TreeEnsemble")
def tree_ensemble(call: Call, w: Builder) -> None:
    kind = "np.float64" if call.x.dtype is not None and call.x.dtype.name == "DOUBLE" else "np.float32"
    given: dict[str, str] = {}
    names = (
        *("tree_roots", "nodes_featureids", "nodes_splits", "nodes_modes", "nodes_truenodeids", "nodes_trueleafs"),
        *("nodes_falsenodeids", "nodes_falseleafs", "leaf_targetids", "leaf_weights", "n_targets"),
        *("nodes_missing_value_tracks_true", "membership_values", "aggregate_function", "post_transform"),
    )
    call.attribute("nodes_hitrates")
    for name in names:
        value = call.attribute(name, None)
        if value is None:
            continue
        if hasattr(value, "numpy"):
            array = value.numpy()
            if array.dtype.kind == "f":
                listed = [item if item == item else float("nan") for item in array.tolist()]
                given[name] = f"np.array([{', '.join(_text(item) for item in listed)}], {kind})"
            else:
                given[name] = _text(tuple(array.tolist()))
        else:
            given[name] = _text(tuple(value)) if isinstance(value, (list, tuple)) else str(value)
    w.emit(call.y, f"jnp.asarray(tree_ensemble({_host(call, w)}{options(**given)}))")
