"""From nodes to calls: what a person would write as one layer or one function.

Most calls are one node. A product with a weight and the addition of its bias are one `Linear`; a recurrent operator takes
the reshapes around it along. Weights that arrive as initializers become the call's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.layout import order_of, stored_axis, stored_shape
from assay.model import DROPS, ROLE, VARIANCE, Model, attributes_of, constant_of, scope_of, shape_of, subgraphs_of
from assay.ops import operator, parametric_slots

Scope = tuple[tuple[str, int], ...]


@dataclass(eq=False)
class Call:
    """One call to be written: a kind of operator, its data inputs and outputs, its own weights, its attributes."""

    kind: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value | None, ...]
    outputs: tuple[ir.Value | None, ...]
    scope: Scope
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, ir.Value] = field(default_factory=dict)
    constants: dict[int, np.ndarray] = field(default_factory=dict)  # input slot → array known when writing
    captured: tuple[ir.Value, ...] = ()  # values from outside that the node's subgraphs use
    read: set[str] = field(default_factory=set)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value; reading it is what tells that the rule takes it into account."""
        self.read.add(name)
        return self.attributes.get(name, default)

    def unread(self) -> list[str]:
        """The attributes and constant inputs that no rule has looked at."""
        return [name for name in self.attributes if name not in self.read] + [
            f"input {slot}" for slot in self.constants if f"input {slot}" not in self.read
        ]

    def constant(self, slot: int) -> np.ndarray | None:
        """The array of an input that is known when writing (a shape, axes, a ratio), or None."""
        self.read.add(f"input {slot}")
        return self.constants.get(slot)

    def known(self, slot: int) -> np.ndarray:
        """The array of an input that written code needs the numbers of, such as axes.

        Raises `UnsupportedError` for one that is left out or computed when the model runs.
        """
        found = self.constant(slot)
        if found is None:
            reason = f"input {slot} must be a constant"
            raise UnsupportedError(f"{self.kind} cannot be written: its {reason}", [f"{self.kind}: {reason}"])
        return found

    def computed(self, slot: int) -> ir.Value | None:
        """An input that is known only when the model runs; None for one that is left out or a constant of the call."""
        return self.inputs[slot] if slot < len(self.inputs) else None

    def wanted(self, place: int) -> ir.Value | None:
        """An output that the node has and the model uses."""
        return self.outputs[place] if place < len(self.outputs) else None

    def is_fixed(self, role: str, number: float) -> bool:
        """Whether a weight of the call is this number throughout and is not trained, such as a scale that a source lacks."""
        value = self.weights.get(role)
        array = None if value is None or value.metadata_props.get(ROLE) != "constant" else constant_of(value)
        return array is not None and bool((array == number).all())

    @property
    def x(self) -> ir.Value:
        """The first data input."""
        first = self.inputs[0]
        assert first is not None
        return first

    @property
    def y(self) -> ir.Value:
        """The first output."""
        first = self.outputs[0]
        assert first is not None
        return first

    def shape(self, slot: int = 0) -> tuple[int | str, ...]:
        """The shape of an input in ONNX's order."""
        value = self.inputs[slot]
        assert value is not None
        return shape_of(value)

    def stored_axis(self, axis: int, value: ir.Value | None = None) -> int:
        """Where the written code finds an ONNX axis of an input (the first unless given)."""
        return stored_axis(value or self.x, axis)

    def stored_shape(self, value: ir.Value | None = None) -> tuple[int | str, ...]:
        """The shape that the written code sees of an input (the first unless given)."""
        return stored_shape(value or self.x)

    @property
    def channels_last(self) -> bool:
        """Whether the first input is stored channels-last."""
        return order_of(self.x) != tuple(range(len(shape_of(self.x))))

    @property
    def spatial_rank(self) -> int:
        return len(self.shape()) - 2


# What a person would call the inputs of some operators.
_HINTS = {"Attention": ("query", "key", "value")}


