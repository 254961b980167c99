"""Which calls of Flax's layers become one operation, and with which arguments; the others are followed inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import attention as flax_attention
from flax.nnx.nn import dtypes, recurrent
from jax import lax

from assay.frameworks.jax.bring_trace import Recorded

RECORDERS: dict[Any, Callable[..., Recorded | None]] = {}
_FLOATS = (None, jnp.float32, jnp.float64, "float32", "float64")


def _layer(kind: Any) -> Callable[[Callable[..., Recorded | None]], Callable[..., Recorded | None]]:
    def register(function: Callable[..., Recorded | None]) -> Callable[..., Recorded | None]:
        RECORDERS[kind] = function
        return function

    return register


def _held(variable: Any) -> Any:
    """The array of a parameter; None for one that the layer does without."""
    return None if variable is None else variable[...]


def _usual(module: Any, *names: str) -> bool:
    """Whether a layer computes in the type of its inputs, by jax's own operations."""
    computes = getattr(module, "dtype", None) in _FLOATS
    own = {"promote_dtype": dtypes.promote_dtype, "dot_general": lax.dot_general, "preferred_element_type": None}
    return computes and all(getattr(module, name, None) in (None, own[name]) for name in names)


def _present(*arrays: Any) -> tuple[tuple[Any, ...], tuple[bool, ...]]:
    """The arrays that there are, and which of all those are."""
    return tuple(item for item in arrays if item is not None), tuple(item is not None for item in arrays)


@_layer(nnx.Linear)
def linear(module: Any, inputs: Any, out_sharding: Any = None) -> Recorded | None:
    if not _usual(module, "promote_dtype", "dot_general", "preferred_element_type") or out_sharding is not None:
        return None
    arrays, _ = _present(inputs, _held(module.kernel), _held(module.bias))
    return Recorded("linear", arrays, {})


@_layer(nnx.LinearGeneral)
def linear_general(module: Any, inputs: Any, out_sharding: Any = None) -> Recorded | None:
    """Contracted axes that come last, without axes of a batch."""
    axes = sorted(axis % inputs.ndim for axis in module.axis)
    last = list(range(inputs.ndim - len(axes), inputs.ndim))
    if not _usual(module, "promote_dtype", "preferred_element_type") or out_sharding is not None:
        return None
    if module.batch_axis or module.dot_general is not None or module.dot_general_cls is not None or axes != last:
        return None
    arrays, _ = _present(inputs, _held(module.kernel), _held(module.bias))
    return Recorded("linear_general", arrays, {"contracted": len(axes)})


