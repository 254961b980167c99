"""Old ONNX files in the opset that assay works in: the operators whose meaning or form has changed, said anew.

What is not in the table means the same in every opset from 6 on; later versions only allow more types and shapes. Each
rewriting is for nodes of an opset *before* the one that changed the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from assay.errors import ModelError
from assay.model import constant_of

OLDEST = 6


@dataclass
class _Upgrade:
    """One node on its way to a newer form: its attributes, inputs and outputs, to be changed freely, then written."""

    node: ir.Node
    version: int  # of the file
    attributes: dict[str, ir.Attr] = field(init=False)
    inputs: list[ir.Value | None] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = dict(self.node.attributes)
        self.inputs = list(self.node.inputs)

    def take(self, name: str, default: Any = None) -> Any:
        """Removes an attribute and gives its value."""
        found = self.attributes.pop(name, None)
        if found is None:
            return default
        if found.is_ref():
            self.refuse(f"its attribute {name} is that of a function of another opset")
        return found.value

    def refuse(self, why: str) -> None:
        name = self.node.name or (self.node.outputs[0].name if self.node.outputs else "")
        raise ModelError(
            f"{self.node.op_type} (node {name!r}) of opset {self.version} cannot be brought to a newer one: {why}; "
            "export the model again, in a newer opset"
        )

    def shape(self, slot: int) -> list[Any] | None:
        """The shape of an input, if its rank is known."""
        value = self.node.inputs[slot]
        return None if value is None or value.shape is None else list(value.shape)

    def new(self, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Any) -> ir.Value:
        """A further node before this one."""
        node = ir.node(op_type, inputs, attributes, metadata_props=dict(self.node.metadata_props))
        assert self.node.graph is not None
        self.node.graph.insert_before(self.node, node)
        return node.outputs[0]

    def constant(self, array: Any, dtype: Any = np.int64) -> ir.Value:
        return self.new("Constant", [], value=ir.tensor(np.asarray(array, dtype)))

    def like_input(self, number: float) -> ir.Value:
        """A constant scalar of the type of the first input."""
        value = self.node.inputs[0]
        kind = value.dtype if value is not None and value.dtype is not None else ir.DataType.FLOAT
        return self.constant(number, kind.numpy())

    def put(self, slot: int, value: ir.Value) -> None:
        """Sets an input; those that are left out before it become explicit."""
        self.inputs += [None] * (slot + 1 - len(self.inputs))
        self.inputs[slot] = value

    def write(self, op_type: str, outputs: int | None = None) -> None:
        """Puts a node of this operator, with what the attributes and inputs are now, in the place of the old one."""
        count = len(self.node.outputs) if outputs is None else min(outputs, len(self.node.outputs))
        node = ir.node(
            op_type,
            self.inputs,
            self.attributes,
            num_outputs=count,
            name=self.node.name,
            metadata_props=dict(self.node.metadata_props),
        )
        self.become(node.outputs, node)

    def become(self, values: Sequence[ir.Value], last: ir.Node | None = None) -> None:
        """These values take the place of the old outputs."""
        graph = self.node.graph
        assert graph is not None
        if last is not None:
            graph.insert_before(self.node, last)
        for old, new in zip(self.node.outputs, values, strict=False):
            new.name, old.name = old.name, None
            new.shape, new.type = old.shape, old.type
            new.metadata_props.update(old.metadata_props)
            old.replace_all_uses_with(new, replace_graph_outputs=True)
        graph.remove(self.node, safe=True)


_Rewriting = Callable[[_Upgrade], None]
_TABLE: dict[str, tuple[int, _Rewriting]] = {}


def _before(version: int, *op_types: str) -> Callable[[_Rewriting], _Rewriting]:
    """Registers the rewriting of nodes of an opset before this one."""

    def register(function: _Rewriting) -> _Rewriting:
        _TABLE.update({op_type: (version, function) for op_type in op_types})
        return function

    return register


def upgrade(model: ir.Model, opset: int) -> bool:
    """Brings the model to an opset; gives whether any node had to change. A newer model stays as it is.

    Raises `ModelError` for an opset that is too old, and for what no newer one can say.
    """
    changed = False
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for graph in graphs:
        version = graph.opset_imports.get("", opset)
        if version < opset:
            if version < OLDEST:
                _refuse_old(graph, version, opset)
            changed |= _upgrade_graph(graph, version)
        graph.opset_imports[""] = max(version, opset)
    return changed


def _upgrade_graph(graph: ir.Graph | ir.Function, version: int) -> bool:
    changed = False
    for node in list(ir.traversal.RecursiveGraphIterator(graph)):
        first, rewrite = _TABLE.get(node.op_type, (0, None))
        if rewrite is not None and version < first and node.domain in ("", "ai.onnx"):
            rewrite(_Upgrade(node, version))
            changed = True
    return changed


def _refuse_old(graph: ir.Graph | ir.Function, version: int, opset: int) -> None:
    """Refuses an opset from before ONNX was stable, unless nothing that the model uses has changed since."""
    used = {node.op_type for node in ir.traversal.RecursiveGraphIterator(graph) if node.domain in ("", "ai.onnx")}
    changed = sorted(name for name in used if not _unchanged(name, version, opset))
    if changed:
        raise ModelError(
            f"this model is of opset {version}; assay reads opset {OLDEST} and newer, and {', '.join(changed)} "
            "meant something else before: export it again"
        )


def _unchanged(op_type: str, version: int, opset: int) -> bool:
    try:
        old, new = onnx.defs.get_schema(op_type, version), onnx.defs.get_schema(op_type, opset)
    except onnx.defs.SchemaError:
        return False

    def form(schema: onnx.defs.OpSchema) -> tuple[object, ...]:
        attributes = {name: (item.type, str(item.default_value)) for name, item in schema.attributes.items()}
        return [item.name for item in schema.inputs], [item.name for item in schema.outputs], attributes, schema.doc

    return old.since_version == new.since_version or form(old) == form(new)


# Attributes that have become inputs -----------------------------------------------------------------------------------


def _axes_as_input(item: _Upgrade) -> None:
    axes = item.take("axes")
    if axes is not None:
        item.put(1, item.constant(axes))
    item.write(item.node.op_type)


_before(13, "Squeeze", "Unsqueeze", "ReduceSum")(_axes_as_input)
_before(
    18,
    *(f"Reduce{name}" for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")),
)(_axes_as_input)


@_before(11, "Clip")
def _clip(item: _Upgrade) -> None:
    for slot, name in ((1, "min"), (2, "max")):
        bound = item.take(name)
        if bound is not None:
            item.put(slot, item.like_input(bound))
    item.write("Clip")


@_before(11, "Pad")
def _pad(item: _Upgrade) -> None:
    item.put(1, item.constant(item.take("pads")))
    value = item.take("value", 0.0)
    if value:
        item.put(2, item.like_input(value))
    item.write("Pad")


@_before(10, "Slice")
def _slice(item: _Upgrade) -> None:
    for slot, name in ((1, "starts"), (2, "ends"), (3, "axes")):
        numbers = item.take(name)
        if numbers is not None:
            item.put(slot, item.constant(numbers))
    item.write("Slice")


@_before(10, "TopK")
def _top_k(item: _Upgrade) -> None:
    item.put(1, item.constant([item.take("k")]))
    item.write("TopK")


@_before(18, "Split")
def _split(item: _Upgrade) -> None:
    sizes = item.take("split")
    if sizes is not None:
        item.put(1, item.constant(sizes))
    elif len(item.inputs) < 2 or item.inputs[1] is None:
        item.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(item.node.outputs))
    item.write("Split")


@_before(20, "DFT")
def _dft(item: _Upgrade) -> None:
    item.put(2, item.constant(item.take("axis", 1)))
    item.write("DFT")


@_before(12, "Dropout")
def _dropout(item: _Upgrade) -> None:
    if item.version < 7 and not item.take("is_test", 0):
        item.refuse("it is in its training form")
    item.put(1, item.constant(item.take("ratio", 0.5), np.float32))
    mask = item.node.outputs[1] if len(item.node.outputs) > 1 else None
    if item.version < 10 and mask is not None and (mask.uses() or mask.is_graph_output()):
        item.refuse("its mask is used, which was no boolean then")
    item.write("Dropout")


# Other words for the same ---------------------------------------------------------------------------------------------


@_before(11, "Scatter")
def _scatter(item: _Upgrade) -> None:
    item.write("ScatterElements")


@_before(20, "GridSample")
def _grid_sample(item: _Upgrade) -> None:
    mode = item.take("mode", "bilinear")
    item.attributes["mode"] = ir.AttrString("mode", {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode))
    item.write("GridSample")


@_before(16, "RoiAlign")
def _roi_align(item: _Upgrade) -> None:
    name = "coordinate_transformation_mode"
    item.attributes[name] = ir.AttrString(name, "output_half_pixel")
    item.write("RoiAlign")


@_before(7, "LSTM", "GRU", "RNN")
def _recurrent(item: _Upgrade) -> None:
    item.take("output_sequence")
    item.write(item.node.op_type)


@_before(7, "Gemm")
def _gemm(item: _Upgrade) -> None:
    item.take("broadcast")
    item.write("Gemm")


@_before(7, *("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"))
def _binary(item: _Upgrade) -> None:
    """The second operand began at an axis of the first, or ended where the first ends."""
    broadcast, axis = item.take("broadcast", 0), item.take("axis")
    if broadcast and axis is not None:
        first, second = item.shape(0), item.shape(1)
        if first is None or second is None:
            item.refuse("the ranks of its inputs are not known")
        else:
            following = len(first) - axis % len(first) - len(second)
            if following > 0:
                axes = item.constant([len(second) + place for place in range(following)])
                item.put(1, item.new("Unsqueeze", [item.inputs[1], axes]))
    item.write(item.node.op_type)


@_before(7, "PRelu")
def _prelu(item: _Upgrade) -> None:
    """The slopes stood along the channels."""
    data, slope = item.shape(0), item.shape(1)
    if data is None or slope is None:
        item.refuse("the ranks of its inputs are not known")
    elif len(slope) == 1 and slope[0] != 1 and len(data) > 2:
        shape = item.constant([-1] + [1] * (len(data) - 2))
        item.put(1, item.new("Reshape", [item.inputs[1], shape]))
    item.write("PRelu")


# Another meaning ------------------------------------------------------------------------------------------------------


@_before(13, "Softmax", "LogSoftmax", "Hardmax")
def _softmax(item: _Upgrade) -> None:
    """It went over all axes from the given one on."""
    axis, shape, source = item.take("axis", 1), item.shape(0), item.inputs[0]
    item.attributes["axis"] = ir.AttrInt64("axis", -1)
    if axis == -1 or (shape is not None and axis % max(len(shape), 1) == len(shape) - 1):
        item.write(item.node.op_type)
        return
    flat = item.new("Flatten", [source], axis=axis)
    found = item.new(item.node.op_type, [flat], axis=-1)
    known = shape is not None and all(isinstance(size, int) for size in shape)
    whole = item.constant(shape) if known else item.new("Shape", [source])
    item.inputs, item.attributes = [found, whole], {}
    item.write("Reshape")


@_before(10, "Upsample")
def _upsample(item: _Upgrade) -> None:
    mode = item.take("mode", "nearest")
    scales = item.take("scales")
    if item.version < 7:
        scales = [1.0, 1.0, item.take("height_scale"), item.take("width_scale")]
    source = item.constant(scales, np.float32) if scales is not None else item.inputs[1]
    item.inputs, item.attributes = [item.inputs[0], None, source], _old_resize(mode, "floor")
    item.write("Resize")


def _old_resize(mode: str, rounding: str) -> dict[str, Any]:
    """The attributes of Resize that make it what it was at first."""
    words = {"mode": "nearest" if mode == "nearest" else "linear", "coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        words["nearest_mode"] = rounding
    return {name: ir.AttrString(name, word) for name, word in words.items()}


@_before(13, "Resize")
def _resize(item: _Upgrade) -> None:
    if item.version == 10:
        _first_resize(item)
        return
    mode = item.attributes.get("coordinate_transformation_mode")
    word = mode.as_string() if mode is not None else "half_pixel"
    if word != "tf_crop_and_resize" and len(item.inputs) > 1:
        item.inputs[1] = None
    if word == "tf_half_pixel_for_nn":
        # floor((x + 0.5) / scale) is the rounding of half_pixel's (x + 0.5) / scale - 0.5, halves upwards.
        rounding = item.attributes.get("nearest_mode")
        if rounding is None or rounding.as_string() != "floor":
            item.refuse("tf_half_pixel_for_nn with a nearest_mode other than floor")
        item.attributes["coordinate_transformation_mode"] = ir.AttrString(
            "coordinate_transformation_mode", "half_pixel"
        )
        item.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "round_prefer_ceil")
    scales = constant_of(item.inputs[2]) if len(item.inputs) > 2 else None
    if scales is not None and not scales.size:  # what was left out had to be given, empty
        item.inputs[2] = None
    item.write("Resize")


def _first_resize(item: _Upgrade) -> None:
    """The first Resize took the nearest element above where an axis shrinks, below where it grows."""
    mode, scales = item.take("mode", "nearest"), constant_of(item.inputs[1])
    source, factors = item.inputs
    if mode == "nearest" and scales is not None and (scales < 1).any():
        shrinking = item.constant(np.minimum(scales, 1), np.float32)
        attributes = _old_resize(mode, "ceil")
        source = item.new("Resize", [source, None, shrinking], **{name: word for name, word in attributes.items()})
        factors = item.constant(np.maximum(scales, 1), np.float32)
    item.inputs, item.attributes = [source, None, factors], _old_resize(mode, "floor")
    item.write("Resize")


@_before(14, "BatchNormalization")
def _batch_normalization(item: _Upgrade) -> None:
    per_channel = item.take("spatial", 1) if item.version < 9 else 1
    is_test = item.take("is_test", 0) if item.version < 7 else 1
    further = [value for value in item.node.outputs[1:] if value.name]
    if not is_test or any(value.uses() or value.is_graph_output() for value in item.node.outputs[3:]):
        item.refuse("it is in its training form")
    if not per_channel:
        _normalized_by_element(item)
        return
    if further:
        item.attributes["training_mode"] = ir.AttrInt64("training_mode", 1)
    item.write("BatchNormalization", 3 if further else 1)


def _normalized_by_element(item: _Upgrade) -> None:
    """Every element had statistics of its own."""
    x, scale, bias, mean, variance = item.inputs
    root = item.new("Sqrt", [item.new("Add", [variance, item.like_input(item.take("epsilon", 1e-5))])])
    normal = item.new("Div", [item.new("Sub", [x, mean]), root])
    item.become([item.new("Add", [item.new("Mul", [normal, scale]), bias])])


@_before(21, "GroupNormalization")
def _group_normalization(item: _Upgrade) -> None:
    """It had a weight for each group, and has one for each channel."""
    groups, shape = item.attributes["num_groups"].as_int(), item.shape(0)
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    if not isinstance(channels, int):
        item.refuse("the number of its channels is not known")
        return
    column, whole, flat = (item.constant(size) for size in ([-1, 1], [groups, channels // groups], [-1]))
    for slot in (1, 2):
        wide = item.new("Expand", [item.new("Reshape", [item.inputs[slot], column]), whole])
        item.put(slot, item.new("Reshape", [wide, flat]))
    item.write("GroupNormalization")


@_before(9, "Scan")
def _scan(item: _Upgrade) -> None:
    """It went over a batch of sequences: now one Scan goes over the batch, and another in it over each sequence."""
    lengths, *given = item.inputs
    count = item.attributes["num_scan_inputs"].as_int()
    if lengths is not None:
        item.refuse("its sequences have lengths of their own")
    attributes = {name: item.attributes[name] for name in ("body", "num_scan_inputs")}
    if directions := item.take("directions"):
        attributes["scan_input_directions"] = ir.AttrInt64s("scan_input_directions", directions)
    body, name = attributes["body"].as_graph(), item.node.name or item.node.outputs[0].name
    inputs = [ir.Value(name=f"{name}_{inner.name}", type=inner.type, shape=inner.shape) for inner in body.inputs]
    one = ir.node("Scan", inputs, attributes, num_outputs=len(item.node.outputs))
    for outer, inner in zip(one.outputs, body.outputs, strict=True):
        outer.name, outer.type = f"{name}_{inner.name}", inner.type
    for value in inputs[-count:]:
        value.shape = None  # a whole sequence, of which the body knows one step
    batch = ir.Graph(inputs, one.outputs, nodes=[one], name=f"{name}_batch", opset_imports={"": item.version})
    item.inputs = list(given)
    item.attributes = {
        "body": ir.AttrGraph("body", batch),
        "num_scan_inputs": ir.AttrInt64("num_scan_inputs", len(given)),
    }
    item.write("Scan")
