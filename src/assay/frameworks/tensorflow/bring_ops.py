"""TensorFlow's operations as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.frameworks.drafting import Draft, Graph, Untranslatable, Weight, known, registered
from assay.model import intended
from assay.nn.tensor import Shape, Tensor
from assay.write.weights import Step, reshape, transpose

Operand = Tensor | Weight | np.ndarray
Result = Operand | tuple[Operand, ...]
Translate = Callable[["Call"], Result]
TABLE: dict[str, Translate] = {}
_END = 2**63 - 1


def operation(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these operations."""
    return registered(TABLE, names)


@dataclass
class Call(Draft):
    """One operation: its operands, its attributes, the shapes and types of its results."""

    name: str
    attributes: Mapping[str, Any]
    inputs: tuple[Operand, ...]
    tracer: Graph
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    sizes: Mapping[str, tuple[Tensor, int]]

    def __getitem__(self, name: str) -> Any:
        """An attribute."""
        return self.attributes[name]

    @property
    def shape(self) -> Shape:
        return self.shapes[0]

    @property
    def dtype(self) -> str:
        return self.dtypes[0]

    def tensor(self, place: int = 0) -> Tensor:
        """An operand as a value of the graph."""
        given = self.inputs[place]
        if isinstance(given, Weight):
            return given.plain(self.tracer)
        return given if isinstance(given, Tensor) else self.constant(given)

    def constant(self, array: np.ndarray) -> Tensor:
        if array.ndim == 0 and array.dtype.kind in "fiub":
            number = array.item()
            return self.scalar(
                intended(number) if array.dtype == np.float32 and np.isfinite(number) else number, str(array.dtype)
            )
        return self.tracer.constant(array)

    def known(self, place: int) -> np.ndarray:
        """An operand of which the numbers are needed."""
        given = self.inputs[place]
        if not isinstance(given, np.ndarray):
            raise Untranslatable(f"input {place} must be known beforehand")
        return given

    def numbers(self, place: int) -> list[int]:
        return [int(item) for item in self.known(place).reshape(-1)]

    def turned(self, place: int, *steps: Step) -> Tensor:
        """A weight in ONNX's form, by steps of which the last is a transpose."""
        given = self.inputs[place]
        if isinstance(given, Weight) and given.users == 1:
            return given.form(self.tracer, *steps)
        x = self.tensor(place)
        for step in steps:
            x = (
                self.transpose(x, step.arguments)
                if step.kind == "transpose"
                else self.reshape(x, tuple(step.arguments[1]))
            )
        return x

    def result(self, op_type: str, inputs: list[Tensor | None], **attributes: Any) -> Tensor:
        """Adds the node whose output is the operation's result."""
        return self.node(op_type, inputs, self.shape, self.dtype, **attributes)

    def is_last(self) -> bool:
        """Whether the channels are the last axis."""
        return not str(self.attributes.get("data_format", b"NHWC"), "ascii").startswith("NC")


_UNARY = {
    **{
        name: name
        for name in ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Log", "Neg", "Relu", "Round", "Selu")
    },
    **{
        name: name for name in ("Sigmoid", "Sign", "Sin", "Sinh", "Cosh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh")
    },
    **{"LogicalNot": "Not", "IsNan": "IsNaN", "IsInf": "IsInf", "Rint": "Round"},
}
_BINARY = {
    **{"Add": "Add", "AddV2": "Add", "Sub": "Sub", "Mul": "Mul", "RealDiv": "Div", "Maximum": "Max", "Minimum": "Min"},
    **{"Pow": "Pow", "Equal": "Equal", "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less"},
    **{"LessEqual": "LessOrEqual", "LogicalAnd": "And", "LogicalOr": "Or"},
}


@operation(*_UNARY)
def unary(c: Call) -> Result:
    return c.result(_UNARY[c.name], [c.tensor()])


@operation(*_BINARY)
def binary(c: Call) -> Result:
    left, right = c.tensor(0), c.tensor(1)
    return c.result(_BINARY[c.name], [left, right])


