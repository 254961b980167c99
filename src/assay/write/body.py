"""From a frame of calls to the body of a class: attributes to construct, statements to run.

Rules speak to a `Builder`: `layer` adds an attribute, `use` refers to a value, `literal` to a number that may become an
argument of the class, `emit` adds a statement. Values and literals stand in the text as tokens until the names of
variables and the arguments of classes are known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call, calls_of, captured_by
from assay.graph.layout import order_of
from assay.graph.modules import Frame, correspondence
from assay.graph.names import attribute, identifier, singular, unique
from assay.model import MODULES, Model, ModuleInfo, aliases_of, exact_of, intended, shape_of
from assay.write.flow import HINT, nest
from assay.write.lists import grow_lists, take_lists, variadic_classes
from assay.write.loops import gather_families, gather_loops
from assay.write.named import gather_named
from assay.write.parts import (
    HEAVY,
    TOKEN,
    Body,
    Construct,
    Index,
    InstanceConstruct,
    LayerConstruct,
    ListOf,
    Literal,
    Method,
    Path,
    SequenceConstruct,
    Statement,
    Temporary,
    TextConstruct,
    Value,
)
from assay.write.results import hint
from assay.write.table import NO_DEFAULT, Argument, NativeWeight, Table
from assay.write.weights import Step, reshape, transpose

if TYPE_CHECKING:
    from assay.write.style import Style


class Builder:
    """What a rule writes into: one module's body in the making."""

    def __init__(
        self,
        model: Model,
        frame: Frame,
        table: Table,
        style: Style,
        outputs: Sequence[Value] | None = None,
        variadic: frozenset[str] | None = None,
    ) -> None:
        self.model, self.frame, self.table, self.style = model, frame, table, style
        self._variadic = variadic_classes(frame) if variadic is None else variadic  # classes that may take a list
        arguments = list(frame.info.arguments)
        # The model itself takes all its inputs, in order, used or not.
        inputs: list[Value] = [*(frame.inputs() if frame.path else model.graph.inputs)]
        given = frame.outputs() if outputs is None else outputs
        self.body = Body(frame.class_name, frame.path, arguments, inputs, list(given))
        self.methods = self.body.methods
        self._call: Call | None = None
        self._attribute_hint: str | None = None
        self._parameters: dict[tuple[int, tuple[Step, ...]], str] = {}
        self._holders: dict[str, dict[str, str]] = {}  # module that is never called → its parameters as text
        self._element: list[Construct] | None = None
        self._made: list[str] = []  # the attributes that the rule of the call being written has made
        self._sources: dict[str, str] = {}  # attribute → where the source has it, if not under that name
        self._list_names: dict[str, tuple[str, int]] = {}  # attribute → the list and the place that its name speaks of
        self._written: dict[
            str, tuple[Frame, Body | None, list[str]]
        ] = {}  # path → what its first call has been written as
        self._turned: dict[int, tuple[ir.Value, tuple[int, ...]]] = {}  # transposed weight → that of a layer, its axes
        self._again: Iterator[str] | None = None  # the attributes of a layer that is called once more

    # What rules use ---------------------------------------------------------------------------------------------

    def use(self, value: Value | None, precedence: int = 0) -> str:
        """A token for a value; it is put in parentheses if an expression below `precedence` takes its place."""
        assert value is not None
        if id(value) in self._turned:
            return self._reference(*self._turned[id(value)])
        if isinstance(value, ir.Value) and is_constant(value) and not any(value is item for item in self.body.inputs):
            return self._initializer(value)
        self.body.values.append(value)
        return f"\x01v:{len(self.body.values) - 1}:{precedence}\x02"

    def _reference(self, value: ir.Value, order: tuple[int, ...] = ()) -> str:
        """A token for a weight that is a module's inside, or a layer's of this module; its axes in ONNX's order, or another."""
        self.body.references.append((value, order))
        return f"\x01r:{len(self.body.references) - 1}:0\x02"

    def array(self, value: Value | None, precedence: int = 0, stored: bool = True) -> str:
        """Like `use`, but never a plain number: for functions that want arrays, and where the type matters.

        `stored`: a constant is reordered to meet channels-last data; without, it keeps ONNX's order.
        """
        assert value is not None
        if isinstance(value, ir.Value) and is_constant(value) and not any(value is item for item in self.body.inputs):
            return self._constant_array(value, stored)
        return self.use(value, precedence)

    def may_be_numbers(self, operands: Sequence[ir.Value]) -> bool:
        """Whether constants of one number among these operands may be written as numbers: a computed one decides type and rank."""
        computed = [value.shape for value in operands if not is_constant(value)]
        numbers = [value.shape for value in operands if is_constant(value)]
        ranks = [len(shape) for shape in computed if shape is not None]
        return len(ranks) == len(computed) > 0 and max(len(shape or ()) for shape in [*numbers, ()]) <= max(ranks)

    def method(self, graph: ir.Graph, name: str) -> Method:
        """Writes a subgraph as a further method of the class: its inputs are the arguments, then what it uses from outside."""
        name = unique(identifier(name), [*self.body.attributes, *(item.name for item in self.methods), "forward"])
        captured = captured_by(graph)
        info = ModuleInfo("", ())
        frame = Frame(self.frame.path, info, list(calls_of(self.model, graph)))
        inner = Builder(self.model, frame, self.table, self.style, variadic=self._variadic)
        inner.share(self)
        inner.body.inputs, inner.body.outputs = [*graph.inputs, *captured], list(graph.outputs)
        method = Method(name, inner.body, captured)
        self.methods.append(method)  # before those inside it, which need other names
        self.table.check(frame.calls())
        for item in frame.calls():
            inner._write_call(item, None)
        inner.body.outputs = inner.results(graph.outputs)
        nest(inner.body)
        self.body.needs_training |= inner.body.needs_training
        return method

    def share(self, outer: Builder) -> None:
        """Makes this builder write into the class of another: its attributes, weights and tokens."""
        self.body.attributes, self.body.weights = outer.body.attributes, outer.body.weights
        self.body.literals, self.body.values = outer.body.literals, outer.body.values
        self.methods, self._parameters, self._list_names = outer.methods, outer._parameters, outer._list_names

    def results(self, outputs: Sequence[ir.Value]) -> list[Value]:
        """What a graph gives, as values that written code can name: a constant, or the same value twice, is named first."""
        found: list[Value] = []
        for value in outputs:
            if is_constant(value):
                renamed = self.temporary("y")
                self.emit(renamed, self.array(value), light=False)
                found.append(renamed)
            else:
                found.append(value)
        return found

    def literal(self, value: Any, hint: str = "value") -> str:
        """A token for a constant in a statement; where it differs between instances it becomes an argument of the class."""
        self.body.literals.append(Literal(value, hint))
        return f"\x01l:{len(self.body.literals) - 1}:0\x02"

    def size(self, number: int) -> str:
        """A size in a statement, where instances of a class may differ; 0, 1 and -1 have a meaning of their own."""
        return self.literal(number, "size") if number > 1 else str(number)

    def emit(
        self,
        targets: Value | Sequence[Value | None],
        text: str,
        *,
        precedence: int = 100,
        light: bool = False,
        module: str | None = None,
        in_place: str | None = None,
    ) -> None:
        """Adds `targets = text`. `light`: short enough in meaning to be nested with its neighbours, like an activation.

        `in_place`: the sign between the two operands of the text, where the result may take the place of the first.
        """
        wanted: list[Value | None] = [targets] if isinstance(targets, (ir.Value, Temporary)) else list(targets)
        nodes = self._call.nodes if self._call else ()
        call = self._call
        heavy = (
            call is not None and call.kind in HEAVY and any(item is made for item in wanted for made in call.outputs)
        )
        self.body.statements.append(Statement(wanted, text, nodes, precedence, light, heavy=heavy, in_place=in_place))
        if self._element is not None and module is not None:
            self._element.append(TextConstruct(module))

    def temporary(self, hint: str, shape: tuple[int | str, ...] | None = None) -> Temporary:
        """A value of written code only, with a suggestion for its name."""
        return Temporary(hint, shape)

    def layer(
        self, callee: str, arguments: Sequence[Argument], weights: Sequence[NativeWeight] = (), hint: str | None = None
    ) -> str:
        """Adds a layer to the constructor and returns how the forward method refers to it: `self.conv1`."""
        if self._again is not None:
            return f"self.{next(self._again)}"
        construct = LayerConstruct(callee, [(argument, self._argument(argument)) for argument in arguments])
        if self._element is not None:
            self._element.append(construct)
            self.body.weights.extend(((), weight) for weight in weights)
            return "element"
        name = self._new_attribute(
            hint or self._attribute_hint or self._weight_stem(weights) or callee.rpartition(".")[2].lower(),
            None if hint else self._attribute_hint,
        )
        self.body.attributes[name] = construct
        self.body.weights.extend(((name,), weight) for weight in weights)
        self._made.append(name)
        return f"self.{name}"

    def holds(self, value: ir.Value) -> bool:
        """Whether the source's module around the call being written holds a parameter itself, not in a layer of its own."""
        owners = [name.rpartition(".")[0] for name in aliases_of(value)]
        alone = self._attribute_hint is None and self._element is None
        return alone and self.frame.path in owners and MODULES in self.model.graph.metadata_props

    def parameter(self, value: ir.Value, steps: tuple[Step, ...] = ()) -> str:
        """A parameter as an attribute of the class, in the framework's own order of its elements."""
        shared = self.frame.shared.get(id(value))
        if shared is not None and (shared.holder != self.frame.path or self._is_layers(value)):
            turns = [step.arguments for step in steps if step.kind == "transpose"]
            order = tuple(range(len(shape_of(value))))
            for turn in turns if len(turns) == len(steps) else []:
                order = tuple(order[axis] for axis in turn)
            return self._reference(value, order)
        key = (id(value), steps)
        if key not in self._parameters:
            self._parameters[key] = self._hold(value, steps)
        return self.style.parameter_reference(self._parameters[key])

    def _hold(self, value: ir.Value, steps: tuple[Step, ...]) -> str:
        """Makes a parameter in this class, and returns its name in it."""
        own = [name for name in aliases_of(value) if name.rpartition(".")[0] == self.frame.path]
        owner, _, leaf = self._relative(own[0] if own else value.name or "constant").rpartition(".")
        role = self.model.role(value)
        if role == "parameter" and (value.name or "").startswith(f"{self.frame.path}.{owner}.".lstrip(".")):
            taken = owner in self.body.attributes and owner not in self._holders
            if owner.isidentifier() and not taken and self.style.holder({}) is not None:
                return self._hold_in(owner, leaf, value, steps)
        name = self._new_attribute(re.sub(r"^constant_\d+$", "constant", leaf))  # counted in this class alone
        text, weight = self.style.parameter(self, name, value, role, steps)
        self.body.attributes[name] = TextConstruct(text)
        if weight is not None:
            self.body.weights.append(((name,), replace(weight, leaf="")))  # the attribute is the parameter
        return name

    def _hold_in(self, owner: str, leaf: str, value: ir.Value, steps: tuple[Step, ...]) -> str:
        """Makes a parameter of a module that is never called itself, such as a table that its parent reads."""
        text, weight = self.style.parameter(self, leaf, value, "parameter", steps)
        self._holders.setdefault(owner, {})[leaf] = text
        holder = self.style.holder(self._holders[owner])
        assert holder is not None and weight is not None
        self.body.attributes[owner] = TextConstruct(holder)
        self.body.weights.append(((owner,), replace(weight, leaf=leaf)))
        return f"{owner}.{leaf}"

    def _is_layers(self, value: ir.Value) -> bool:
        """Whether a layer that is an attribute of this module holds a weight."""
        return (id(value), ()) not in self._parameters and any(w.source is value for _, w in self.body.weights)

    def in_training(self) -> None:
        """Says that the module behaves differently in training."""
        self.body.needs_training = True

    @property
    def attribute_name(self) -> str | None:
        """The name that the source gives to the module around the call being written."""
        return self._attribute_hint

    @property
    def in_container(self) -> bool:
        """Whether the call being written becomes an element of a container, without a statement of its own."""
        return self._element is not None

    # Building ---------------------------------------------------------------------------------------------------

    def build(self, takes_lists: bool = True) -> Body:
        """Writes every item of the frame. `takes_lists`: whether its inputs may become arguments that are lists."""
        items = self._expand(self.frame.items)
        calls: dict[str, list[Frame]] = {}
        for item in items:
            if isinstance(item, Frame):
                calls.setdefault(item.path, []).append(item)
        for item in items:
            if isinstance(item, Call):
                self._write_call(item, None)
            elif item.path in self._written:
                self._write_again(item)
            elif (single := _single_call(item)) is not None:
                self._made = []
                self._write_call(single, self._relative(item.path))
                self._written[item.path] = (item, None, self._made)
            elif self._is_sequence(item):
                self._written[item.path] = (item, None, [self._write_sequence(item)])
            else:
                self._write_child(item, calls[item.path])
        if not self.frame.path:
            self.body.outputs = self.results(self.model.graph.outputs)
            self._name_outputs()
        self._hold_shared()
        if takes_lists and self.frame.path and self.frame.class_name in self._variadic:
            take_lists(self.body)
        grow_lists(self.body)
        gather_loops(self.body, self.style, self._list_names, self._sources, chains_only=True)
        nest(self.body)
        gather_loops(self.body, self.style, self._list_names, self._sources)
        gather_families(self.body, self.style)
        if self.style.saves_attributes:
            gather_named(self.body, self._sources)
        return self.body

    def _name_outputs(self) -> None:
        """The outputs that have a key of their own are called by it in written code."""
        for keys, place in self.model.structure.leaves():
            value, name = self.body.outputs[place], hint(keys)
            if isinstance(value, ir.Value) and name is not None:
                value.meta.setdefault(HINT, name)

    def _hold_shared(self) -> None:
        """Makes the weights that only other modules use, but this one holds."""
        for shared in self.frame.shared.values():
            made = any(weight.source is shared.value for _, weight in self.body.weights)
            if shared.holder == self.frame.path and not made:
                self.parameter(shared.value)

    def _expand(self, items: Sequence[Call | Frame]) -> list[Call | Frame]:
        """Containers that cannot be written as one give way to what they hold."""
        found: list[Call | Frame] = []
        for item in items:
            if isinstance(item, Frame) and item.class_name == "Sequential" and not self._is_sequence(item):
                found.extend(self._expand(item.items))
            else:
                found.append(item)
        return found

    def _relative(self, path: str) -> str:
        prefix = f"{self.frame.path}." if self.frame.path else ""
        return path[len(prefix) :] if path.startswith(prefix) else path

    def _write_call(self, call: Call, name: str | None) -> None:
        self._call, self._attribute_hint = call, name
        if not self._turn(call):
            self.table.write(call, self)
        self.body.nodes.extend(call.nodes)
        self._call, self._attribute_hint = None, None

    def _turn(self, call: Call) -> bool:
        """Whether a call only turns the matrix of another layer, which may store it so: then its uses are references."""
        if call.kind != "Transpose" or call.y.is_graph_output() or call.x.shape is None:
            return False
        shared = self.frame.shared.get(id(call.x))
        value, order = self._turned.get(id(call.x), (call.x, tuple(range(len(shape_of(call.x))))))
        held = shared is not None and (shared.holder != self.frame.path or self._is_layers(value))
        inside = any(weight.source is value for _, weight in self.body.weights) or shared is None
        if id(call.x) not in self._turned and not (held and inside):
            return False
        turn = call.attribute("perm", [*reversed(range(len(order)))])
        self._turned[id(call.y)] = value, tuple(order[axis] for axis in turn)
        return True

    def _write_child(self, frame: Frame, calls: Sequence[Frame]) -> None:
        """A module with a class of its own; `calls` are all its calls from here, of which the most general is written."""
        template = max(calls, key=lambda item: len(item.inputs()))
        outputs = template.outputs_among(list(calls))
        child = Builder(self.model, template, self.table, self.style, outputs, self._variadic).build()
        name = self._new_attribute(self._relative(frame.path), self._relative(frame.path))
        self.body.attributes[name] = InstanceConstruct(child)
        self._adopt(child, (name,))
        self._written[frame.path] = (template, child, [name])
        self._call_child(f"self.{name}", child, frame, _likeness(template, frame))

    def _adopt(self, child: Body, path: Path) -> None:
        self.body.weights.extend(((*path, *rest), weight) for rest, weight in child.weights)
        self.body.needs_training |= child.needs_training

    def _call_child(self, reference: str, child: Body, frame: Frame, like: Mapping[int, ir.Value]) -> None:

        def operand(value: Value) -> str:
            if isinstance(value, ListOf):
                return f"[{', '.join(map(operand, value.elements))}]"
            return self.use(like.get(id(value), value))

        operands = [operand(value) for value in child.inputs]
        text = self.style.module_call(reference, operands, child.needs_training)
        nodes = tuple(node for call in frame.calls() for node in call.nodes)
        targets: list[Value | None] = [like.get(id(value), value) for value in child.outputs]
        self.body.statements.append(Statement(targets, text, nodes, light=True, heavy=True))

    def _write_again(self, frame: Frame) -> None:
        """One more call of a module that is written already."""
        template, child, names = self._written[frame.path]
        like = _likeness(template, frame)
        if child is not None:
            self._call_child(f"self.{names[0]}", child, frame, like)
        elif (single := _single_call(frame)) is not None:
            self._again = iter(names)
            self._write_call(single, self._relative(frame.path))
            self._again = None
        else:
            self._call_sequence(
                names[0], frame, any(self.style.differs_in_training(item.kind) for item in frame.calls())
            )

    # Containers -------------------------------------------------------------------------------------------------

    def _is_sequence(self, frame: Frame) -> bool:
        """Whether a frame is a chain of modules that the framework can hold in one container."""
        if frame.class_name != "Sequential" or not frame.items:
            return False
        modules = [item for item in frame.items if isinstance(item, Frame)]
        if len(modules) < len(frame.items) or any(
            len(item.inputs()) != 1 or len(item.outputs()) != 1 for item in modules
        ):
            return False
        if any(first.outputs()[0] is not second.inputs()[0] for first, second in pairwise(modules)):
            return False
        return self.style.can_hold(["module" if self._is_wrapped(item) else self._kind_of(item) for item in modules])

    def _is_wrapped(self, frame: Frame) -> bool:
        """Whether a module that would be a mere expression gets a class of its own, so that a container can hold it."""
        call = _single_call(frame)
        return (
            call is not None and not call.weights and self.style.has_sequential and self._kind_of(frame) == "function"
        )

    def _kind_of(self, frame: Frame) -> str:
        """`function` for a call without an object form, `object` for one with, `layer` for a layer, `module` for a class."""
        call = _single_call(frame)
        if call is None:
            return (
                "module+training"
                if any(self.style.differs_in_training(item.kind) for item in frame.calls())
                else "module"
            )
        if call.kind in self.table.rows:
            return "object" if self.table.rows[call.kind].module else "function"
        is_layer = self.style.is_layer(call)
        if not (is_layer or not call.weights) or not self._has_object(call, frame):
            return "function"
        return ("layer+training" if self.style.differs_in_training(call.kind) else "layer") if is_layer else "object"

    def _has_object(self, call: Call, frame: Frame) -> bool:
        """Whether the rule of a call gives nothing but objects that are called one after another, one alone unless the style
        can hold several in the place of one: found by writing it where nothing is kept."""
        if call.kind not in self.table.rules:
            return False
        trial = Builder(self.model, frame, self.table, self.style, variadic=self._variadic)
        trial._call, trial._element = call, []
        try:
            self.table.write(call, trial)
        except UnsupportedError:  # said when it is written in earnest
            return False
        statements = trial.body.statements
        if len(trial._element) != len(statements) or not 1 <= len(statements) <= self.style.elements_of_one:
            return False
        followed = all(
            operands == [id(before.targets[0])]
            for before, operands in zip(statements, map(trial._operands, statements[1:]), strict=False)
        )
        plain = all(
            isinstance(element, TextConstruct) or _PLAIN_CALL.fullmatch(statement.text)
            for element, statement in zip(trial._element, statements, strict=True)
        )
        return followed and plain and all(len(statement.targets) == 1 for statement in statements)

    def _operands(self, statement: Statement) -> list[int]:
        """The values that the text of a statement uses."""
        tokens = TOKEN.finditer(statement.text)
        return [id(self.body.values[int(found.group(2))]) for found in tokens if found.group(1) == "v"]

    def _write_sequence(self, frame: Frame) -> str:
        """A container, and its call; gives the attribute."""
        path = self._relative(frame.path)
        name = self._new_attribute(path or "layers", path)
        construct, weights, trained = self._sequence_of(frame)
        self.body.weights.extend(((name, *rest), weight) for rest, weight in weights)
        self.body.needs_training |= trained
        self.body.attributes[name] = construct
        self._call_sequence(name, frame, trained)
        return name

    def _call_sequence(self, name: str, frame: Frame, trained: bool) -> None:
        nodes = tuple(node for call in frame.calls() for node in call.nodes)
        self.body.nodes.extend(node for item in frame.items if _single_call(item) is not None for node in nodes)
        operand = self.use(frame.inputs()[0])
        if self.style.has_sequential:
            text = self.style.module_call(f"self.{name}", [operand], trained)
            statement = Statement(list(frame.outputs()), text, nodes, light=True, heavy=True, cost=2)
            self.body.statements.append(statement)
        else:
            variable = singular(name)
            text = self.style.module_call(variable, [operand], trained)
            loop = f"for {variable} in self.{name}:"
            self.body.statements.append(Statement(list(frame.outputs()), text, nodes, loop=loop))

    def _sequence_of(self, frame: Frame) -> tuple[SequenceConstruct, list[tuple[Path, NativeWeight]], bool]:
        """A chain of modules as one container, with the weights of its elements, and whether any is different in training."""
        elements: list[Construct] = []
        labels: list[str] = []
        weights: list[tuple[Path, NativeWeight]] = []
        trained = False
        names = [item.path[len(frame.path) :].removeprefix(".") for item in frame.items if isinstance(item, Frame)]
        named = self.style.names_elements and names != [str(number) for number in range(len(names))]
        for number, item in enumerate(frame.items):
            assert isinstance(item, Frame)
            place: str | Index = names[number] if named else Index(number, self.style.has_sequential)
            found, own, needs_training = self._elements_of(item)
            elements.extend(found)
            labels.extend([f"{number}_before"] * (len(found) - 1) + [str(number)])
            trained |= needs_training
            weights.extend(((place, *rest), weight) for rest, weight in own)
        construct = SequenceConstruct(elements, self.style.has_sequential, names if named else None, labels)
        return construct, weights, trained

    def _elements_of(self, frame: Frame) -> tuple[list[Construct], list[tuple[Path, NativeWeight]], bool]:
        """A module as elements of a container. Several are one layer with what has to come before it, such as its padding;
        weights are the last one's."""
        call = _single_call(frame)
        if call is None and self.style.nests and self._is_sequence(frame):
            construct, weights, trained = self._sequence_of(frame)
            return [construct], weights, trained
        if call is None or self._is_wrapped(frame):
            inner = Builder(self.model, frame, self.table, self.style, variadic=self._variadic)
            child = inner.build(takes_lists=False)  # a container calls its elements with one value
            return [InstanceConstruct(child)], child.weights, child.needs_training
        statements, weights, trained = self.body.statements, self.body.weights, self.body.needs_training
        self.body.statements, self.body.weights, self.body.needs_training = [], [], False
        self._element = []
        try:
            self.table.write(call, self)
            return self._element, self.body.weights, self.body.needs_training
        finally:
            self.body.statements, self.body.weights, self.body.needs_training = statements, weights, trained
            self._element = None

    # Names and initializers -------------------------------------------------------------------------------------

    def _new_attribute(self, wanted: str, source: str | None = None) -> str:
        """A name for an attribute. `source`: where the source has the module that becomes it."""
        name = attribute(wanted, "layer")
        if name in self.style.reserved:
            name = f"{name}_layer"
        name = unique(name, [*self.body.attributes, *(item.name for item in self.methods)])
        if source and name != source and MODULES in self.model.graph.metadata_props:
            self._sources[name] = source
        stem, _, number = wanted.rpartition(".")
        if stem and number.isdigit():
            self._list_names[name] = (stem, int(number))
        return name

    def _weight_stem(self, weights: Sequence[NativeWeight]) -> str | None:
        """For a layer without a module of its own: what its weight's name is before `.weight`."""
        stem, _, leaf = (weights[0].source.name or "" if weights else "").rpartition(".")
        if stem and stem == self.frame.path:  # the module holds it itself: `attention.in_proj_weight`
            return leaf.removesuffix("_weight") if leaf.endswith("_weight") else None
        return self._relative(stem).rpartition(".")[2] or None

    def _argument(self, argument: Argument) -> Literal:
        literal = Literal(argument.value, argument.hint, argument.default, argument.default is not NO_DEFAULT)
        self.body.literals.append(literal)
        return literal

    def _initializer(self, value: ir.Value) -> str:
        """A constant becomes a literal where it is one number, a buffer otherwise; a parameter becomes an attribute."""
        assert value.const_value is not None
        role = self.model.role(value)
        array = value.const_value.numpy()
        if role == "constant" and array.size == 1:
            return self.literal(_as_meant(value, array), "constant")
        return self._constant_array(value)

    def _constant_array(self, value: ir.Value, stored: bool = True) -> str:
        """A small constant is written where it stands, unless it is data of the model; others are attributes."""
        assert value.const_value is not None
        role = self.model.role(value)
        array = value.const_value.numpy()
        steps = self._stored_steps(array.shape) if stored else ()
        if role == "constant" and not steps and (text := self.style.constant(value)) is not None:
            return text
        return self.parameter(value, steps)

    def _stored_steps(self, shape: tuple[int, ...]) -> tuple[Step, ...]:
        """How an array that meets channels-last data must be reordered to meet it."""
        if self._call is None or math.prod(shape) == 1 or self._call.wanted(0) is None:
            return ()
        order = order_of(self._call.y)
        if order == tuple(range(len(order))):
            return ()
        full = (1,) * (len(order) - len(shape)) + shape
        return (*((reshape(shape, full),) if full != shape else ()), transpose(*order))


