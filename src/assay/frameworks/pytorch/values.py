"""ONNX's values in PyTorch and back: tensors, sequences (lists), optionals (None), strings (NumPy arrays).

Types that torch lacks travel in the next wider one that holds their values: int4 and int2 in int8, uint4 and uint2 in
uint8; float4 as its bit patterns in uint8. `assay.json` names the type that is meant.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import ml_dtypes
import numpy as np
import torch

_STORED = {
    "bfloat16": (np.int16, torch.bfloat16),
    "float8_e4m3fn": (np.uint8, torch.float8_e4m3fn),
    "float8_e4m3fnuz": (np.uint8, torch.float8_e4m3fnuz),
    "float8_e5m2": (np.uint8, torch.float8_e5m2),
    "float8_e5m2fnuz": (np.uint8, torch.float8_e5m2fnuz),
    "float8_e8m0fnu": (np.uint8, torch.float8_e8m0fnu),
}
_WIDER = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
_NARROW = {
    **{f"{sign}int{bits}": np.dtype(getattr(ml_dtypes, f"{sign}int{bits}")) for sign in ("", "u") for bits in (2, 4)},
    "float4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
}


def inference() -> AbstractContextManager[None]:
    """Around calls that need no gradient."""
    context: AbstractContextManager[None] = torch.no_grad()
    return context


def to_native(value: Any) -> Any:
    """A NumPy array, a list of them, or None, as PyTorch code takes it."""
    if value is None:
        return None
    if isinstance(value, list):
        return [to_native(item) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return array
    name = array.dtype.name
    if name in _STORED:
        bits, dtype = _STORED[name]
        return torch.from_numpy(array.view(bits).copy()).view(dtype)
    if name in _WIDER:
        return torch.from_numpy(array.astype(_WIDER[name]))
    if name == "float4_e2m1fn":
        return torch.from_numpy(array.view(np.uint8).copy())
    return torch.from_numpy(np.array(array))


def to_numpy(value: Any, dtype: str) -> Any:
    """What PyTorch code gave, as a NumPy array (a list of them, None). `dtype`: the type that the model declares."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [to_numpy(item, dtype) for item in value]
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach()
    for name, (bits, native) in _STORED.items():
        if value.dtype == native:
            integers = torch.int16 if bits is np.int16 else torch.uint8
            return value.contiguous().view(integers).numpy().view(np.dtype(getattr(ml_dtypes, name)))
    array = value.numpy()
    if dtype in _NARROW and array.dtype == _WIDER.get(dtype, np.uint8):
        narrow = _NARROW[dtype]
        return array.view(narrow) if dtype == "float4e2m1" else array.astype(narrow)
    return array