@operation("NotEqual")
def different(c: Call) -> Result:
    return c.result("Not", [c.node("Equal", [c.tensor(0), c.tensor(1)], c.shape, "bool")])


@operation("Identity", "Snapshot", "PreventGradient", "CheckNumerics", "EnsureShape", "ReadVariableOp")
def same(c: Call) -> Result:
    return c.inputs[0]


@operation("StopGradient")
def stopped(c: Call) -> Result:
    c.tracer.note("the gradient is not stopped where the source stops it (tf.stop_gradient)")
    return c.inputs[0]


@operation("IdentityN")
def same_all(c: Call) -> Result:
    return tuple(c.inputs)


@operation("AddN")
def sum_all(c: Call) -> Result:
    return c.result("Sum", [c.tensor(place) for place in range(len(c.inputs))])


@operation("Square")
def square(c: Call) -> Result:
    return c.result("Mul", [c.tensor(), c.tensor()])


@operation("SquaredDifference")
def squared_difference(c: Call) -> Result:
    less = c.node("Sub", [c.tensor(0), c.tensor(1)], c.shape, c.dtype)
    return c.result("Mul", [less, less])


@operation("Rsqrt")
def reciprocal_root(c: Call) -> Result:
    return c.result("Reciprocal", [c.node("Sqrt", [c.tensor()], c.shape, c.dtype)])


@operation("Reciprocal", "Inv")
def reciprocal(c: Call) -> Result:
    return c.result("Reciprocal", [c.tensor()])


@operation("Log1p")
def logarithm_of_more(c: Call) -> Result:
    return c.result("Log", [c.node("Add", [c.tensor(), c.scalar(1, c.dtype)], c.shape)])


@operation("Erfc")
def complementary_error(c: Call) -> Result:
    return c.result("Sub", [c.scalar(1, c.dtype), c.node("Erf", [c.tensor()], c.shape)])


@operation("Relu6")
def relu6(c: Call) -> Result:
    return c.result("Clip", [c.tensor(), c.scalar(0, c.dtype), c.scalar(6, c.dtype)])


@operation("ClipByValue")
def clip(c: Call) -> Result:
    return c.result("Clip", [c.tensor(place) for place in range(3)])


@operation("LeakyRelu")
def leaky_relu(c: Call) -> Result:
    return c.result("LeakyRelu", [c.tensor()], alpha=intended(float(c["alpha"])))


@operation("Softmax", "LogSoftmax")
def softmax(c: Call) -> Result:
    return c.result(c.name, [c.tensor()], axis=-1)


@operation("Select", "SelectV2")
def select(c: Call) -> Result:
    return c.result("Where", [c.tensor(0), c.tensor(1), c.tensor(2)])


@operation("Cast")
def cast(c: Call) -> Result:
    return c.cast(c.tensor(), c.dtype)


# Products -------------------------------------------------------------------------------------------------------------


@operation("MatMul", "BatchMatMulV2", "BatchMatMul")
def product(c: Call) -> Result:
    names = ("transpose_a", "transpose_b") if c.name == "MatMul" else ("adj_x", "adj_y")
    operands = [_swapped(c, place) if c[name] else c.tensor(place) for place, name in enumerate(names)]
    return c.result("MatMul", [*operands])


def _swapped(c: Call, place: int) -> Tensor:
    given = c.inputs[place]
    rank = (
        given.array.ndim if isinstance(given, Weight) else given.ndim if isinstance(given, np.ndarray) else given.rank
    )
    return c.turned(place, transpose(*range(rank - 2), rank - 1, rank - 2))


@operation("Einsum")
def einsum(c: Call) -> Result:
    equation = c["equation"].decode().replace(" ", "")
    if "." in equation:
        raise Untranslatable("an ellipsis in the equation")
    return c.result("Einsum", [c.tensor(place) for place in range(len(c.inputs))], equation=equation)


@operation("BiasAdd", "BiasAddV1")
def add_bias(c: Call) -> Result:
    x, bias = c.tensor(0), c.tensor(1)
    if not c.is_last() and x.rank > 2:
        bias = c.unsqueeze(bias, *range(1, x.rank - 1))
    return c.result("Add", [x, bias])


