"""Flax NNX modules as models: followed by jax's tracing, with the layers of Flax kept whole."""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx_ir as ir
from flax import nnx
from flax.nnx.nn import attention as flax_attention
from jax import export

from assay.errors import AssayError, ModelError
from assay.frameworks.base import InputSpec
from assay.frameworks.drafting import (
    Graph,
    NeedsStaticBatch,
    Weight,
    example_arguments,
    record_structure,
    remove_unused,
)
from assay.frameworks.drafting_order import settle_transposes
from assay.frameworks.jax.bring_flat import flatten
from assay.frameworks.jax.bring_graph import Source, Translation
from assay.frameworks.jax.bring_layers import FUNCTIONS, RECORDERS, attention
from assay.frameworks.jax.bring_trace import recorded_function, shown_path, stamp, watching, widen
from assay.model import NOTES, Model
from assay.structure import with_named_tuples

_NARROW = ("bfloat16", "float16", "complex64", "complex128")


def bring(found: Any, inputs: Any, name: str) -> Model:
    """The model of a Flax NNX module, called with an example of its inputs.

    `inputs`: an array, a tuple of them, a dict by argument name, or `InputSpec`s. The size of the first axis (the batch)
    stays open where the module allows it; what is lost is said in `Model.notes`.
    """
    if not callable(found):
        raise ModelError(f"{type(found).__name__} has no __call__: bring a module that can be called with its inputs")
    if inputs is None:
        arguments = ", ".join(_arguments(found)) or "its inputs"
        raise ModelError(
            f"{type(found).__name__} is a Flax module: give an example of {arguments}, as --input 1x28x28x1 "
            "(--input 1x128:int32 for integers; once for each input), as inputs= of assay.load, "
            "or let the callable return (module, inputs)"
        )
    args, kwargs = example_arguments(inputs, _arrays)
    prepared = _prepare(found)
    try:
        return _model(prepared, args, kwargs, name, "batch", [])
    except (_NotFollowed, NeedsStaticBatch) as error:
        reason = "" if isinstance(error, NeedsStaticBatch) else f" ({error})"
    size = _batch_of((args, kwargs))
    note = f"the size of the batch is fixed at {size}, the example's: the module does not leave it open{reason}"
    try:
        return _model(prepared, args, kwargs, name, None, [note])
    except _NotFollowed as error:
        raise ModelError(str(error)) from error.__cause__


def load_file(path: Path, name: str) -> Model:
    """There are no files of Flax modules."""
    raise ModelError(f"{path} cannot be brought as a Flax module: give file.py:callable")


# The module -----------------------------------------------------------------------------------------------------------


@dataclass
class _Prepared:
    """A copy of the user's module, in evaluation form, whose parts know their paths."""

    module: Any
    graph: Any
    state: Any
    parts: dict[str, Any]
    arguments: tuple[str, ...]


def _prepare(found: Any) -> _Prepared:
    copy = nnx.merge(*nnx.split(found))
    copy.eval()
    parts = stamp(copy)
    widen(copy)
    for part in parts.values():
        if isinstance(part, nnx.MultiHeadAttention) and part.attention_fn is flax_attention.dot_product_attention:
            part.attention_fn = recorded_function(flax_attention.dot_product_attention, attention)
    graph, state = nnx.split(copy)
    return _Prepared(copy, graph, state, parts, _arguments(found))


def _arguments(module: Any) -> tuple[str, ...]:
    """What a module's __call__ calls its arguments."""
    try:
        parameters = inspect.signature(type(module).__call__).parameters
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(name for name, item in parameters.items() if item.kind in kinds and name != "self")