def drops_examples(call: Call) -> bool:
    """Whether a dropout drops whole examples instead of elements."""
    return call.nodes[0].metadata_props.get(DROPS) == "examples"


def has_unbiased_variance(call: Call) -> bool:
    """Whether a batch normalisation's running variance averages the unbiased variance of each batch, as torch's does."""
    return call.nodes[0].metadata_props.get(VARIANCE) == "unbiased"


def kind_of(node: ir.Node) -> str:
    """What tables call a node on its own: `Conv`, `FunctionalConv` if its weights are computed, `ai.onnx.ml:Binarizer`."""
    if node.domain not in ("", "ai.onnx"):
        return f"{node.domain}:{node.op_type}"
    if operator(node.op_type).weights and not _own_weights(node):
        return f"Functional{node.op_type}"
    return node.op_type


def calls_of(model: Model, graph: ir.Graph | None = None, ties: bool = False) -> list[Call]:
    """The calls of a model (or of one of its subgraphs) in the graph's order.

    `ties`: whether layers of different modules may hold one weight together.
    """
    absorbed: set[int] = set()
    found: list[Call] = []
    for node in model.graph if graph is None else graph:
        if id(node) in absorbed or node.op_type == "Constant":
            continue
        for value, hint in zip(node.inputs, _HINTS.get(node.op_type, ()), strict=False):
            if value is not None:
                value.meta["assay.hint"] = hint
        group = _GROUPS.get(node.op_type, _single)(model, node)
        absorbed.update(id(member) for member in group.nodes)
        if group.kind != "":
            found.append(group)
    return found if graph is not None else without_doubles(model, found, ties)


def without_doubles(model: Model, calls: list[Call], ties: bool) -> list[Call]:
    """The calls with every weight owned by the layers of one module: a layer of another module on the same weight becomes
    functions of it, unless layers are tied."""
    owners: dict[int, str] = {}
    scopes: dict[int, Scope] = {}  # of the layer that owns a weight
    found: list[Call] = []
    for call in calls:
        path = call.scope[-1][0] if call.scope else ""
        foreign = any(owners.get(id(value), path) != path for value in call.weights.values())
        inside = [other for other in calls if other.scope[: len(call.scope)] == call.scope] if foreign else []
        alone = len(call.scope) > 1 and len(inside) == 1
        if foreign and not (ties and alone and call.kind in _TIED):
            for item in _opened(model, call, alone):
                _place(found, item, scopes)
            continue
        for value in call.weights.values():
            owners.setdefault(id(value), path)
            scopes.setdefault(id(value), call.scope)
        found.append(call)
    return found


def _place(calls: list[Call], item: Call, scopes: Mapping[int, Scope]) -> None:
    """Adds a call of a layer that is opened. The transposition of a weight that another module owns stands in the module
    around both, from where the weight as that layer stores it can be handed on.
    """
    owner = scopes.get(id(item.inputs[0])) if item.kind == "Transpose" else None
    if owner is None:
        calls.append(item)
        return
    depth = 0
    while depth < min(len(owner), len(item.scope)) and owner[depth][0] == item.scope[depth][0]:
        depth += 1
    inside, item.scope = item.scope[: depth + 1], item.scope[:depth]
    place = len(calls)
    while len(inside) > depth and place and calls[place - 1].scope[: depth + 1] == inside:
        place -= 1  # before the first call of the module that the weight is handed to
    calls.insert(place, item)


_TIED = ("Linear", "Embedding")  # layers of which a framework can make two hold one parameter


def _opened(model: Model, call: Call, alone: bool) -> list[Call]:
    """The nodes of a layer as functions of its weights; a module that was nothing but this layer vanishes with it."""
    opened = [
        _functional(model, node) if operator(node.op_type).weights else _single(model, node) for node in call.nodes
    ]
    for item in opened:
        item.scope = call.scope[:-1] if alone else call.scope
    return opened


