"""A live Flax NNX module, computed in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from flax import nnx

from assay.errors import ModelError
from assay.frameworks.base import Gradients
from assay.nn.losses import CrossEntropy, MeanSquaredError
from assay.nn.optimizers import SGD, Training


class Original:
    """The module that was brought, in float64, under `jax.jit`.

    In training, batch normalisation takes the statistics of the batch and moves its running ones; every other part is as in
    evaluation, which is what it is in training without dropout.
    """

    def __init__(self, model: nnx.Module, example: Any, training: Training) -> None:
        if type(training.optimizer) is not SGD:
            raise ModelError("the original is trained by SGD with momentum only")
        jax.config.update("jax_enable_x64", True)
        model.eval()
        for _, part in nnx.iter_graph(model):
            for name in ("dtype", "param_dtype"):  # that of what is computed, and of the states that cells begin with
                if isinstance(part, nnx.Module) and getattr(part, name, None) is jnp.float32:
                    setattr(part, name, jnp.float64)
        self._evaluated, self._state = nnx.split(model)
        for _, part in nnx.iter_graph(model):
            if isinstance(part, nnx.BatchNorm):
                part.use_running_average = False
        self._trained = nnx.split(model)[0]
        self._state = jax.tree.map(_wide, self._state)
        self._keywords = isinstance(example, Mapping)
        call = dict(example) if self._keywords else tuple(example) if isinstance(example, (tuple, list)) else (example,)
        self._structure = jax.tree.structure(call)
        self._loss = _loss(training.loss)
        self._forward = jax.jit(_in_float64(lambda state, inputs: self._call(self._evaluated, state, inputs)[0]))
        objective = _in_float64(self._objective)
        self._differentiate = jax.jit(jax.value_and_grad(objective, (0, 2), has_aux=True, allow_int=True))
        self._velocity: dict[str, Any] = {}
        self._rates = (0.0, 0.0)

    def set_dropout(self, enabled: bool) -> None:
        """It is always off."""

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.variables())

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, np.asarray(array)) for name, array in self._arrays().items())

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._state = self._with(self._state, {name: jnp.asarray(array, jnp.float64) for name, array in arrays.items()})

    def _arrays(self, kind: Any = nnx.Variable) -> dict[str, Any]:
        return {
            name: variable[...]
            for name, variable in _named(self._state)
            if isinstance(variable, kind) and jnp.issubdtype(variable[...].dtype, jnp.floating)
        }

    def _with(self, state: Any, arrays: Mapping[str, Any]) -> Any:
        found = jax.tree.map(lambda leaf: leaf, state)
        for name, variable in _named(found):
            if name in arrays:
                variable[...] = arrays[name]
        return found

    def place(self, arrays: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
        return tuple(_wide(jnp.asarray(array)) for array in arrays)

    def predict(self, inputs: Sequence[jax.Array]) -> Any:
        return self._forward(self._state, tuple(inputs))

    def numpy(self, value: Any) -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(leaf) for leaf in jax.tree.leaves(value))

    def gradients(self, inputs: Sequence[jax.Array], targets: jax.Array) -> Gradients:
        (loss, state), (gradients, of_inputs) = self._differentiate(
            self._arrays(nnx.Param), self._state, tuple(inputs), targets
        )
        self._state = state
        leaves = [
            np.asarray(gradient) if jnp.issubdtype(given.dtype, jnp.floating) else None
            for gradient, given in zip(of_inputs, inputs, strict=True)
        ]
        return Gradients(float(loss), {name: np.asarray(item) for name, item in gradients.items()}, tuple(leaves))

    def begin_training(self, constants: Mapping[str, Any] | None = None) -> None:
        found = constants or {}
        self._rates = (float(found["LEARNING_RATE"]), float(found.get("MOMENTUM", 0.0)))
        self._velocity = {}

    def train_step(self, inputs: Sequence[jax.Array], targets: jax.Array) -> jax.Array:
        rate, momentum = self._rates
        parameters = self._arrays(nnx.Param)
        (loss, state), (gradients, _) = self._differentiate(parameters, self._state, tuple(inputs), targets)
        for name, gradient in gradients.items():
            self._velocity[name] = momentum * self._velocity.get(name, 0.0) + gradient
        stepped = {name: array - rate * self._velocity[name] for name, array in parameters.items()}
        self._state = self._with(state, stepped)
        return jnp.asarray(loss)

    def wait(self, value: Any) -> None:
        jax.block_until_ready(value)

    def _objective(self, parameters: Any, state: Any, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """The loss, and the state with what batch normalisation has averaged."""
        outputs, after = self._call(self._trained, self._with(state, parameters), inputs)
        return self._loss(jax.tree.leaves(outputs)[0], targets), after

    def _call(self, graph: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
        call = jax.tree.unflatten(self._structure, list(inputs))
        module = nnx.merge(graph, state)
        result = module(**call) if self._keywords else module(*call)
        return result, nnx.split(module)[1]


def _in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with what it spells out as float32, such as the softmax of jax's attention, in float64: as in the code
    that is proven."""

    def call(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return call


def _evaluate(jaxpr: Any, consts: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(_wide, consts), *given], strict=True))

    def read(item: Any) -> Any:
        return _wide(jnp.asarray(item.val)) if isinstance(item, jax.extend.core.Literal) else values[item]

    for equation in jaxpr.eqns:
        inputs, params = [read(item) for item in equation.invars], dict(equation.params)
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        if inner is not None and equation.primitive.name not in ("scan", "while", "cond"):
            closed = hasattr(inner, "consts")
            found = _evaluate(inner.jaxpr if closed else inner, inner.consts if closed else (), inputs)
        else:
            for name in ("new_dtype", "preferred_element_type", "dtype"):
                if params.get(name) == jnp.float32:
                    params[name] = jnp.dtype(jnp.float64)
            result = equation.primitive.bind(*inputs, **params)
            found = result if equation.primitive.multiple_results else [result]
        values.update(zip(equation.outvars, found, strict=True))
    return [read(item) for item in jaxpr.outvars]


def _named(state: Any) -> list[tuple[str, Any]]:
    """The variables of a state by path, but for random keys."""
    return [
        (".".join(map(str, path)), item)
        for path, item in nnx.to_flat_state(state)
        if isinstance(item, nnx.Variable) and not isinstance(item, nnx.RngState)
    ]


def _wide(leaf: Any) -> Any:
    return leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf


def _loss(loss: object) -> Callable[[Any, Any], Any]:
    """The mean loss of an output and targets."""
    if isinstance(loss, CrossEntropy):

        def cross_entropy(y: Any, t: Any) -> Any:
            logs = jax.nn.log_softmax(y.reshape(-1, y.shape[-1]))
            return -jnp.take_along_axis(logs, t.reshape(-1, 1), axis=-1).mean()

        return cross_entropy
    if isinstance(loss, MeanSquaredError):
        return lambda y, t: jnp.square(y - t).mean()
    raise ModelError(f"the original is trained with CrossEntropy or MeanSquaredError, not {type(loss).__name__}")