def _weights(prepared: _Prepared) -> list[Weight | None]:
    """Parameters, statistics and other arrays, in the order of the state's leaves; None for what is no number (random keys)."""
    sequences = {path for path, item in nnx.iter_graph(prepared.module) if isinstance(item, nnx.Sequential)}
    found: list[Weight | None] = []
    for path, variable in nnx.to_flat_state(prepared.state):
        leaves = jax.tree.leaves(variable)
        for number, leaf in enumerate(leaves):
            native = ".".join(map(str, path)) + (f".{number}" if len(leaves) > 1 else "")
            found.append(_weight(native, shown_path(path, sequences), variable, leaf))
    return found


def _weight(native: str, shown: str, variable: Any, leaf: Any) -> Weight | None:
    if isinstance(variable, nnx.RngState) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return None
    if str(leaf.dtype) in (*_NARROW, "float64"):
        raise ModelError(f"{native} is of type {leaf.dtype}: bring the model in float32 (param_dtype=jnp.float32)")
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    trained = isinstance(variable, nnx.Param) and floating
    role = "parameter" if trained else "statistic" if isinstance(variable, nnx.BatchStat) else "constant"
    return Weight(shown, np.asarray(leaf), role, 0, role == "constant", native if native != shown else "")


# Following ------------------------------------------------------------------------------------------------------------


class _NotFollowed(Exception):
    """jax could not follow the module; the message says where and why."""


def _model(prepared: _Prepared, args: Any, kwargs: Any, name: str, batch: str | None, notes: Sequence[str]) -> Model:
    """The model with an open batch, or with the example's."""
    weights = _weights(prepared)
    with jax.enable_x64(True):  # in float64 the numbers in the user's code keep all their digits
        source, given = _followed(prepared, weights, args, kwargs, batch)
        graph = Graph.empty(name)
        graph.notes.extend(notes)
        Translation(source, graph).run()
    remove_unused(graph.graph)
    settle_transposes(graph.graph)
    graph.finish()
    record_structure(graph, given)
    _say_what_is_lost(weights, graph)
    if graph.notes:
        graph.graph.metadata_props[NOTES] = json.dumps(graph.notes)
    return Model(name, ir.Model(graph.graph, ir_version=11, producer_name="assay"))


def _followed(
    prepared: _Prepared, weights: list[Weight | None], args: Any, kwargs: Any, batch: str | None
) -> tuple[Source, Any]:
    """The module's operations, traced in float64 with its layers whole; and what it gives, as a nest of places."""
    size = _batch_of((args, kwargs)) if batch is not None else None
    symbol = None if batch is None else export.symbolic_shape(batch)[0]
    abstract = jax.tree.map(lambda leaf: _abstract(leaf, None, None), prepared.state)
    leaves, structure = jax.tree.flatten((args, kwargs))
    arrays = [place for place, leaf in enumerate(leaves) if hasattr(leaf, "shape")]
    given = [_abstract(leaves[place], size, symbol) for place in arrays]

    def call(state: Any, *values: Any) -> Any:
        filled = list(leaves)
        for place, value in zip(arrays, values, strict=True):
            filled[place] = value
        positional, named = jax.tree.unflatten(structure, filled)
        return with_named_tuples(nnx.merge(prepared.graph, state)(*positional, **named))

    try:
        with watching(prepared.parts, RECORDERS, FUNCTIONS) as watch:
            closed, shapes = jax.make_jaxpr(call, return_shape=True)(abstract, *given)
    except AssayError:
        raise
    except Exception as error:  # the module's own code runs in there, and may raise anything
        raise _NotFollowed(_explained(prepared.module, error)) from error
    flat = flatten(closed)
    names = _input_names(prepared, args, kwargs)
    count = len(weights)
    held = {number: weight for number, weight in zip(flat.inputs[:count], weights, strict=True) if weight is not None}
    inputs = list(zip([names[place] for place in arrays], flat.inputs[count:], strict=True))
    results = [label for label, _ in _labelled("", shapes)]
    outputs = list(zip(results, flat.results, strict=True))
    leaves, nest = jax.tree.flatten(shapes)
    return Source(flat, watch, held, inputs, outputs, _classes(prepared)), jax.tree.unflatten(nest, range(len(leaves)))