def _single(model: Model, node: ir.Node) -> Call:
    inputs: list[ir.Value | None] = list(node.inputs)
    constants = {}
    for slot in parametric_slots(node.op_type):
        array = constant_of(inputs[slot]) if slot < len(inputs) else None
        if array is not None:
            constants[slot], inputs[slot] = array, None
    weights = _own_weights(node)
    for slot in operator(node.op_type).weights:
        if weights and slot < len(inputs):
            inputs[slot] = None
    while inputs and inputs[-1] is None:
        inputs.pop()
    attributes = attributes_of(node)
    subgraphs = [value for value in attributes.values() if isinstance(value, ir.Graph)]
    return Call(
        kind_of(node),
        (node,),
        tuple(inputs),
        tuple(value if value.name else None for value in node.outputs),  # ONNX names nothing that is left out
        scope_of(node),
        attributes,
        weights,
        constants,
        tuple({id(value): value for graph in subgraphs for value in captured_by(graph)}.values()),
    )


def captured_by(graph: ir.Graph) -> list[ir.Value]:
    """The values from outside that a subgraph (or one inside it) uses, initializers left out, in order of first use."""
    own = {id(value) for value in graph.inputs}
    found: dict[int, ir.Value] = {}
    for node in graph:
        inner = [value for subgraph in subgraphs_of(node) for value in captured_by(subgraph)]
        for value in [*node.inputs, *inner]:
            if value is not None and id(value) not in own and not _is_constant(value):
                found.setdefault(id(value), value)
        own.update(id(value) for value in node.outputs)
    for value in graph.outputs:
        if id(value) not in own and not _is_constant(value):
            found.setdefault(id(value), value)
    return list(found.values())


