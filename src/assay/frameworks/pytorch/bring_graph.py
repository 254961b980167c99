"""From an exported graph of ATen calls to an ONNX graph with module scopes, parameter names and roles."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import ModelError, UnsupportedError
from assay.frameworks.drafting import drop_expands, line_of_code, remove_unused
from assay.frameworks.pytorch.bring_known import Known
from assay.frameworks.pytorch.bring_layers import SelfAttention, self_attentions
from assay.frameworks.pytorch.bring_ops import (  # noqa: F401  they register themselves
    activations,
    arithmetic,
    assignment,
    attention,
    indexing,
    linear,
    normalisation,
    pooling,
    recurrent,
    reduction,
    shaping,
)
from assay.frameworks.pytorch.bring_ops.assignment import written_back
from assay.frameworks.pytorch.bring_ops.common import Call, Graph, Result, Untranslatable, Weight, find
from assay.nn.tensor import Shape, Tensor, graph_input

_LOCATION = re.compile(r'File "([^"]+)", line (\d+), in')
_IGNORED = ("_assert_scalar", "sym_constrain_range", "_assert_async", "_assert_tensor_metadata")


Scopes = tuple[tuple[str, int], ...]


@dataclass
class Source:
    """An exported program in plain terms: its nodes, its weights by the name of their placeholder, its modules."""

    nodes: list[Any]
    weights: dict[str, Weight]
    inputs: list[str]  # the placeholders that the user gives, in order
    outputs: list[tuple[str, Any]]  # name (or "") and node of every tensor that the model gives
    classes: dict[str, tuple[str, tuple[str, ...]]]  # module path → class name, names of forward's arguments
    numbers: dict[str, Any] = field(default_factory=dict)  # placeholder → a tensor of whole numbers in the code itself
    symbols: dict[str, str] = field(default_factory=dict)  # torch's symbol → the size's name here
    attentions: dict[str, tuple[int, bool]] = field(
        default_factory=dict
    )  # path of nn.MultiheadAttention → heads, batch_first


@dataclass
class Translation:
    """The ONNX graph in the making."""

    source: Source
    graph: Graph
    values: dict[str, Any] = field(default_factory=dict)  # node → its value
    missing: dict[str, list[str]] = field(default_factory=dict)  # what cannot be translated → where it is used
    sizes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    entering: dict[Scopes, dict[str, tuple[Tensor, int]]] = field(
        default_factory=dict
    )  # sizes of what a module is given
    made: dict[str, Scopes] = field(default_factory=dict)  # node → the module calls that it was made in
    open_paths: set[str] = field(default_factory=set)
    known: Known = field(default_factory=lambda: Known({}))

    def run(self) -> Graph:
        """Translates every call; raises one error that names all that cannot be."""
        self.open_paths = self._written_modules()
        self.values.update(self.source.weights)
        self.known = Known(self.source.numbers)
        found = self_attentions(self.source.nodes, self.source.weights, self.source.attentions, target_name)
        inside = {name for _, names in found.values() for name in names}
        for node in self.source.nodes:
            if node.op == "placeholder" and node.name in self.source.inputs:
                self._input(node)
            elif node.op == "call_function":
                self._enter(node)
                if node.name in found:
                    self._attention(node, found[node.name][0])
                elif node.name not in inside or not _is_tensor(node.meta.get("val")):
                    self._call(node)
        self.graph.scopes = []
        if self.missing:
            self._refuse()
        self._outputs()
        drop_expands(self.graph.graph)
        remove_unused(self.graph.graph)
        self.graph.finish()
        return self.graph

    # Shapes -------------------------------------------------------------------------------------------------------

    def shape(self, value: Any) -> Shape:
        return tuple(self.dim(size) for size in value.shape)

    def dim(self, size: Any) -> int | str:
        """A number, or a symbolic size under the name that it has here."""
        if isinstance(size, int):
            return size
        text = str(size)
        if text.lstrip("-").isdigit():
            return int(text)
        for symbol, name in self.source.symbols.items():
            text = re.sub(rf"\b{symbol}\b", name, text)
        return text

    def _input(self, node: Any) -> None:
        value = node.meta["val"]
        tensor = graph_input(self.graph.graph, node.name, self.shape(value), dtype_of(value.dtype))
        self.values[node.name] = tensor
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str):
                self.sizes.setdefault(size, (tensor, axis))

    # Modules ------------------------------------------------------------------------------------------------------

    def _written_modules(self) -> set[str]:
        """The modules that become scopes: not those without weights that are called again and again, such as one ReLU."""
        calls: dict[str, set[int]] = {}
        for node in self.source.nodes:
            for path, number in _stack(node):
                calls.setdefault(path, set()).add(number)
        held = [f"{name}." for name in (weight.name.rpartition(".")[0] for weight in self.source.weights.values())]
        return {
            path
            for path, numbers in calls.items()
            if len(numbers) == 1 or any(name.startswith(f"{path}.") for name in held)
        }

    def _enter(self, node: Any) -> None:
        scopes = [(path, number) for path, number in _stack(node) if path in self.open_paths or path == ""]
        self.graph.scopes = scopes
        self.graph.line = line_of_code(user_line(node))
        self.made[node.name] = tuple(scopes)
        self._note_sizes(node)
        for path, _ in scopes:
            class_name, arguments = self.source.classes.get(path, ("Module", ()))
            self.graph.modules.setdefault(path, {"class": class_name, "arguments": list(arguments)})

    def _note_sizes(self, node: Any) -> None:
        """Notes, for every module around a call that an operand is given to from outside, the operand's open first size."""
        scopes = self.made[node.name]
        for operand in node.all_input_nodes:
            value, origin = self.values.get(operand.name), self.made.get(operand.name, ())
            if isinstance(value, Tensor) and value.shape and isinstance(value.shape[0], str):
                for depth in range(2, len(scopes) + 1):
                    if origin[:depth] != scopes[:depth]:
                        self.entering.setdefault(scopes[:depth], {}).setdefault(value.shape[0], (value, 0))

    def _near_sizes(self) -> dict[str, tuple[Tensor, int]]:
        """Where open sizes are read from: what the module is given, if that has them, else an input of the model."""
        return {**self.sizes, **self.entering.get(tuple(self.graph.scopes), {})}

    # Calls --------------------------------------------------------------------------------------------------------

    def _call(self, node: Any) -> None:
        name = target_name(node.target)
        if self.known.work_out(node):
            return
        if name == "getitem":
            values = self.values[node.args[0].name]
            self.values[node.name] = values[node.args[1]]
            return
        result = node.meta.get("val")
        if not _is_tensor(result) and not isinstance(result, (list, tuple)):
            if result is not None and not any(ignored in name for ignored in _IGNORED):
                self.values[node.name] = self.dim(result)
            return
        translate, call = find(name), self._call_of(node)
        try:
            if translate is None:
                raise Untranslatable("there is no translation")
            found = translate(call)
        except Untranslatable as error:
            reason = "" if translate is None else f" ({error})"
            self.missing.setdefault(f"{name.removesuffix('.default')}{reason}", []).append(user_line(node))
            found = tuple(self._stand_in(call, place) for place in range(len(call.shapes)))
            found = found if isinstance(result, (list, tuple)) else found[0]
        self.values[node.name] = found
        self._mutate(node, name, found)

    def _call_of(self, node: Any) -> Call:
        result = node.meta.get("val")
        results = [item for item in (result if isinstance(result, (list, tuple)) else [result]) if _is_tensor(item)]
        shapes = tuple(self.shape(item) for item in results)
        dtypes = tuple(dtype_of(item.dtype) for item in results)
        return Call(target_name(node.target), self._arguments(node), self.graph, shapes, dtypes, self._near_sizes())

    def _attention(self, node: Any, layer: SelfAttention) -> None:
        value = node.meta["val"]
        shapes, dtypes = (self.shape(value),), (dtype_of(value.dtype),)
        call = Call("nn.MultiheadAttention", {}, self.graph, shapes, dtypes, self.sizes)
        self.values[node.name] = layer.translate(call, self.values[layer.x.name])

    def _stand_in(self, call: Call, place: int) -> Tensor:
        value = ir.Value(name=self.graph.name("missing"))
        return Tensor(value, call.shapes[place], call.dtypes[place])

    def _arguments(self, node: Any) -> dict[str, Any]:
        """The arguments by name, defaults included."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return {}
        named = {item.name: item.default_value for item in schema.arguments}
        named.update(zip(named, node.args, strict=False))
        named.update(node.kwargs)
        return {name: self._resolve(value) for name, value in named.items()}

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._resolve(item) for item in value]
        return self._value(value.name) if hasattr(value, "meta") else value

    def _value(self, name: str) -> Any:
        """The value of a node; one that is known becomes a constant as it is now."""
        return self.graph.constant(self.known.array(name)) if name in self.known else self.values[name]

    def _mutate(self, node: Any, name: str, result: Result) -> None:
        """After an operation in place, its operand is the result for whatever comes later."""
        base = name.split(".")[1] if name.startswith("aten.") else ""
        if not base.endswith("_") or base.startswith("_") or base.endswith("__") or not node.args:
            return
        operand = node.args[0]
        for written in [operand, *self._aliases(operand)]:
            if written.name in self.known:
                self.values[written.name] = self._value(written.name)
                self.known.forget(written.name)
        views = self._views(operand)
        renewed = [operand, *(view.args[0] for view in views)]
        for other in self._aliases(operand):
            if other not in renewed and other < node and any(_is_later(user, node) for user in other.users):
                self.missing.setdefault(f"{name} on part of a tensor that is used again", []).append(user_line(node))
        if any(isinstance(self.values.get(item.name), Weight) for item in renewed):
            self.missing.setdefault(f"{name} on a parameter or buffer", []).append(user_line(node))
            return
        self._renew(operand, result)
        try:
            for view in views:
                result = written_back(self._call_of(view), self.values[view.args[0].name], result)
                self._renew(view.args[0], result)
        except Untranslatable as error:
            self.missing.setdefault(f"{name} on part of a tensor ({error})", []).append(user_line(node))

    def _renew(self, node: Any, result: Result) -> None:
        """Whatever uses a node from now on, or what that was itself in place of, uses this."""
        while node is not None and hasattr(node, "name"):
            self.values[node.name] = result
            node = node.args[0] if node.op == "call_function" and _in_place(node) else None

    def _views(self, node: Any) -> list[Any]:
        """The views through which a node sees a tensor that is used elsewhere, the innermost first."""
        found = []
        while node.op == "call_function" and _is_view(node) and node.args and hasattr(node.args[0], "meta"):
            if not _in_place(node):
                found.append(node)
            node = node.args[0]
        used = [place for place, view in enumerate(found, 1) if len(view.args[0].users) > 1]
        return found[: max(used, default=0)]

    def _aliases(self, node: Any) -> Iterator[Any]:
        """The node that made a tensor, and every view of it."""
        root = node
        while root.op == "call_function" and _is_view(root) and root.args and hasattr(root.args[0], "meta"):
            root = root.args[0]
        pending = [root]
        while pending:
            found = pending.pop()
            if not _in_place(found):
                yield found
            pending.extend(user for user in found.users if user.args and user.args[0] is found and _is_view(user))

    def _refuse(self) -> None:
        listed = [f"{what} at {', '.join(dict.fromkeys(places))}" for what, places in self.missing.items()]
        raise UnsupportedError(f"this model uses operators that assay cannot bring yet: {'; '.join(listed)}", listed)

    # Outputs ------------------------------------------------------------------------------------------------------

    def _outputs(self) -> None:
        graph = self.graph.graph
        taken = {value.name for value in [*graph.inputs, *graph.initializers.values()]}
        for name, node in self.source.outputs:
            found = self._value(node.name)
            tensor = found.plain(self.graph) if isinstance(found, Weight) else found
            if not isinstance(tensor, Tensor):
                raise ModelError(f"the model gives {tensor!r}: expected tensors, alone or in tuples, lists and dicts")
            if tensor.value.producer() is None or tensor.value.is_graph_output():
                tensor = self.graph.node("Identity", [tensor], tensor.shape)
            if name and name not in taken:
                tensor.value.name = name
            taken.add(tensor.value.name)
            graph.outputs.append(tensor.value)


def _stack(node: Any) -> list[tuple[str, int]]:
    """The module calls around a node, outermost first: (path, call number)."""
    found = []
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        if path.startswith("_empty_nn_module_stack"):
            continue
        number = key.rpartition("@")[2] if "@" in key else "0"
        found.append((path.partition("@")[0], int(number) if number.isdigit() else 0))
    return found


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _is_view(node: Any) -> bool:
    """Whether the result of a call is, or may be, its first operand seen in another way."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return target_name(node.target) == "getitem"
    return any(item.alias_info is not None for item in schema.returns)