def _numbers(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return (1,) * rank
    return (int(value),) * rank if isinstance(value, int) else tuple(int(item) for item in value)


def _padding(value: Any, rank: int) -> str | tuple[tuple[int, int], ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return ((value, value),) * rank
    return tuple((item, item) if isinstance(item, int) else (int(item[0]), int(item[1])) for item in value)


@_layer(nnx.Conv)
def convolution(module: Any, inputs: Any, out_sharding: Any = None) -> Recorded | None:
    rank = len(module.kernel_size)
    plain = module.mask is None and set(_numbers(module.input_dilation, rank)) == {1} and out_sharding is None
    if not plain or inputs.ndim != rank + 2 or not _usual(module, "promote_dtype", "preferred_element_type"):
        return None
    if module.conv_general_dilated is not lax.conv_general_dilated:
        return None
    options = {
        "strides": _numbers(module.strides, rank),
        "dilations": _numbers(module.kernel_dilation, rank),
        "padding": _padding(module.padding, rank),
        "groups": int(module.feature_group_count),
    }
    arrays, _ = _present(inputs, _held(module.kernel), _held(module.bias))
    return Recorded("conv", arrays, options)


@_layer(nnx.ConvTranspose)
def transposed_convolution(module: Any, inputs: Any) -> Recorded | None:
    rank = len(module.kernel_size)
    padding = _padding(module.padding, rank)
    if module.mask is not None or inputs.ndim != rank + 2 or padding == "CIRCULAR":
        return None
    if not _usual(module, "promote_dtype", "preferred_element_type"):
        return None
    options = {
        "strides": _numbers(module.strides, rank),
        "dilations": _numbers(module.kernel_dilation, rank),
        "padding": padding,
        "transpose_kernel": bool(module.transpose_kernel),
    }
    arrays, _ = _present(inputs, _held(module.kernel), _held(module.bias))
    return Recorded("conv_transpose", arrays, options)


@_layer(nnx.Embed)
def embedding(module: Any, inputs: Any, out_sharding: Any = None) -> Recorded | None:
    if not _usual(module, "promote_dtype") or module.num_embeddings == 1 or out_sharding is not None:
        return None
    return Recorded("embed", (inputs, module.embedding[...]), {}) if jnp.issubdtype(inputs.dtype, jnp.integer) else None


@_layer(nnx.BatchNorm)
def batch_norm(module: Any, x: Any, use_running_average: bool | None = None, *, mask: Any = None) -> Recorded | None:
    averaged = module.use_running_average if use_running_average is None else use_running_average
    last = module.axis in (-1, x.ndim - 1)
    if not averaged or mask is not None or not last or x.ndim < 2 or not _usual(module, "promote_dtype"):
        return None
    arrays, present = _present(x, _held(module.mean), _held(module.var), _held(module.scale), _held(module.bias))
    options = {"epsilon": float(module.epsilon), "momentum": float(module.momentum), "present": present[3:]}
    return Recorded("batch_norm", arrays, options, (x,))


def _over_last(axes: Any, rank: int) -> bool:
    listed = [axes] if isinstance(axes, int) else list(axes)
    return [axis % rank for axis in listed] == [rank - 1]


@_layer(nnx.LayerNorm)
def layer_norm(module: Any, x: Any, *, mask: Any = None) -> Recorded | None:
    last = _over_last(module.reduction_axes, x.ndim) and _over_last(module.feature_axes, x.ndim)
    if not last or mask is not None or module.axis_name is not None or not _usual(module, "promote_dtype"):
        return None
    arrays, present = _present(x, _held(module.scale), _held(module.bias))
    return Recorded("layer_norm", arrays, {"epsilon": float(module.epsilon), "present": present[1:]}, (x,))


@_layer(nnx.RMSNorm)
def rms_norm(module: Any, x: Any, mask: Any = None) -> Recorded | None:
    last = _over_last(module.reduction_axes, x.ndim) and _over_last(module.feature_axes, x.ndim)
    if not last or mask is not None or module.axis_name is not None or not _usual(module, "promote_dtype"):
        return None
    arrays, present = _present(x, _held(module.scale))
    return Recorded("rms_norm", arrays, {"epsilon": float(module.epsilon), "present": present[1:]}, (x,))


@_layer(nnx.GroupNorm)
def group_norm(module: Any, x: Any, *, mask: Any = None) -> Recorded | None:
    usual = module.reduction_axes is None and module.axis_name is None and _usual(module, "promote_dtype")
    if not usual or mask is not None or x.ndim < 3:
        return None
    arrays, present = _present(x, _held(module.scale), _held(module.bias))
    options = {"epsilon": float(module.epsilon), "groups": int(module.num_groups), "present": present[1:]}
    return Recorded("group_norm", arrays, options, (x,))


@_layer(nnx.Dropout)
def dropout(module: Any, inputs: Any, *, deterministic: bool | None = None, rngs: Any = None) -> Recorded | None:
    off = module.deterministic if deterministic is None else deterministic
    if not off or module.rate == 0:
        return None
    options = {"rate": float(module.rate), "broadcast": bool(module.broadcast_dims)}
    return Recorded("dropout", (inputs,), options, (inputs,))


@_layer(nnx.PReLU)
def prelu(module: Any, inputs: Any) -> Recorded | None:
    if getattr(module, "dtype", None) not in _FLOATS:
        return None
    return Recorded("prelu", (inputs, module.negative_slope[...]), {}, (inputs,))


# Attention ------------------------------------------------------------------------------------------------------------


def attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    broadcast_dropout: bool = True,
    dropout_rng: Any = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Any = None,
    precision: Any = None,
    module: Any = None,
    promote_dtype: Any = dtypes.promote_dtype,
    is_causal: bool = False,
) -> Recorded | None:
    """`nnx.dot_product_attention` over (batch, steps, heads, size)."""
    active = dropout_rate > 0 and not deterministic
    if active or module is not None or bias is not None or dtype not in _FLOATS:
        return None
    return _attended(query, key, value, mask, is_causal, None, float(dropout_rate))


def jax_attention(
    query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, **options: Any
) -> Recorded | None:
    """`jax.nn.dot_product_attention` over (batch, steps, heads, size)."""
    scale, causal = options.pop("scale", None), options.pop("is_causal", False)
    implementation = options.pop("implementation", None)
    if bias is not None or any(item is not None and item is not False for item in options.values()):
        return None
    return None if implementation == "cudnn" else _attended(query, key, value, mask, causal, scale, 0.0)


def _attended(
    query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float | None, dropout: float
) -> Recorded | None:
    if not query.ndim == key.ndim == value.ndim == 4 or (scale is not None and not isinstance(scale, (int, float))):
        return None
    arrays, _ = _present(query, key, value, mask)
    options = {"causal": bool(causal), "scale": None if scale is None else float(scale), "dropout": dropout}
    shape = (*query.shape[:-1], value.shape[-1])
    return Recorded("attention", arrays, options, (jax.ShapeDtypeStruct(shape, query.dtype),))


# (namespace, name, recorder): functions that people call through the namespace.
FUNCTIONS: Sequence[tuple[Any, str, Callable[..., Recorded | None]]] = (
    (nnx, "dot_product_attention", attention),
    (flax_attention, "dot_product_attention", attention),
    (jax.nn, "dot_product_attention", jax_attention),
)


# Recurrent layers -----------------------------------------------------------------------------------------------------


def _cell(cell: Any) -> tuple[str, tuple[Any, ...]] | None:
    """A cell's kind, arrays and their names: input kernels, hidden kernels, biases, each in the order of its gates."""
    if (
        getattr(cell, "gate_fn", recurrent.sigmoid) is not recurrent.sigmoid
        or getattr(cell, "activation_fn", None) is not recurrent.tanh
    ):
        return None
    if not _usual(cell, "promote_dtype") or cell.carry_init is not None:
        return None
    if type(cell) is nnx.OptimizedLSTMCell:
        return "lstm", (cell.dense_i.kernel[...], cell.dense_h.kernel[...], cell.dense_h.bias[...])
    if type(cell) is nnx.LSTMCell:
        inputs = (getattr(cell, name).kernel[...] for name in ("ii", "if_", "ig", "io"))
        hidden = [getattr(cell, name) for name in ("hi", "hf", "hg", "ho")]
        return "lstm", (*inputs, *(item.kernel[...] for item in hidden), *(item.bias[...] for item in hidden))
    if type(cell) is nnx.GRUCell:
        return "gru", (cell.dense_i.kernel[...], cell.dense_h.kernel[...], cell.dense_i.bias[...])
    return None


def _option(given: Any, own: Any) -> bool:
    return bool(own if given is None else given)


@_layer(nnx.RNN)
def rnn(
    module: Any, inputs: Any, *, initial_carry: Any = None, seq_lengths: Any = None, rngs: Any = None, **options: Any
) -> Recorded | None:
    found = _cell(module.cell)
    if found is None or inputs.ndim != 3 or seq_lengths is not None:
        return None
    given = {
        name: _option(options.get(name), getattr(module, name))
        for name in ("return_carry", "time_major", "reverse", "keep_order")
    }
    kind, weights = found
    states = _states(kind, initial_carry)
    results = _rnn_results(kind, inputs, module.cell.hidden_features, given["time_major"], 1)
    tree = _carried(kind, 1) if given["return_carry"] else lambda outputs: outputs[0]
    more = {"cells": (len(weights),), "states": len(states), "hidden": int(module.cell.hidden_features)}
    direction = "reverse" if given["reverse"] else "forward"
    backwards = given["reverse"] and not given["keep_order"]
    settings = {"time_major": given["time_major"], "direction": direction, "backwards": backwards, **more}
    return Recorded(kind, (inputs, *weights, *states), settings, results, tree)


@_layer(nnx.Bidirectional)
def bidirectional(
    module: Any, inputs: Any, *, initial_carry: Any = None, seq_lengths: Any = None, **options: Any
) -> Recorded | None:
    layers = (module.forward_rnn, module.backward_rnn)
    if any(type(item) is not nnx.RNN for item in layers) or layers[0] is layers[1] or inputs.ndim != 3:
        return None
    cells = [_cell(item.cell) for item in layers]
    if cells[0] is None or cells[1] is None or cells[0][0] != cells[1][0] or len(cells[0][1]) != len(cells[1][1]):
        return None
    sizes = {item.cell.hidden_features for item in layers}
    if (
        len(sizes) > 1
        or seq_lengths is not None
        or initial_carry is not None
        or module.merge_fn is not recurrent._concatenate
    ):
        return None
    kind, hidden = cells[0][0], int(sizes.pop())
    time_major = _option(options.get("time_major"), module.time_major)
    results = _rnn_results(kind, inputs, hidden, time_major, 2)
    carried = _option(options.get("return_carry"), module.return_carry)
    tree = _carried(kind, 2) if carried else lambda outputs: outputs[0]
    settings = {
        "time_major": time_major,
        "direction": "bidirectional",
        "backwards": False,
        "cells": tuple(len(item[1]) for item in cells if item is not None),
        "states": 0,
        "hidden": hidden,
    }
    return Recorded(kind, (inputs, *cells[0][1], *cells[1][1]), settings, results, tree)


def _states(kind: str, carry: Any) -> tuple[Any, ...]:
    """The first states, h before c as ONNX has them."""
    if carry is None:
        return ()
    return (carry[1], carry[0]) if kind == "lstm" else (carry,)


def _rnn_results(kind: str, inputs: Any, hidden: int, time_major: bool, directions: int) -> tuple[Any, ...]:
    """Every step's h, then for each direction the last h (and c)."""
    sequence = (*inputs.shape[:2], directions * hidden)
    batch = inputs.shape[1 if time_major else 0]
    state = jax.ShapeDtypeStruct((batch, hidden), inputs.dtype)
    return (jax.ShapeDtypeStruct(sequence, inputs.dtype), *[state] * (directions * (2 if kind == "lstm" else 1)))


def _carried(kind: str, directions: int) -> Callable[[Sequence[Any]], Any]:
    """From (sequence, h …, c …) to (carry, sequence) as Flax gives it: c before h."""

    def carry(outputs: Sequence[Any]) -> Any:
        hidden = outputs[1 : 1 + directions]
        states = list(zip(outputs[1 + directions :], hidden, strict=True)) if kind == "lstm" else list(hidden)
        return (states[0] if directions == 1 else tuple(states)), outputs[0]

    return carry
