"""ONNX's values in TensorFlow and back: tensors, sequences (lists), optionals (None), strings (NumPy arrays).

Types for which TensorFlow has no arithmetic travel in the next one that holds their values: int4 and int2 in int8, uint4
and uint2 in uint8; the floats of 8 and 4 bits as their bit patterns in uint8. `assay.json` names the type that is meant.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

_WIDER = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
_BITS = {
    **{f"float8{kind}": f"float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")},
    "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn",
}


def inference() -> AbstractContextManager[None]:
    """Around calls that need no gradient."""
    return nullcontext()


def to_native(value: Any) -> Any:
    """A NumPy array, a list of them, or None, as TensorFlow code takes it."""
    if value is None:
        return None
    if isinstance(value, list):
        return [to_native(item) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return array
    name = array.dtype.name
    if name in _WIDER:
        return tf.constant(array.astype(_WIDER[name]))
    if name in _BITS.values():
        return tf.constant(array.view(np.uint8))
    return tf.constant(array)


def to_numpy(value: Any, dtype: str) -> Any:
    """What TensorFlow code gave, as a NumPy array (a list of them, None). `dtype`: the type that the model declares."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [to_numpy(item, dtype) for item in value]
    array = value.numpy() if tf.is_tensor(value) or isinstance(value, tf.Variable) else value
    array = np.asarray(array)
    kind = dtype.lower().replace("_", "").removesuffix("fnu") if dtype.lower().endswith("fnu") else dtype.lower()
    kind = kind.replace("_", "")
    if kind in _WIDER and array.dtype == _WIDER[kind]:
        return array.astype(getattr(ml_dtypes, kind))
    if kind in _BITS and array.dtype == np.uint8:
        return array.view(getattr(ml_dtypes, _BITS[kind]))
    return array