def _in_place(node: Any) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(
        item.alias_info is not None and item.alias_info.is_write for item in schema.returns
    )


def _is_later(node: Any, than: Any) -> bool:
    return bool(than < node)


def target_name(target: Any) -> str:
    """`aten.conv2d.default`; for Python's own functions their name."""
    return str(target) if hasattr(target, "_schema") else getattr(target, "__name__", str(target))


def dtype_of(dtype: Any) -> str:
    """`torch.float32` → `float32`; an error for types that NumPy lacks."""
    name = str(dtype).removeprefix("torch.")
    try:
        np.dtype(name)
    except TypeError as error:
        raise ModelError(f"the model computes in {name}: bring it in float32 (module.float())") from error
    return name


def user_line(node: Any) -> str:
    """Where in the user's own code a call stands: `net.py:14`."""
    return innermost(_LOCATION.findall(node.meta.get("stack_trace") or ""))


def innermost(places: list[tuple[str, str]]) -> str:
    """The innermost of some places that is not inside an installed framework."""
    own = [(path, line) for path, line in places if "/torch/" not in path]
    path, line = (own or places or [("code without a known place", "?")])[-1]
    return f"{path}:{line}"


def forward_arguments(module: Any) -> tuple[str, ...]:
    """What a module's forward method calls its arguments."""
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(
        name for name, item in parameters.items() if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
    )
