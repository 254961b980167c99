"""ONNX's values in Keras and back: tensors, sequences (lists), optionals (None), strings.

Types that Keras has on no backend travel in others: int4 and int2 in int8, uint4 and uint2 in uint8; every float8 and
float4 as its bit patterns in uint8. Strings are NumPy arrays; TensorFlow's string tensors are taken too. `assay.json` names
the type that is meant. On JAX the types are ONNX's only with `jax_enable_x64`; PyTorch lacks most of uint16 to uint64.
"""

from __future__ import annotations

import contextlib
import importlib
from contextlib import AbstractContextManager
from typing import Any

import keras
import ml_dtypes
import numpy as np

_WIDER = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
_FLOAT8 = {
    **{f"float8{kind}": np.dtype(getattr(ml_dtypes, f"float8_{kind}")) for kind in ("e4m3fn", "e4m3fnuz", "e5m2")},
    "float8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "float8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "float4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
}


def inference() -> AbstractContextManager[Any]:
    """Around calls that need no gradient."""
    name = keras.backend.backend()
    if name == "jax":
        x64: AbstractContextManager[Any] = importlib.import_module("jax").enable_x64(True)
        return x64
    if name == "torch":
        free: AbstractContextManager[Any] = importlib.import_module("torch").no_grad()
        return free
    return contextlib.nullcontext()


def to_native(value: Any) -> Any:
    """A NumPy array, a list of them, or None, as Keras code takes it."""
    if value is None:
        return None
    if isinstance(value, list):
        return [to_native(item) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return array
    if array.dtype.name in _WIDER:
        array = array.astype(_WIDER[array.dtype.name])
    elif array.dtype in _FLOAT8.values():
        array = array.view(np.uint8)
    return keras.ops.convert_to_tensor(array, dtype=array.dtype.name)


def to_numpy(value: Any, dtype: str) -> Any:
    """What Keras code gave, as a NumPy array (a list of them, None). `dtype`: the type that the model declares."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [to_numpy(item, dtype) for item in value]
    if isinstance(value, np.ndarray):
        array = value
    else:
        name = keras.backend.standardize_dtype(value.dtype)
        array = np.asarray(keras.ops.convert_to_numpy(value))
        if name == "bfloat16":
            array = array.astype(ml_dtypes.bfloat16)
    if array.dtype.kind in "OSU":
        words = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1)]
        return np.array(words, dtype=object).reshape(array.shape)
    if dtype in _FLOAT8 and array.dtype == np.uint8:
        return array.view(_FLOAT8[dtype])
    if dtype in _WIDER and array.dtype == _WIDER[dtype]:
        return array.astype(np.dtype(getattr(ml_dtypes, dtype)))
    return array
