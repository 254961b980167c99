"""TensorFlow's lowering table: strings and look-up tables, which are NumPy arrays in written code, and image files."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.tensorflow.common import TABLE, carrier, is_text, kind_of, written
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.table import Raw


def _host(call: Call, w: Builder) -> str:
    """The first input as a NumPy array."""
    return w.array(call.x) if is_text(call.x) else f"np.asarray({w.array(call.x)})"


def _strings(values: Any) -> tuple[Any, ...] | None:
    return None if values is None else tuple(v.decode() if isinstance(v, bytes) else v for v in values)


@TABLE.rule("StringNormalizer")
def normalise_strings(call: Call, w: Builder) -> None:
    case, sensitive = call.attribute("case_change_action", "NONE"), bool(call.attribute("is_case_sensitive", 0))
    words = _strings(call.attribute("stopwords"))
    text = written(
        "string_normalizer",
        w.array(call.x),
        case=None if case == "NONE" else case,
        case_sensitive=sensitive or None,
        stopwords=words or None,
    )
    w.emit(call.y, text)


@TABLE.rule("StringSplit")
def split_strings(call: Call, w: Builder) -> None:
    delimiter, most = call.attribute("delimiter", ""), call.attribute("maxsplit", -1)
    text = written("string_split", w.array(call.x), delimiter=delimiter or None, maxsplit=None if most == -1 else most)
    parts, counts = w.temporary("parts"), w.temporary("counts")
    w.emit([parts, counts], text)
    if call.wanted(0) is not None:
        w.emit(call.outputs[0], w.use(parts))  # type: ignore[arg-type]
    if call.wanted(1) is not None:
        w.emit(call.outputs[1], f"tf.constant({w.use(counts)})")  # type: ignore[arg-type]


@TABLE.rule("StringConcat")
def concatenate_strings(call: Call, w: Builder) -> None:
    w.emit(call.y, f"string_concat({', '.join(w.array(value) for value in call.inputs)})")


@TABLE.rule("RegexFullMatch")
def match(call: Call, w: Builder) -> None:
    w.emit(call.y, f"tf.constant({written('regex_full_match', w.array(call.x), pattern=call.attribute('pattern'))})")


@TABLE.rule("TfIdfVectorizer")
def vectorise(call: Call, w: Builder) -> None:
    strings, numbers = call.attribute("pool_strings"), call.attribute("pool_int64s")
    weights = call.attribute("weights")
    text = written(
        "tfidf_vectorizer",
        _host(call, w),
        mode=call.attribute("mode"),
        pool=_strings(strings) if strings else tuple(numbers),
        ngram_counts=tuple(call.attribute("ngram_counts")),
        ngram_indexes=tuple(call.attribute("ngram_indexes")),
        min_gram_length=call.attribute("min_gram_length"),
        max_gram_length=call.attribute("max_gram_length"),
        max_skip_count=call.attribute("max_skip_count") or None,
        weights=tuple(weights) if weights else None,
    )
    w.emit(call.y, f"tf.constant({text})")


@TABLE.rule("ai.onnx.ml:LabelEncoder")
def encode_labels(call: Call, w: Builder) -> None:
    found: dict[str, Any] = {}
    for role in ("keys", "values"):
        lists = {kind: call.attribute(f"{role}_{kind}") for kind in ("tensor", "strings", "int64s", "floats")}
        kind, values = next((kind, values) for kind, values in lists.items() if values is not None)
        found[role] = tuple(values.numpy().reshape(-1).tolist()) if kind == "tensor" else tuple(values)
    defaults = {
        "default_tensor": call.attribute("default_tensor"),
        "default_string": call.attribute("default_string", "_Unused"),
        "default_int64": call.attribute("default_int64", -1),
        "default_float": call.attribute("default_float", -0.0),
    }
    to_text = is_text(call.y)
    if defaults["default_tensor"] is not None:
        default = defaults["default_tensor"].numpy().reshape(-1).tolist()[0]
    elif to_text:
        default = defaults["default_string"]
    else:
        default = defaults["default_int64" if "INT" in kind_of(call.y).name else "default_float"]
    dtype = "object" if to_text else f"np.{carrier(kind_of(call.y)).removeprefix('tf.')}"
    (default,) = _strings([default])  # type: ignore[misc]
    text = written(
        "label_encoder",
        _host(call, w),
        keys=_numbers(_strings(found["keys"])),
        values=_numbers(_strings(found["values"])),
        default=_numbers((default,), single=True),
        dtype=Raw(dtype),
    )
    w.emit(call.y, text if to_text else f"tf.constant({text})")


def _numbers(values: Any, single: bool = False) -> Any:
    """Values as literals; NaN and infinity are written as NumPy has them."""
    texts = [
        Raw(f"np.{value}".replace("np.-", "-np.")) if isinstance(value, float) and not np.isfinite(value) else value
        for value in values
    ]
    return texts[0] if single else tuple(texts)


@TABLE.rule("ai.onnx.ml:TreeEnsemble")
def trees(call: Call, w: Builder) -> None:
    options: dict[str, Any] = {}
    for name in (
        *("tree_roots", "nodes_featureids", "nodes_splits", "nodes_modes", "nodes_truenodeids", "nodes_trueleafs"),
        *("nodes_falsenodeids", "nodes_falseleafs", "leaf_targetids", "leaf_weights"),
        *("nodes_missing_value_tracks_true", "membership_values"),
    ):
        value = call.attribute(name)
        if value is None:
            continue
        if hasattr(value, "numpy"):
            array = value.numpy()
            if array.dtype == np.uint8:
                options[name] = tuple(array.tolist())
            else:
                listed = ", ".join(f"np.{v}" if not np.isfinite(v) else repr(float(str(v))) for v in array.tolist())
                options[name] = Raw(f"np.array([{listed}], np.{array.dtype})")
        else:
            options[name] = tuple(value)
    call.attribute("nodes_hitrates")
    options["n_targets"] = call.attribute("n_targets", 1)
    options["aggregate_function"] = call.attribute("aggregate_function", 1)
    options["post_transform"] = call.attribute("post_transform", 0)
    w.emit(call.y, f"tf.constant({written('tree_ensemble', _host(call, w), **options)})")


@TABLE.rule("ImageDecoder")
def decode_image(call: Call, w: Builder) -> None:
    pixels = call.attribute("pixel_format", "RGB")
    text = written("image_decoder", _host(call, w), pixel_format=None if pixels == "RGB" else pixels)
    w.emit(call.y, f"tf.constant({text})")
