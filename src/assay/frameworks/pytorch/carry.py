"""Weights into a live PyTorch module, and out of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.frameworks.carrying import check


def native_state(model: nn.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The weights of a written model by their paths; a shared one under each of its names."""
    tensors = _tensors(model)
    return {name: _numpy(tensors[name]) for name in names if name in tensors}


def load_into(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Loads weights by the module's own names, through `load_state_dict(strict=True)`; returns the names left as they were.

    Type and device stay the module's. Raises `ModelError`, before anything is changed, unless each name is the
    module's, with the same shape.
    """
    tensors = _tensors(module)
    check(arrays, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, type(module).__name__, "parameter")
    given = {
        name: torch.from_numpy(np.array(array)).to(tensors[name].dtype).to(tensors[name].device)
        for name, array in arrays.items()
    }
    by_place = {_place(tensors[name]): name for name in arrays}
    state = module.state_dict()
    for name, tensor in state.items():
        if torch.is_tensor(tensor) and (source := by_place.get(_place(tensor))) is not None:
            state[name] = given[source]  # under all names of a shared one
    module.load_state_dict(state, strict=True)
    with torch.no_grad():
        for name in given.keys() - state.keys():  # buffers that are no part of the saved state
            tensors[name].copy_(given[name])
    carried = {_place(tensors[name]) for name in arrays}
    return tuple(name for name, tensor in tensors.items() if _place(tensor) not in carried)


def save(module: nn.Module | None, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """A `.pt` file of tensors: the module's whole state_dict, or the arrays alone."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    torch.save(state if module is None else module.state_dict(), path)


def state(module: nn.Module) -> dict[str, np.ndarray]:
    """The module's state_dict as arrays."""
    return {name: _numpy(tensor) for name, tensor in module.state_dict().items() if torch.is_tensor(tensor)}


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """What two names of one tensor have in common; an empty tensor is nobody's other name."""
    where = tensor.data_ptr() if tensor.numel() else id(tensor)
    return where, tuple(tensor.shape), tuple(tensor.stride())


def _numpy(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.detach().cpu().to(torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype))