@operation("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2dNative")
def convolution(c: Call) -> Result:
    x, kernel = c.tensor(0), c.inputs[1]
    if not c.is_last():
        raise Untranslatable("channels before other axes")
    shape = tuple(int(size) for size in (kernel.array.shape if isinstance(kernel, Weight) else kernel.shape))
    rank = len(shape) - 2
    spatial = tuple(range(rank))
    channels = known(x.shape[-1], "a convolution")
    if c.name == "DepthwiseConv2dNative":
        joined = (*shape[:rank], 1, shape[-2] * shape[-1])
        weight, groups = c.turned(1, reshape(shape, joined), transpose(rank + 1, rank, *spatial)), channels
    else:
        weight, groups = c.turned(1, transpose(rank + 1, rank, *spatial)), channels // shape[-2]
    strides, dilations = list(c["strides"])[1:-1], list(c["dilations"])[1:-1]
    first = c.channels_first(x)
    pads = _pads(c, [known(size, "a convolution") for size in x.shape[1:-1]], shape[:rank], strides, dilations)
    y = c.node(
        "Conv",
        [first, weight],
        (c.shape[0], c.shape[-1], *c.shape[1:-1]),
        kernel_shape=list(shape[:rank]),
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=groups,
    )
    return c.channels_last(y)