def _is_constant(value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input()


def _own_weights(node: ir.Node) -> dict[str, ir.Value]:
    """The weights of a node by role, if every one that is present is an initializer; else none of them."""
    slots = operator(node.op_type).weights
    present = {
        role: node.inputs[slot]
        for slot, role in slots.items()
        if slot < len(node.inputs) and node.inputs[slot] is not None
    }
    if any(value is None or not value.is_initializer() for value in present.values()):
        return {}
    return {role: value for role, value in present.items() if value is not None}


def _linear(model: Model, node: ir.Node) -> Call:
    """MatMul by a weight, with the Add of a bias that follows: y = x · weight + bias."""
    data, weight = node.inputs
    turned = _turned_weight(weight)
    if turned is not None:
        weight = turned.inputs[0]
    if (
        data is None
        or weight is None
        or not weight.is_initializer()
        or data.is_initializer()
        or len(shape_of(weight)) != 2
    ):
        return _single(model, node)
    weights, nodes, output = {"weight": weight}, [*([] if turned is None else [turned]), node], node.outputs[0]
    size = shape_of(weight)[1:] if turned is None else shape_of(weight)[:1]
    uses = list(output.uses())
    if len(uses) == 1 and uses[0][0].op_type == "Add" and not output.is_graph_output():
        follower = uses[0][0]
        bias = follower.inputs[1 - uses[0][1]]
        if bias is not None and bias.is_initializer() and shape_of(bias) == size:
            weights["bias"], output = bias, follower.outputs[0]
            nodes.append(follower)
    attributes = {} if turned is None else {"transB": 1}
    return Call("Linear", tuple(nodes), (data,), (output,), scope_of(node), attributes, weights)


def _turned_weight(value: ir.Value | None) -> ir.Node | None:
    """The Transpose that makes the right factor of one product from a matrix that another module holds too."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Transpose" or len(list(node.outputs[0].uses())) != 1:
        return None
    source = node.inputs[0]
    matrix = source is not None and source.is_initializer() and len(shape_of(source)) == 2
    return node if matrix and len(list(source.uses() if source is not None else ())) > 1 else None


def _deferred_turn(model: Model, node: ir.Node) -> Call:
    """The Transpose of a shared weight is taken along by the product that uses it."""
    (user, place), *more = [*node.outputs[0].uses(), (None, 0)]
    product = user is not None and user.op_type == "MatMul" and place == 1
    if product and len(more) == 1 and _turned_weight(node.outputs[0]) is node:
        assert user is not None
        if _linear(model, user).kind == "Linear":
            return Call("", (), (), (), ())
    return _single(model, node)


def _gemm(model: Model, node: ir.Node) -> Call:
    """Gemm is a linear layer where it multiplies data by a weight without scaling."""
    call = _single(model, node)
    data, weight, *rest = node.inputs
    plain = call.attributes.get("alpha", 1.0) == call.attributes.get("beta", 1.0) == 1.0
    bias = rest[0] if rest else None
    if not plain or call.attributes.get("transA", 0) or weight is None or not weight.is_initializer():
        return call
    if bias is not None and (not bias.is_initializer() or len(shape_of(bias)) != 1):
        return call
    weights = {"weight": weight} | ({"bias": bias} if bias is not None else {})
    return Call(
        "Linear",
        (node,),
        (data,),
        tuple(node.outputs),
        scope_of(node),
        {"transB": call.attributes.get("transB", 0)},
        weights,
    )


def _embedding(model: Model, node: ir.Node) -> Call:
    """Gather from the rows of a parameter table by computed indices."""
    table, indices = node.inputs
    axis = attributes_of(node).get("axis", 0)
    if table is None or indices is None or not table.is_initializer() or axis != 0:
        return _single(model, node)
    scope = scope_of(node)
    # A layer of the source, whatever it looks up: what it is called is Keras' `embeddings`, torch's `weight`.
    own = bool(scope) and bool(scope[-1][0]) and (table.name or "").rpartition(".")[0] == scope[-1][0]
    if indices.is_initializer() and not (own and len(shape_of(indices)) > 0):
        return _single(model, node)
    if model.role(table) != "parameter" or len(shape_of(table)) != 2:
        return _single(model, node)
    return Call("Embedding", (node,), (indices,), tuple(node.outputs), scope_of(node), {}, {"weight": table})


def _recurrent(model: Model, node: ir.Node) -> Call:
    """A batch-major LSTM or GRU with the reshapes that join its directions: outputs are (sequence, final state)."""
    call = _functional(model, node)
    weights, nodes = _own_weights(node), [node]
    bias_value = node.inputs[3] if len(node.inputs) > 3 else None
    concat = bias_value.producer() if bias_value is not None else None
    single_bias = concat is not None and _is_zero_extension(concat)
    if single_bias and not _has_single_bias(node):
        return call
    if single_bias and concat is not None:
        # One trained bias, extended by constant zeros: the layer has the bias of its input side only.
        roles = ("input_weight", "hidden_weight", "bias", "second_bias")
        own = zip(roles, (*node.inputs[1:3], *concat.inputs[:2]), strict=True)
        weights = {role: value for role, value in own if value is not None and value.is_initializer()}
        nodes.insert(0, concat)
    if not {"input_weight", "hidden_weight", "bias"} <= set(weights) or not _is_usual(
        node, call.attributes, single_bias
    ):
        return call
    outputs: list[ir.Value | None] = []
    for index in range(2):
        value = node.outputs[index] if index < len(node.outputs) else None
        joined = _joining_reshape(value, 3 - index)
        if joined is None and value is not None and (list(value.uses()) or value.is_graph_output()):
            return call
        outputs.append(joined.outputs[0] if joined is not None else None)
        if joined is not None:
            nodes.append(joined)
    if len(node.outputs) > 2 and list(node.outputs[2].uses()):
        return call
    attributes = {name: value for name, value in call.attributes.items() if name != "layout"}
    attributes["single_bias"] = single_bias
    inputs = tuple(node.inputs[:1]) + tuple(node.inputs[4:])
    kind = "RecurrentLSTM" if node.op_type == "LSTM" else "RecurrentGRU"
    used = [
        value if value is not None and (list(value.uses()) or value.is_graph_output()) else None for value in outputs
    ]
    return Call(kind, tuple(nodes), inputs, tuple(used), scope_of(node), attributes, weights)


def _is_usual(node: ir.Node, attributes: dict[str, Any], single_bias: bool) -> bool:
    """Whether a recurrent operator is what frameworks have as a layer: batch first, from a state of zeros, with the usual
    activations; of a GRU, the form with both biases and the reset after the product."""
    options = {"activations", "activation_alpha", "activation_beta", "clip", "input_forget"} & set(attributes)
    form = node.op_type != "GRU" or (attributes.get("linear_before_reset", 0) == 1 and not single_bias)
    given = [value for value in node.inputs[4:] if value is not None]
    return attributes.get("layout", 0) == 1 and not options and form and not given


def _functional(model: Model, node: ir.Node) -> Call:
    """The node as a function of all its inputs, weights included."""
    call = _single(model, node)
    call.kind, call.inputs, call.weights = f"Functional{node.op_type}", tuple(node.inputs), {}
    return call


def _has_single_bias(node: ir.Node) -> bool:
    """Whether a recurrent layer with one bias for both sides says all of a node: an LSTM that begins at zero."""
    return node.op_type == "LSTM" and all(value is None for value in node.inputs[4:])


def _is_zero_extension(concat: ir.Node) -> bool:
    if (
        concat.op_type != "Concat"
        or len(concat.inputs) != 2
        or concat.inputs[0] is None
        or not concat.inputs[0].is_initializer()
    ):
        return False
    second = constant_of(concat.inputs[1])
    return second is not None and not second.any()


def _joining_reshape(value: ir.Value | None, rank: int) -> ir.Node | None:
    """The only user of a recurrent output, if it is the reshape that joins the directions' features."""
    uses = list(value.uses()) if value is not None else []
    if len(uses) != 1 or uses[0][0].op_type != "Reshape" or (value is not None and value.is_graph_output()):
        return None
    reshape = uses[0][0]
    return reshape if len(shape_of(reshape.outputs[0])) == rank else None


def _deferred_bias(model: Model, node: ir.Node) -> Call:
    """The zero extension of a recurrent bias is taken along by the recurrent call that uses it."""
    users = [user for user, _ in node.outputs[0].uses()]
    if len(users) == 1 and users[0].op_type in ("LSTM", "GRU") and node in _recurrent(model, users[0]).nodes:
        return Call("", (), (), (), ())
    return _single(model, node)


def _expand(model: Model, node: ir.Node) -> Call:
    """Expand to sizes of which some are those of its own axes or of one other value's.

    `sizes` has a number, or (place, axis) for the size of an axis of the call's first or second input.
    """
    x, wanted = node.inputs[0], node.inputs[1]
    parts = _parts_of_shape(wanted)
    if x is None or wanted is None or not parts or x.shape is None or len(x.shape) > len(parts):
        return _single(model, node)
    sources = {id(part): part for part, _ in parts if part is not None and part is not x}
    present: list[Any] = [1] * (len(parts) - len(x.shape)) + list(x.shape)
    if len(sources) > 1 or (not sources and all(isinstance(size, int) for size in present)):
        return _single(model, node)
    sizes: list[int | tuple[int, int]] = []
    for axis, ((part, size), have) in enumerate(zip(parts, present, strict=True)):
        if part is not None:
            sizes.append((0 if part is x else 1, -1 - size))
        elif size == 1:  # which keeps what is there
            sizes.append(have if isinstance(have, int) else (0, axis - len(parts) + len(x.shape)))
        else:
            sizes.append(size)
    nodes = [made for made in _shape_nodes(wanted) if all(user is node for user, _ in made.outputs[0].uses())]
    inputs = (x, *sources.values())
    return Call("ExpandTo", (*nodes, node), inputs, tuple(node.outputs), scope_of(node), {"sizes": sizes})


def _parts_of_shape(shape: ir.Value | None) -> list[tuple[ir.Value | None, int]] | None:
    """The sizes that a vector is joined from: (None, number), or (value, -1 - axis) for the size of a value's axis."""
    numbers = constant_of(shape)
    if numbers is not None:
        return [(None, int(size)) for size in numbers.reshape(-1)]
    node = None if shape is None else shape.producer()
    if node is None or node.op_type not in ("Concat", "Shape"):
        return None
    if node.op_type == "Concat":
        found = [_parts_of_shape(part) for part in node.inputs]
        return None if None in found else [item for part in found if part is not None for item in part]
    source, attributes = node.inputs[0], attributes_of(node)
    if source is None or source.shape is None:
        return None
    rank = len(source.shape)
    start, end = attributes.get("start", 0), attributes.get("end", rank)
    axes = range(rank)[slice(start, end)]
    return [(None, size) if isinstance(size := source.shape[axis], int) else (source, -1 - axis) for axis in axes]


def _shape_nodes(shape: ir.Value) -> list[ir.Node]:
    node = shape.producer()
    if node is None:
        return []
    return (
        [*(inner for value in node.inputs if value is not None for inner in _shape_nodes(value)), node]
        if (node.op_type == "Concat")
        else [node]
    )


def _deferred_shape(model: Model, node: ir.Node) -> Call:
    """A size, or sizes joined, that only such an Expand wants."""
    pending = [node]
    users: list[ir.Node] = []
    while pending:
        for user, _ in pending.pop().outputs[0].uses():
            (pending if user.op_type == "Concat" else users).append(user)
    plain = users and all(user.op_type == "Expand" and _expand(model, user).kind == "ExpandTo" for user in users)
    if plain and not node.outputs[0].is_graph_output():
        return Call("", (), (), (), ())
    return _deferred_bias(model, node) if node.op_type == "Concat" else _full_like(model, node)


def _prelu(model: Model, node: ir.Node) -> Call:
    """PRelu by a parameter that is only reshaped to stand at the channel axis."""
    slope = node.inputs[1]
    producer = slope.producer() if slope is not None else None
    call = _single(model, node)
    if (
        producer is not None
        and producer.op_type == "Reshape"
        and producer.inputs[0] is not None
        and producer.inputs[0].is_initializer()
    ):
        return Call(
            "PRelu",
            (producer, node),
            tuple(node.inputs[:1]),
            tuple(node.outputs),
            call.scope,
            {},
            {"weight": producer.inputs[0]},
        )
    return call


def _deferred_slope(model: Model, node: ir.Node) -> Call:
    users = [user for user, _ in node.outputs[0].uses()]
    source = node.inputs[0]
    if len(users) == 1 and users[0].op_type == "PRelu" and source is not None and source.is_initializer():
        return Call("", (), (), (), ())
    return _single(model, node)


_FILLED = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL)


def _full_like(model: Model, node: ir.Node) -> Call:
    """`Shape` of an array for `ConstantOfShape`: one number in the array's shape."""
    x, uses = node.inputs[0], list(node.outputs[0].uses())
    user = uses[0].node if len(uses) == 1 else None
    if (
        user is None
        or user.op_type != "ConstantOfShape"
        or user.graph is not node.graph
        or scope_of(user) != scope_of(node)
        or node.outputs[0].is_graph_output()
        or node.attributes
        or user.outputs[0].dtype not in _FILLED
        or x is None
        or x.shape is None
        or order_of(x) != tuple(range(len(x.shape)))
    ):
        return _single(model, node)
    return Call("FullLike", (node, user), (x,), (user.outputs[0],), scope_of(node), attributes_of(user))


_GROUPS: dict[str, Callable[[Model, ir.Node], Call]] = {
    "MatMul": _linear,
    "Gemm": _gemm,
    "Gather": _embedding,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _functional,
    "Concat": _deferred_shape,
    "Shape": _deferred_shape,
    "Expand": _expand,
    "PRelu": _prelu,
    "Reshape": _deferred_slope,
    "Transpose": _deferred_turn,
}