def _abstract(leaf: Any, size: int | None, symbol: Any) -> Any:
    """The shape and type that a leaf is followed with; the first axis open if it is as long as the batch."""
    shape = tuple(leaf.shape)
    if symbol is not None and shape and shape[0] == size:
        shape = (symbol, *shape[1:])
    kind = leaf.dtype
    return jax.ShapeDtypeStruct(shape, jnp.float64 if str(kind) == "float32" else kind)


def _explained(module: Any, error: Exception) -> str:
    """What to say of an error while the module was followed: file and line of the user's code, and what to change."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if not any(part in frame[0] for part in ("/jax/", "/flax/", "/assay/frameworks/"))]
    own = [frame for frame in own if not frame[0].endswith(("contextlib.py", "functools.py", "inspect.py"))]
    where = f"{own[-1][0]}:{own[-1][1]}" if own else f"{type(module).__name__}.__call__"
    if isinstance(error, (jax.errors.TracerBoolConversionError, jax.errors.ConcretizationTypeError)):
        return (
            f"{where}: which way the code goes here depends on the numbers in an array, so no one graph holds the model; "
            "choose with jnp.where, or take the decision out of __call__"
        )
    text = str(error).strip()
    return f"{where}: {type(error).__name__}: {text.splitlines()[0] if text else type(error).__name__}"


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def _arrays(value: Any) -> Any:
    if isinstance(value, InputSpec):
        try:
            kind = jnp.dtype(value.dtype)
        except TypeError as error:
            raise ModelError(f"{value.dtype!r} is no type that jax knows: float32, int32, bool …") from error
        return np.zeros(value.shape, kind)
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    return value


def _batch_of(values: Any) -> int:
    arrays = [leaf for leaf in jax.tree.leaves(values) if hasattr(leaf, "shape") and leaf.ndim]
    return int(arrays[0].shape[0]) if arrays else 1


def _input_names(prepared: _Prepared, args: Any, kwargs: Any) -> list[str]:
    """The names of all leaves of the example: those of the arguments, of their parts with what those are called."""
    arguments = [*prepared.arguments, *(f"input_{place}" for place in range(len(prepared.arguments), len(args)))]
    found = [label for name, value in zip(arguments, args, strict=False) for label, _ in _labelled(name, value)]
    return found + [label for name in sorted(kwargs) for label, _ in _labelled(name, kwargs[name])]


def _labelled(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a nest in jax's order, each with a name made of the keys that lead to it."""
    if value is None:
        return
    if isinstance(value, Mapping):
        parts: Any = [(str(key), value[key]) for key in sorted(value)]
    elif is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "dtype"):
        parts = vars(value).items()
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = zip(value._fields, value, strict=True)
    elif isinstance(value, (tuple, list)):
        parts = [(str(place) if name else "", item) for place, item in enumerate(value)]
    else:
        yield name, value
        return
    for key, item in parts:
        yield from _labelled("_".join(part for part in (name, key) if part), item)


# What is said of the model --------------------------------------------------------------------------------------------


def _classes(prepared: _Prepared) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Module path → what its class is called, and the arguments of its __call__."""
    return {path: (_class_name(part), _arguments(part)) for path, part in prepared.parts.items()}


def _class_name(module: Any) -> str:
    chain = type(module).__call__ is nnx.Sequential.__call__
    return "Sequential" if chain and isinstance(module, nnx.Sequential) else type(module).__name__


def _say_what_is_lost(weights: list[Weight | None], graph: Graph) -> None:
    """Notes what the module has and a graph of its evaluation does not show."""
    for weight in weights:
        if weight is not None and weight.role != "constant" and weight.users == 0:
            graph.remark(f"{weight.native or weight.name} is not used in evaluation and is not brought")


__all__ = ["bring", "load_file"]
