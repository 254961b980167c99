"""Constant arrays as the expressions that a person writes for them: ranges, masks, arrays of one number."""

from __future__ import annotations

import math

import numpy as np

_FEW = 8  # numbers that are written out
_TYPES = {"int64": "", "bool": "", "float32": ""}  # types that an expression has by itself


def expression(array: np.ndarray) -> str | None:
    """`torch.arange(10)`, `torch.ones(6, 6, dtype=torch.bool).triu(1)`; None for numbers that follow no such rule."""
    kind = str(array.dtype)
    if kind not in ("int64", "int32", "bool", "float32") or not array.ndim or not array.size:
        return None
    if array.size <= _FEW and array.ndim < 3 and kind != "float32":
        return f"torch.tensor({array.tolist()}{'' if kind in _TYPES else f', dtype=torch.{kind}'})"
    flat = array.reshape(array.shape[-2:] if array.ndim > 1 else array.shape)[:] if _is_plain(array) else None
    if flat is None:
        return None
    text = _filled(flat) or _counted(flat) or _triangle(flat)
    if text is None or flat.shape == array.shape:
        return text
    return f"{text}.reshape{array.shape}"


def _is_plain(array: np.ndarray) -> bool:
    """Whether all axes but the last two have one place."""
    return math.prod(array.shape[:-2]) == 1


def _number(value: object) -> str:
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f'float("{value}")'


def _type(array: np.ndarray, own: str) -> str:
    return "" if str(array.dtype) == own else f", dtype=torch.{array.dtype}"


def _filled(array: np.ndarray) -> str | None:
    first = array.reshape(-1)[0]
    if not (array == first).all():
        return None
    own = {bool: "bool", int: "int64", float: "float32"}[type(first.item())]
    return f"torch.full({array.shape}, {_number(first.item())}{_type(array, own)})"


def _counted(array: np.ndarray) -> str | None:
    if array.dtype == np.bool_ or (min(array.shape) != array.size and max(array.shape) != array.size):
        return None
    values = array.reshape(-1)
    start = int(values[0]) if math.isfinite(values[0]) else 0
    if not np.array_equal(values, np.arange(start, start + values.size)):
        return None
    text = f"torch.arange({f'{start}, ' if start else ''}{start + values.size}{_type(array, 'int64')})"
    return text if array.ndim == 1 else f"{text}.reshape{array.shape}"


def _triangle(array: np.ndarray) -> str | None:
    """A mask: one number on one side of a diagonal, zero on the other."""
    if array.ndim != 2:
        return None
    rows, columns = array.shape
    number = array[np.nonzero(array)][0]
    full = np.full(array.shape, number, array.dtype)
    with np.errstate(invalid="ignore"):
        for name, cut in (("tril", np.tril), ("triu", np.triu)):
            for diagonal in (0, 1, -1):
                if np.array_equal(cut(full, diagonal), array):
                    side = f".{name}({diagonal or ''})"
                    if number == 1:
                        return f"torch.ones({rows}, {columns}{_type(array, 'float32')}){side}"
                    return f"torch.full(({rows}, {columns}), {_number(number.item())}{_type(array, 'float32')}){side}"
    return None
