"""ONNX's values in JAX and back: arrays, sequences (lists), optionals (None), strings (NumPy arrays of objects).

JAX has every type of ONNX but two: float6e2m3 and float6e3m2 travel in float8_e4m3fn, which holds all their values.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np

_WIDER = {"float6_e2m3fn": ml_dtypes.float8_e4m3fn, "float6_e3m2fn": ml_dtypes.float8_e4m3fn}
_NARROW = {"float6e2m3": ml_dtypes.float6_e2m3fn, "float6e3m2": ml_dtypes.float6_e3m2fn}


def inference() -> AbstractContextManager[None]:
    """Around calls that need no gradient: JAX computes one only where it is asked to."""
    return nullcontext()


def to_native(value: Any) -> Any:
    """A NumPy array, a list of them, or None, as JAX code takes it."""
    if value is None:
        return None
    if isinstance(value, list):
        return [to_native(item) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return array
    return jnp.asarray(array.astype(_WIDER.get(array.dtype.name, array.dtype)))


def to_numpy(value: Any, dtype: str) -> Any:
    """What JAX code gave, as a NumPy array (a list of them, None). `dtype`: the type that the model declares."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [to_numpy(item, dtype) for item in value]
    array = np.asarray(value)
    return array.astype(_NARROW[dtype]) if dtype in _NARROW and array.dtype == ml_dtypes.float8_e4m3fn else array