def _pads(c: Call, sizes: list[int], kernel: tuple[int, ...], strides: list[int], dilations: list[int]) -> list[int]:
    padding = c["padding"].decode()
    if padding == "VALID":
        return [0] * 2 * len(sizes)
    if padding == "EXPLICIT":
        pairs = list(c["explicit_paddings"])[2:-2]
        return [*pairs[::2], *pairs[1::2]]
    total = [
        max((-(-size // stride) - 1) * stride + dilation * (extent - 1) + 1 - size, 0)
        for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    return [amount // 2 for amount in total] + [amount - amount // 2 for amount in total]


@operation("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D")
def pool(c: Call) -> Result:
    if not c.is_last():
        raise Untranslatable("channels before other axes")
    x, kernel, strides = c.tensor(), list(c["ksize"]), list(c["strides"])
    if {kernel[0], kernel[-1], strides[0], strides[-1]} != {1}:
        raise Untranslatable("a window over the batch or the channels")
    kernel, strides = kernel[1:-1], strides[1:-1]
    sizes = [known(size, "a pool") for size in x.shape[1:-1]]
    options = {"count_include_pad": 0} if c.name.startswith("Avg") else {}
    y = c.node(
        "AveragePool" if c.name.startswith("Avg") else "MaxPool",
        [c.channels_first(x)],
        (c.shape[0], c.shape[-1], *c.shape[1:-1]),
        c.dtype,
        kernel_shape=kernel,
        strides=strides,
        pads=_pads(c, sizes, tuple(kernel), strides, [1] * len(kernel)),
        **options,
    )
    return c.channels_last(y)


@operation("FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm")
def batch_norm(c: Call) -> Result:
    if c["is_training"]:
        raise Untranslatable("statistics of the batch are used: give the module called with training=False")
    x = c.tensor(0) if not c.is_last() else c.channels_first(c.tensor(0))
    operands = [c.tensor(place) for place in range(1, 5)]
    for place in (3, 4):
        given = c.inputs[place]
        if isinstance(given, Weight) and given.role == "constant":
            given.forms[()].value.metadata_props["assay.role"] = given.role = "statistic"
            given.forms[()].value.metadata_props.pop("assay.kept", None)
    c.tracer.remark("how fast batch normalisation's averages move is not part of the graph; 0.99 of the old is kept")
    y = c.node(
        "BatchNormalization", [x, *operands], x.shape, c.dtype, epsilon=intended(float(c["epsilon"])), momentum=0.99
    )
    return (c.channels_last(y) if c.is_last() else y,)


# Over axes ------------------------------------------------------------------------------------------------------------

_REDUCTIONS = {"Mean": "ReduceMean", "Sum": "ReduceSum", "Max": "ReduceMax", "Min": "ReduceMin", "Prod": "ReduceProd"}


@operation(*_REDUCTIONS)
def reduction(c: Call) -> Result:
    x = c.tensor()
    axes = sorted(axis % x.rank for axis in c.numbers(1))
    return c.result(_REDUCTIONS[c.name], [x, c.integers(axes)], keepdims=int(c["keep_dims"]))


@operation("MatrixBandPart")
def band(c: Call) -> Result:
    below, above = c.numbers(1)[0], c.numbers(2)[0]
    if (below < 0) == (above < 0):
        raise Untranslatable("a band between two diagonals")
    diagonal = c.tracer.constant(np.array(above if below < 0 else -below, np.int64))
    return c.result("Trilu", [c.tensor(), diagonal], upper=int(above < 0))


@operation("ArgMax", "ArgMin")
def place_of(c: Call) -> Result:
    y = c.node(c.name, [c.tensor()], c.shape, "int64", axis=c.numbers(1)[0], keepdims=0)
    return c.cast(y, c.dtype)


@operation("Cumsum", "Cumprod")
def cumulated(c: Call) -> Result:
    axis = c.tracer.constant(np.array(c.numbers(1)[0], np.int64))
    name = "CumSum" if c.name == "Cumsum" else "CumProd"
    return c.result(name, [c.tensor(), axis], exclusive=int(c["exclusive"]), reverse=int(c["reverse"]))


# Axes -----------------------------------------------------------------------------------------------------------------


@operation("Reshape")
def reshape_to(c: Call) -> Result:
    return c.reshape(c.tensor(), c.shape)


@operation("Squeeze")
def squeeze(c: Call) -> Result:
    x = c.tensor()
    given = [axis % x.rank for axis in c["squeeze_dims"]] or [axis for axis, size in enumerate(x.shape) if size == 1]
    return c.squeeze(x, given)


@operation("ExpandDims")
def expand_dims(c: Call) -> Result:
    return c.unsqueeze(c.tensor(), c.numbers(1)[0])


@operation("Transpose")
def transpose_axes(c: Call) -> Result:
    return c.transpose(c.tensor(), c.numbers(1))


@operation("ConcatV2")
def concatenate(c: Call) -> Result:
    axis = c.numbers(len(c.inputs) - 1)[0]
    return c.result("Concat", [c.tensor(place) for place in range(len(c.inputs) - 1)], axis=axis)


@operation("Pack")
def pack(c: Call) -> Result:
    axis = int(c["axis"]) % len(c.shape)
    return c.result("Concat", [c.unsqueeze(c.tensor(place), axis) for place in range(len(c.inputs))], axis=axis)


@operation("Unpack")
def unpack(c: Call) -> Result:
    x = c.tensor()
    axis = int(c["axis"]) % x.rank
    shapes = [(*x.shape[:axis], 1, *x.shape[axis + 1 :])] * len(c.shapes)
    if len(shapes) == 1:
        return (c.squeeze(x, [axis]),)
    parts = c.tracer.node_with_outputs("Split", [x], shapes, c.dtype, axis=axis, num_outputs=len(shapes))
    return tuple(c.squeeze(part, [axis]) for part in parts)


@operation("Split")
def split(c: Call) -> Result:
    x, axis = c.tensor(1), c.numbers(0)[0]
    if len(c.shapes) == 1:
        return (x,)
    return c.tracer.node_with_outputs("Split", [x], c.shapes, c.dtype, axis=axis, num_outputs=len(c.shapes))


@operation("SplitV")
def split_unevenly(c: Call) -> Result:
    axis = c.numbers(2)[0]
    sizes = [known(shape[axis], "a part") for shape in c.shapes]
    return c.tracer.node_with_outputs("Split", [c.tensor(), c.integers(sizes)], c.shapes, c.dtype, axis=axis)


@operation("StridedSlice")
def strided_slice(c: Call) -> Result:
    x, starts, stops, steps = c.tensor(), c.numbers(1), c.numbers(2), c.numbers(3)
    if c["ellipsis_mask"] and c["new_axis_mask"]:
        raise Untranslatable("an ellipsis beside a new axis")
    axis, gone, new = 0, [], []
    fill = x.rank - (len(starts) - 1) if c["ellipsis_mask"] else 0
    for place, (start, stop, step) in enumerate(zip(starts, stops, steps, strict=True)):
        bit = 1 << place
        if c["ellipsis_mask"] & bit:
            axis += fill
            continue
        if c["new_axis_mask"] & bit:
            new.append(place)
            continue
        if c["shrink_axis_mask"] & bit:
            x = c.slice(x, axis, start, start + 1 if start != -1 else _END, 1)
            gone.append(axis)
        else:
            x = _cut(c, x, axis, None if c["begin_mask"] & bit else start, None if c["end_mask"] & bit else stop, step)
        axis += 1
    return c.unsqueeze(c.squeeze(x, gone), *new)


def _cut(c: Call, x: Tensor, axis: int, start: int | None, stop: int | None, step: int) -> Tensor:
    if start is None and stop is None and step == 1:
        return x
    size = known(x.shape[axis], "a slice")
    places = range(size)[slice(start, stop, step)]
    first = places.start if len(places) else 0
    last = places.stop if step > 0 or places.stop >= 0 else -_END
    return x if len(places) == size and step == 1 else c.slice(x, axis, first, last, len(places), step)


@operation("Slice")
def cut(c: Call) -> Result:
    x = c.tensor()
    for axis, (start, length) in enumerate(zip(c.numbers(1), c.numbers(2), strict=True)):
        if start or (length != -1 and length != x.shape[axis]):
            x = _cut(c, x, axis, start, None if length == -1 else start + length, 1)
    return x


@operation("Tile")
def tile(c: Call) -> Result:
    x = c.tensor()
    if all(size == 1 or size == now for size, now in zip(x.shape, c.shape, strict=True)):
        return c.expand(x, c.shape)
    return c.result("Tile", [x, c.integers(c.numbers(1))])


@operation("BroadcastTo")
def broadcast_to(c: Call) -> Result:
    return c.expand(c.tensor(), c.shape)


@operation("Fill")
def fill(c: Call) -> Result:
    value = c.tensor(1)
    return c.expand(c.reshape(value, (1,) * len(c.shape)), c.shape) if c.shape else value


@operation("ZerosLike", "OnesLike")
def filled_like(c: Call) -> Result:
    number = 0 if c.name == "ZerosLike" else 1
    return c.expand(c.tracer.constant(np.full((1,) * len(c.shape), number, c.dtype)), c.shape)


@operation("Pad", "PadV2", "MirrorPad")
def pad(c: Call) -> Result:
    amounts = c.known(1)
    pads = c.integers([int(item) for item in [*amounts[:, 0], *amounts[:, 1]]])
    if c.name == "MirrorPad":
        if c["mode"] != b"REFLECT":
            raise Untranslatable("padding that repeats the edge in the mirror")
        return c.result("Pad", [c.tensor(), pads], mode="reflect")
    value = c.tensor(2) if c.name == "PadV2" else c.scalar(0, c.dtype)
    return c.result("Pad", [c.tensor(), pads, value])


@operation("GatherV2", "ResourceGather")
def gather(c: Call) -> Result:
    if int(c.attributes.get("batch_dims", 0)):
        raise Untranslatable("indices that differ between examples")
    axis = c.numbers(2)[0] if c.name == "GatherV2" else 0
    return c.result("Gather", [c.tensor(0), c.tensor(1)], axis=axis)


@operation("GatherNd")
def gather_nd(c: Call) -> Result:
    return c.result("GatherND", [c.tensor(0), c.cast(c.tensor(1), "int64")])


@operation("OneHot")
def one_hot(c: Call) -> Result:
    values = np.array([c.known(3).item(), c.known(2).item()], c.dtype)
    depth = c.tracer.constant(np.array(c.known(1).item(), np.int64))
    return c.result("OneHot", [c.tensor(0), depth, c.tracer.constant(values)], axis=int(c["axis"]))
