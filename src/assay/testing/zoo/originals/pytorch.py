"""A live PyTorch module, computed in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from assay.errors import ModelError
from assay.frameworks.base import Gradients
from assay.nn.losses import CrossEntropy, MeanSquaredError
from assay.nn.optimizers import SGD, Training


class Original:
    """The module that was brought. It is converted to float64 in place.

    `example`: a tuple of arguments or a dict of them, nested as the module likes. In training, batch normalisation takes
    the statistics of the batch and moves its running ones; every other part is as in evaluation, which is what it is in
    training without dropout.
    """

    def __init__(self, model: nn.Module, example: Any, training: Training) -> None:
        self._module = model.double()
        call = ((), dict(example)) if isinstance(example, Mapping) else (_listed(example), {})
        self._leaves, self._structure = pytree.tree_flatten(call)
        self._loss = _loss(training.loss)
        self._optimizer: torch.optim.Optimizer | None = None
        if type(training.optimizer) is not SGD:
            raise ModelError("the original is trained by SGD with momentum only")
        self._set_training(False)

    def set_dropout(self, enabled: bool) -> None:
        """It is always off."""

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, _numpy(tensor)) for name, tensor in self._tensors().items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        own = self._tensors()
        with torch.no_grad():
            for name, array in arrays.items():
                own[name].copy_(torch.from_numpy(np.array(array)))

    def _tensors(self) -> dict[str, Tensor]:
        named = [
            *self._module.named_parameters(remove_duplicate=False),
            *self._module.named_buffers(remove_duplicate=False),
        ]
        return {name: tensor for name, tensor in named if tensor.is_floating_point()}

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
        tensors = [torch.from_numpy(np.array(array)) for array in arrays]
        return tuple(item.double() if item.is_floating_point() else item for item in tensors)

    def predict(self, inputs: Sequence[Tensor]) -> Any:
        self._set_training(False)
        with torch.no_grad(), _in_float64():
            return self._call(inputs)

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(_numpy(leaf) for leaf in pytree.tree_leaves(value) if torch.is_tensor(leaf))

    def gradients(self, inputs: Sequence[Tensor], targets: Tensor) -> Gradients:
        self._set_training(True)
        self._module.zero_grad()
        leaves = [item.detach().requires_grad_(item.is_floating_point()) for item in inputs]
        loss = self._loss_of(leaves, targets)
        parameters = {
            name: _gradient(parameter)
            for name, parameter in self._module.named_parameters(remove_duplicate=False)
            if parameter.requires_grad
        }
        self._module.zero_grad()
        return Gradients(
            loss.item(), parameters, tuple(_gradient(leaf) if leaf.requires_grad else None for leaf in leaves)
        )

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        found = constants or {}
        trained = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        momentum = found.get("MOMENTUM", 0.0)
        self._optimizer = torch.optim.SGD(trained, lr=found["LEARNING_RATE"], momentum=momentum)

    def train_step(self, inputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        assert self._optimizer is not None
        self._set_training(True)
        self._optimizer.zero_grad()
        loss = self._loss_of(inputs, targets)
        self._optimizer.step()
        return loss.detach()

    def wait(self, value: Any) -> None:
        """The work is done when a call returns."""

    def _loss_of(self, inputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """The loss, after its gradient is added to that of every leaf."""
        with _in_float64():
            first = next(leaf for leaf in pytree.tree_leaves(self._call(inputs)) if torch.is_tensor(leaf))
            loss = self._loss(first, targets)
            loss.backward()
        return loss

    def _call(self, inputs: Sequence[Tensor]) -> Any:
        given = iter(inputs)
        leaves = [next(given) if torch.is_tensor(leaf) else leaf for leaf in self._leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self._structure)
        return self._module(*args, **kwargs)

    def _set_training(self, training: bool) -> None:
        self._module.eval()
        for part in self._module.modules():
            if training and isinstance(part, _NormBase):
                part.training = True


def _listed(example: Any) -> tuple[Any, ...]:
    return tuple(example) if isinstance(example, (tuple, list)) else (example,)


def _loss(loss: object) -> Any:
    """The mean loss of an output and targets."""
    if isinstance(loss, CrossEntropy):
        return lambda y, t: F.cross_entropy(y.flatten(0, -2), t.flatten())
    if isinstance(loss, MeanSquaredError):
        return F.mse_loss
    raise ModelError(f"the original is trained with CrossEntropy or MeanSquaredError, not {type(loss).__name__}")


class _Wide(TorchDispatchMode):
    """What a module spells out as float32, such as a cast before a softmax, is float64: as in the code that is proven."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._schema.is_mutable:
            return function(*args, **(kwargs or {}))
        return function(*pytree.tree_map(_widened, args), **pytree.tree_map(_widened, kwargs or {}))


def _widened(item: Any) -> Any:
    """A float32 type, or a tensor of that type such as a scale that a module makes of a number, as float64."""
    if item is torch.float32:
        return torch.float64
    return item.double() if torch.is_tensor(item) and item.dtype is torch.float32 else item


@contextlib.contextmanager
def _in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Wide():
            yield
    finally:
        torch.set_default_dtype(before)


def _gradient(leaf: Tensor) -> np.ndarray:
    return _numpy(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def _numpy(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.detach().numpy())