def _likeness(template: Frame, frame: Frame) -> Mapping[int, ir.Value]:
    """id of each value of a module's call that is written → its like in another call; nothing for the call itself."""
    if template is frame:
        return {}
    found = correspondence(template, frame)
    if found is None:
        raise UnsupportedError(
            f"the module {frame.path} is called more than once, and does not compute the same each time; "
            "give each call a module of its own"
        )
    return found


_PLAIN_CALL = re.compile(rf"element\({TOKEN.pattern}(, training=training)?\)")


def is_constant(value: ir.Value) -> bool:
    """Whether a value is an initializer: a parameter, a statistic or a constant."""
    return value.is_initializer() and not value.is_graph_input()


def _as_meant(value: ir.Value, array: np.ndarray) -> Any:
    """The one number of an array as a Python number; a float32 as the decimal that somebody meant."""
    if (exact := exact_of(value)) is not None:
        return exact
    number = array.reshape(()).item()
    return intended(number) if array.dtype == np.float32 and math.isfinite(number) else number


def _single_call(frame: Any) -> Call | None:
    """The call that a frame consists of, if a person would write the call and not a class around it.

    A module that holds a parameter for an operator that is no layer (a scale to multiply with) stays a class: the
    parameter's name in a saved state is the module's.
    """
    if not isinstance(frame, Frame) or len(frame.items) != 1 or not isinstance(frame.items[0], Call):
        return None
    call = frame.items[0]
    own = (value for value in call.inputs if value is not None and value.is_initializer())
    holds = any(value.name is not None and value.name.startswith(f"{frame.path}.") for value in own)
    return None if holds and not call.weights else call
