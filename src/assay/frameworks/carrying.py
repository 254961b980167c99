"""What every framework asks of weights that are to be loaded into a model of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.errors import ModelError

_SHOWN = 5


def check(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], title: str, kind: str) -> None:
    """Raises `ModelError` unless each name is among the model's, with the same shape."""
    absent = [name for name in arrays if name not in shapes]
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise ModelError(
            f"{title} has no {kind} {', '.join(absent[:_SHOWN])}{more}: is it the model that was written, made in the same way?"
        )
    for name, array in arrays.items():
        if tuple(shapes[name]) != array.shape:
            raise ModelError(
                f"{name} has shape {tuple(shapes[name])} in {title}, the trained one {array.shape}: is it the model that "
                "was written, made with the same sizes?"
            )
