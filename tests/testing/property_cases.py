"""Random valid nodes of the operators that have most attributes, with inputs: what Hypothesis draws from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

OPSET = 22


@dataclass(frozen=True)
class Example:
    """One node with its inputs by name; some may be constants of the model."""

    node: onnx.NodeProto
    inputs: dict[str, np.ndarray]
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def varied(self, constant: bool, double: bool) -> Example:
        """The same with shapes, axes and indices in the model itself; or in float64."""
        inputs = {
            name: array.astype(np.float64) if double and array.dtype == np.float32 and name != "scales" else array
            for name, array in self.inputs.items()
        }
        kept = {name: a for name, a in inputs.items() if constant and (a.dtype.kind in "iu" or name == "scales")}
        return Example(self.node, {name: a for name, a in inputs.items() if name not in kept}, kept)

    def single(self) -> Example:
        """The same in float32."""

        def narrow(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}

        return Example(self.node, narrow(self.inputs), narrow(self.constants))

    def model(self) -> onnx.ModelProto:
        infos = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.inputs.items()
        ]
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in self.node.output]
        constants = [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = onnx.helper.make_graph([self.node], "example", infos, outputs, constants)
        opset = [onnx.helper.make_opsetid("", OPSET)]
        return onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10))

    def __str__(self) -> str:
        shapes = {
            name: a.tolist() if a.dtype.kind in "iu" and a.size <= 12 else a.shape
            for name, a in {**self.inputs, **self.constants}.items()
        }
        kind = next(iter(self.inputs.values())).dtype
        constant = f" ({', '.join(self.constants)} constant)" if self.constants else ""
        return f"{onnx.printer.to_text(self.node)} of {kind} {shapes}{constant}"


Draw = Callable[[st.SearchStrategy[Any]], Any]
FAMILIES: dict[str, st.SearchStrategy[Example]] = {}


def _family(function: Callable[[Draw], Example]) -> Callable[[Draw], Example]:
    plain, flag = st.composite(function)(), st.booleans()
    FAMILIES[function.__name__.strip("_")] = st.builds(Example.varied, plain, flag, flag)
    return function


def _floats(draw: Draw, *shape: int) -> np.ndarray:
    """Numbers from a drawn seed: no two equal, none near zero, so that nothing hangs on a tie."""
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    count = math.prod(shape)
    values = np.linspace(0.1, 2.0, max(count, 1))[:count] * generator.choice([-1, 1], count)
    return generator.permutation(values).reshape(shape).astype(np.float32)


def _sizes(draw: Draw, count: int, least: int = 1, most: int = 7) -> list[int]:
    return [draw(st.integers(least, most)) for _ in range(count)]


def _flag(draw: Draw) -> bool:
    return bool(draw(st.booleans()))


def _node(
    kind: str, inputs: dict[str, np.ndarray | None], outputs: Sequence[str] = ("y",), **attributes: Any
) -> Example:
    names = [name if array is not None else "" for name, array in inputs.items()]
    while names and not names[-1]:
        names.pop()
    given = {name: value for name, value in attributes.items() if value is not None}
    node = onnx.helper.make_node(kind, names, list(outputs), **given)
    return Example(node, {name: array for name, array in inputs.items() if array is not None})


# Convolution and pooling ----------------------------------------------------------------------------------------------


def _window(draw: Draw, rank: int, pooling: bool = False) -> tuple[list[int], list[int], dict[str, Any]]:
    """Spatial sizes, a kernel that fits them, and strides, dilations and padding."""
    kernel, strides, dilations = _sizes(draw, rank, 1, 3), _sizes(draw, rank, 1, 3), _sizes(draw, rank, 1, 2)
    auto = draw(st.sampled_from([None, None, "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto is not None and auto.startswith("SAME"):  # else padding is negative, and nobody agrees on what that means
        kernel = [max(size, stride) for size, stride in zip(kernel, strides, strict=True)]
    attributes: dict[str, Any] = {"kernel_shape": kernel}
    attributes["strides"] = strides if _flag(draw) else None
    attributes["dilations"] = dilations if _flag(draw) else None
    used = attributes["dilations"] or [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, used, strict=True)]
    if auto is not None:
        attributes["auto_pad"] = auto
    elif _flag(draw):
        # Less than the window, so that no window of a pooling lies in the padding alone.
        limit = [(k - 1) if pooling else k for k in kernel]
        attributes["pads"] = [draw(st.integers(0, most)) for most in limit * 2]
    spatial = [draw(st.integers(size, size + 4)) for size in reach]
    return spatial, kernel, attributes


@_family
def _conv(draw: Draw) -> Example:
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
    spatial, kernel, attributes = _window(draw, rank)
    inside, outside = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    inputs = {
        "x": _floats(draw, draw(st.integers(1, 2)), inside, *spatial),
        "w": _floats(draw, outside, inside // groups, *kernel),
        "b": _floats(draw, outside) if _flag(draw) else None,
    }
    return _node("Conv", inputs, group=groups, **attributes)


@_family
def _conv_transpose(draw: Draw) -> Example:
    rank, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2]))
    spatial, kernel, attributes = _window(draw, rank)
    strides, dilations = attributes["strides"] or [1] * rank, attributes["dilations"] or [1] * rank
    if _flag(draw):
        attributes["output_padding"] = [
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True)
        ]
    inside, outside = groups * draw(st.integers(1, 2)), draw(st.integers(1, 3))
    inputs = {
        "x": _floats(draw, draw(st.integers(1, 2)), inside, *spatial),
        "w": _floats(draw, inside, outside, *kernel),
        "b": _floats(draw, outside * groups) if _flag(draw) else None,
    }
    return _node("ConvTranspose", inputs, group=groups, **attributes)


def _pool(draw: Draw, kind: str, **more: Any) -> Example:
    spatial, _, attributes = _window(draw, draw(st.integers(1, 3)), pooling=True)
    if "auto_pad" not in attributes:
        attributes["ceil_mode"] = int(_flag(draw))
    else:  # ONNX's reference, ONNX Runtime and the specification all differ
        attributes["dilations"] = None
    x = _floats(draw, *_sizes(draw, 2, 1, 2), *spatial)
    return _node(kind, {"x": x}, **attributes, **more)


@_family
def _max_pool(draw: Draw) -> Example:
    return _pool(draw, "MaxPool")


@_family
def _average_pool(draw: Draw) -> Example:
    return _pool(draw, "AveragePool", count_include_pad=int(_flag(draw)))


@_family
def _resize(draw: Draw) -> Example:
    rank = draw(st.integers(1, 3))
    x = _floats(draw, *_sizes(draw, 2, 1, 2), *_sizes(draw, rank, 2, 6))
    mode = draw(st.sampled_from(["nearest", "linear"] + (["cubic"] if rank == 2 else [])))
    words = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": draw(st.sampled_from(words))}
    if mode == "nearest":
        roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = draw(st.sampled_from(roundings))
    elif _flag(draw):
        attributes["antialias"] = 1
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
        attributes["exclude_outside"] = int(_flag(draw))
    given: dict[str, np.ndarray | None] = {"x": x, "roi": None, "scales": None, "sizes": None}
    if _flag(draw):
        factors = [draw(st.sampled_from([0.5, 0.6, 1.0, 1.5, 2.0, 2.7])) for _ in range(rank)]
        given["scales"] = np.array([1, 1, *factors], np.float32)
    else:
        given["sizes"] = np.array([*x.shape[:2], *_sizes(draw, rank, 1, 9)])
    return _node("Resize", given, **attributes)


# Selecting ------------------------------------------------------------------------------------------------------------


@_family
def _slice(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 4)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -2, 3])) for _ in axes]
    bounds = st.one_of(st.integers(-9, 9), st.sampled_from([-(2**31), 2**31 - 1]))
    signed = [axis - len(shape) if _flag(draw) else axis for axis in axes]
    inputs = {
        "x": _floats(draw, *shape),
        "starts": np.array([draw(bounds) for _ in axes]),
        "ends": np.array([draw(bounds) for _ in axes]),
        "axes": np.array(signed),
        "steps": np.array(steps) if any(step != 1 for step in steps) or _flag(draw) else None,
    }
    return _node("Slice", inputs)


@_family
def _pad(draw: Draw) -> Example:
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    shape = _sizes(draw, draw(st.integers(1, 4)), 3, 5)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1)) if _flag(draw) else None
    count = len(shape) if axes is None else len(axes)
    least = -1 if mode == "constant" else 0
    inputs = {
        "x": _floats(draw, *shape),
        "pads": np.array([draw(st.integers(least, 2)) for _ in range(2 * count)]),
        "value": np.array(1.5, np.float32) if mode == "constant" and _flag(draw) else None,
        "axes": np.array(axes) if axes is not None else None,
    }
    return _node("Pad", inputs, mode=mode)


def _indices(draw: Draw, shape: Sequence[int], size: int) -> np.ndarray:
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    return generator.integers(-size if _flag(draw) else 0, size, shape)


@_family
def _gather(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 4)), 1, 5)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    indices = _indices(draw, _sizes(draw, draw(st.integers(0, 2)), 1, 4), shape[axis])
    return _node("Gather", {"x": _floats(draw, *shape), "i": indices}, axis=axis)


@_family
def _gather_elements(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 4)), 1, 5)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    indices = _indices(draw, [draw(st.integers(1, size)) for size in shape], shape[axis])
    return _node("GatherElements", {"x": _floats(draw, *shape), "i": indices}, axis=axis)


@_family
def _gather_nd(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 4)), 1, 4)
    batch = draw(st.integers(0, len(shape) - 1))
    depth = draw(st.integers(1, len(shape) - batch))
    leading = [*shape[:batch], *_sizes(draw, draw(st.integers(0 if batch else 1, 2)), 1, 3)]
    columns = [_indices(draw, leading, size) for size in shape[batch : batch + depth]]
    return _node("GatherND", {"x": _floats(draw, *shape), "i": np.stack(columns, axis=-1)}, batch_dims=batch)


_REDUCTIONS = st.sampled_from(["none", "add", "mul", "max", "min"])


@_family
def _scatter_elements(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 3)), 1, 5)
    axis, reduction = draw(st.integers(-len(shape), len(shape) - 1)), draw(_REDUCTIONS)
    places = [draw(st.integers(1, size)) for size in shape]
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    if reduction == "none":  # which of several comes last is not defined
        indices = np.argsort(
            generator.random([*places[: axis % len(shape)], shape[axis], *places[axis % len(shape) + 1 :]]), axis
        )
        indices = np.take(indices, range(places[axis]), axis)
    else:
        indices = generator.integers(0, shape[axis], places)
    inputs = {"x": _floats(draw, *shape), "i": indices, "u": _floats(draw, *places)}
    return _node("ScatterElements", inputs, axis=axis, reduction=reduction)


@_family
def _scatter_nd(draw: Draw) -> Example:
    shape = _sizes(draw, draw(st.integers(1, 3)), 2, 4)
    depth, reduction, count = draw(st.integers(1, len(shape))), draw(_REDUCTIONS), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    every = math.prod(shape[:depth])
    flat = generator.choice(every, min(count, every), replace=reduction != "none")
    indices = np.stack(np.unravel_index(flat, shape[:depth]), axis=-1).astype(np.int64)
    inputs = {"x": _floats(draw, *shape), "i": indices, "u": _floats(draw, len(flat), *shape[depth:])}
    return _node("ScatterND", inputs, reduction=reduction)


# Reducing -------------------------------------------------------------------------------------------------------------


@_family
def _reduce(draw: Draw) -> Example:
    kinds = ("Max", "Min", "Sum", "Mean", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    kind = draw(st.sampled_from(kinds))
    shape = _sizes(draw, draw(st.integers(1, 4)), 1, 4)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True)) if _flag(draw) else None
    if axes:
        axes = [axis - len(shape) if _flag(draw) else axis for axis in axes]
    x = _floats(draw, *shape)
    inputs = {
        "x": np.abs(x) if kind == "LogSum" else x,
        "axes": np.array(axes, np.int64) if axes is not None else None,
    }
    return _node(f"Reduce{kind}", inputs, keepdims=int(_flag(draw)), noop_with_empty_axes=int(_flag(draw)) or None)


@_family
def _einsum(draw: Draw) -> Example:
    equations = ["ij,jk->ik", "bij,bjk->bik", "bhqd,bhkd->bhqk", "i,j->ij", "ij->ji", "ii->i", "ij->", "ij,ij->i"]
    equations += [
        "...ij,...jk->...ik",
        "ij,jk",
        "bi,bj,bk->bijk",
        "abc->cab",
        "...i->...",
        "ijj->i",
        "ba",
        " i j , j -> i",
    ]
    equation = draw(st.sampled_from(equations))
    sizes = {letter: draw(st.integers(1, 4)) for letter in sorted(set(equation) - set(" ,->."))}
    more = _sizes(draw, draw(st.integers(0, 2)), 1, 3)
    operands = {}
    for place, term in enumerate(equation.partition("->")[0].split(",")):
        before, dots, after = term.replace(" ", "").partition("...")
        shape = [*(sizes[one] for one in before), *(more if dots else []), *(sizes[one] for one in after)]
        operands[f"x{place}"] = _floats(draw, *shape)
    return _node("Einsum", operands, equation=equation)


def _recurrent(draw: Draw, kind: str, gates: int, outputs: Sequence[str], **more: Any) -> Example:
    steps, batch, inside, hidden = _sizes(draw, 4, 1, 4)
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    ways = 2 if direction == "bidirectional" else 1
    inputs = {
        "x": _floats(draw, steps, batch, inside),
        "w": _floats(draw, ways, gates * hidden, inside),
        "r": _floats(draw, ways, gates * hidden, hidden),
        "b": _floats(draw, ways, 2 * gates * hidden) if _flag(draw) else None,
        "lengths": np.array(_sizes(draw, batch, 1, steps), np.int32) if _flag(draw) else None,
        "h0": _floats(draw, ways, batch, hidden) if _flag(draw) else None,
    }
    if kind == "LSTM" and inputs["h0"] is not None:
        inputs["c0"] = _floats(draw, ways, batch, hidden)
        inputs["p"] = _floats(draw, ways, 3 * hidden) if _flag(draw) else None
    if direction != "forward":
        more["direction"] = direction
    return _node(kind, inputs, outputs, hidden_size=hidden, **more)


@_family
def _lstm(draw: Draw) -> Example:
    return _recurrent(draw, "LSTM", 4, ("y", "h", "c"))


@_family
def _gru(draw: Draw) -> Example:
    return _recurrent(draw, "GRU", 3, ("y", "h"), linear_before_reset=int(_flag(draw)) or None)
