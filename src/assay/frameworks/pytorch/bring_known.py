"""What a program computes from nothing but numbers, such as a table of relative positions: worked out by torch itself.

Integers and truth values, and floating numbers that are only put in place: whatever is rounded stays a computation, so that
a proof in float64 sees it unrounded. Tensors that are changed in place, also through a view, change as they would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_MADE = {"arange", "zeros", "ones", "full", "eye", "empty", "tril_indices", "triu_indices", "scalar_tensor"}
_PLACED = {
    *("zeros", "ones", "full", "fill", "copy", "clone", "contiguous", "detach", "alias", "lift_fresh_copy", "zero"),
    *(
        "new_zeros",
        "new_ones",
        "new_full",
        "zeros_like",
        "ones_like",
        "full_like",
        "slice",
        "select",
        "view",
        "reshape",
    ),
    *("permute", "transpose", "expand", "unsqueeze", "squeeze", "flatten", "_unsafe_view", "cat", "stack", "roll"),
    *("masked_fill", "where", "index", "index_put", "split", "unbind", "triu", "tril", "narrow", "t", "flip"),
}
_LARGEST = 1 << 22  # elements


class Known:
    """The tensors of a program that depend on no input and no weight, by the name of their node."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors: dict[str, Any] = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def array(self, name: str) -> np.ndarray:
        """A tensor as it is now."""
        return np.array(self._tensors[name].numpy())

    def forget(self, name: str) -> None:
        """A tensor that something unknown is written into."""
        self._tensors.pop(name, None)

    def work_out(self, node: Any) -> bool:
        """Computes a call if all that goes into it is known; whether it did."""
        if not hasattr(node.target, "_schema") or any(item.name not in self._tensors for item in node.all_input_nodes):
            return False
        result = node.meta.get("val")
        name = str(node.target).split(".")[1].rstrip("_")
        if not hasattr(result, "dtype") or not (node.all_input_nodes or name in _MADE) or not _is_small(result):
            return False
        if result.is_floating_point() and not (name in _PLACED and _is_exact(node)):
            return False
        self._tensors[node.name] = node.target(*self._given(node.args), **self._given(node.kwargs))
        return True

    def _given(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._given(item) for item in value]
        if isinstance(value, Mapping):
            return {name: self._given(item) for name, item in value.items()}
        return self._tensors[value.name] if hasattr(value, "all_input_nodes") else value


def _is_small(tensor: Any) -> bool:
    sizes = list(tensor.shape)
    return all(isinstance(size, int) for size in sizes) and int(np.prod(sizes, dtype=np.int64)) <= _LARGEST


def _is_exact(node: Any) -> bool:
    """Whether every number that is filled in is one that float32 holds."""
    numbers = [item for item in [*node.args, *node.kwargs.values()] if isinstance(item, float)]
    with np.errstate(over="ignore"):
        return all(float(np.float32(number)) == number for number in numbers)
