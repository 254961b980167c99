"""A jaxpr as one list of operations: calls of inner functions opened, short loops unrolled, dead operations left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import jax.extend.core
import numpy as np

_LONGEST = 128  # steps of a loop that are written one after another
Ref = int | np.ndarray  # a value: its number, or what it is known to be


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation: its primitive's name and parameters, its operands, the numbers and types of its results."""

    name: str
    params: Mapping[str, Any]
    inputs: tuple[Ref, ...]
    outputs: tuple[int, ...]
    avals: tuple[Any, ...]  # shapes and types of the results
    scopes: tuple[str, ...]  # name stacks, from the outermost jaxpr to the innermost
    place: Any = None  # where in the user's code it stands
    primitive: Any = None


@dataclass
class Flat:
    """The operations of a jaxpr, its inputs and its results."""

    operations: list[Operation]
    inputs: list[int]
    results: list[Ref]
    avals: dict[int, Any] = field(default_factory=dict)  # shapes and types of all values

    def uses(self) -> dict[int, int]:
        """How often each value is used."""
        found: dict[int, int] = {}
        for operation in self.operations:
            for item in operation.inputs:
                if isinstance(item, int):
                    found[item] = found.get(item, 0) + 1
        for item in self.results:
            if isinstance(item, int):
                found[item] = found.get(item, 0) + 1
        return found


def flatten(closed: Any) -> Flat:
    """One list of operations from a closed jaxpr."""
    return _Flattening().run(closed)


@dataclass
class _Flattening:
    operations: list[Operation] = field(default_factory=list)
    numbers: Any = field(default_factory=count)
    avals: dict[int, Any] = field(default_factory=dict)

    def run(self, closed: Any) -> Flat:
        inputs = [self.new(variable.aval) for variable in closed.jaxpr.invars]
        results = self.inline(closed.jaxpr, [_array(item) for item in closed.consts], inputs, ())
        return Flat(_without_dead(self.operations, results), inputs, results, self.avals)

    def new(self, aval: Any) -> int:
        number = int(next(self.numbers))
        self.avals[number] = aval
        return number

    def inline(self, jaxpr: Any, consts: Sequence[Ref], given: Sequence[Ref], scopes: tuple[str, ...]) -> list[Ref]:
        values: dict[Any, Ref] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *given], strict=True))

        def read(item: Any) -> Ref:
            return _array(item.val) if isinstance(item, jax.extend.core.Literal) else values[item]

        for equation in jaxpr.eqns:
            inputs = [read(item) for item in equation.invars]
            own = (*scopes, str(equation.source_info.name_stack))
            for variable, result in zip(equation.outvars, self.equation(equation, inputs, own), strict=True):
                values[variable] = result
        return [read(item) for item in jaxpr.outvars]

    def equation(self, equation: Any, inputs: list[Ref], scopes: tuple[str, ...]) -> Sequence[Ref]:
        name, params = equation.primitive.name, equation.params
        if name == "scan" and int(params["length"]) <= _LONGEST:
            return self.unrolled(params, inputs, scopes, equation)
        inner = params.get("jaxpr", params.get("call_jaxpr", params.get("fun_jaxpr")))
        if inner is not None and name not in ("scan", "while", "cond"):
            closed = hasattr(inner, "consts")
            consts = [_array(item) for item in inner.consts] if closed else []
            return self.inline(inner.jaxpr if closed else inner, consts, inputs, scopes)
        return self.add(name, params, inputs, [item.aval for item in equation.outvars], scopes, equation)

    def add(
        self,
        name: str,
        params: Mapping[str, Any],
        inputs: Sequence[Ref],
        avals: Sequence[Any],
        scopes: tuple[str, ...],
        equation: Any,
    ) -> list[Ref]:
        outputs = tuple(self.new(aval) for aval in avals)
        primitive = equation.primitive if equation.primitive.name == name else None
        operation = Operation(
            name, params, tuple(inputs), outputs, tuple(avals), scopes, equation.source_info, primitive
        )
        self.operations.append(operation)
        return list(outputs)

    def unrolled(
        self, params: Mapping[str, Any], inputs: list[Ref], scopes: tuple[str, ...], equation: Any
    ) -> list[Ref]:
        """A loop as its steps, one after another."""
        closed, length = params["jaxpr"], int(params["length"])
        constants, carried = params["num_consts"], params["num_carry"]
        fixed, carry, sliced = (
            inputs[:constants],
            inputs[constants : constants + carried],
            inputs[constants + carried :],
        )
        inner = [item.aval for item in closed.jaxpr.invars[constants + carried :]]
        columns: list[list[Ref]] = [[] for _ in closed.jaxpr.outvars[carried:]]
        places = range(length - 1, -1, -1) if params["reverse"] else range(length)
        consts = [_array(item) for item in closed.consts]
        for place in places:
            items = [self.part(item, place, aval, scopes, equation) for item, aval in zip(sliced, inner, strict=True)]
            results = self.inline(closed.jaxpr, consts, [*fixed, *carry, *items], scopes)
            carry = results[:carried]
            for column, item in zip(columns, results[carried:], strict=True):
                column.append(item)
        if params["reverse"]:
            columns = [column[::-1] for column in columns]
        stacked = [item.aval for item in equation.outvars[carried:]]
        joined = [
            self.add("stack", {}, column, [aval], scopes, equation)[0]
            for column, aval in zip(columns, stacked, strict=True)
        ]
        return [*carry, *joined]

    def part(self, item: Ref, place: int, aval: Any, scopes: tuple[str, ...], equation: Any) -> Ref:
        if not isinstance(item, int):
            return np.asarray(item[place])
        return self.add("part", {"place": place}, [item], [aval], scopes, equation)[0]


def _array(value: Any) -> Any:
    """A literal or constant as NumPy has it; what NumPy lacks (random keys) stays as it is."""
    try:
        return np.asarray(value)
    except TypeError:
        return value


def _without_dead(operations: list[Operation], results: Sequence[Ref]) -> list[Operation]:
    """Only operations that lead to a result."""
    needed = {item for item in results if isinstance(item, int)}
    kept = []
    for operation in reversed(operations):
        if needed.intersection(operation.outputs):
            needed.update(item for item in operation.inputs if isinstance(item, int))
            kept.append(operation)
    return kept[::-1]


# Functions found again ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pattern:
    """A function of one array, as the operations that it consists of."""

    flat: Flat
    mark: float | None  # a number that stands for an argument of the function


def match(
    pattern: Pattern, operations: Sequence[Operation], start: int, uses: Mapping[int, int]
) -> tuple[Ref, float | None] | None:
    """The argument (and the number) of a call of the function that begins at an operation; None if there is none.

    What the function computes on its way must not be used elsewhere.
    """
    wanted = pattern.flat.operations
    run = operations[start : start + len(wanted)]
    if len(run) != len(wanted):
        return None
    bound: dict[int, Ref] = {}
    numbers: list[float] = []
    for ours, theirs in zip(wanted, run, strict=True):
        if ours.name != theirs.name or len(ours.inputs) != len(theirs.inputs) or not _same(ours.params, theirs.params):
            return None
        for a, b in zip(ours.inputs, theirs.inputs, strict=True):
            if not _bind(a, b, bound, numbers, pattern.mark):
                return None
        bound.update(zip(ours.outputs, theirs.outputs, strict=True))
    result = pattern.flat.results[0]
    inside = {item for operation in run for item in operation.outputs}
    used_inside: dict[int, int] = {}
    for operation in run:
        for item in operation.inputs:
            if isinstance(item, int) and item in inside:
                used_inside[item] = used_inside.get(item, 0) + 1
    assert isinstance(result, int)
    if any(uses.get(item, 0) != used_inside.get(item, 0) for item in inside if item != bound[result]):
        return None
    if bound[result] != run[-1].outputs[0] or len(set(numbers)) > 1:
        return None
    return bound[pattern.flat.inputs[0]], (numbers[0] if numbers else None)


def _bind(ours: Ref, theirs: Ref, bound: dict[int, Ref], numbers: list[float], mark: float | None) -> bool:
    if isinstance(ours, int):
        if ours in bound:
            return bound[ours] is theirs or (isinstance(theirs, int) and bound[ours] == theirs)
        bound[ours] = theirs
        return isinstance(theirs, int)
    if isinstance(theirs, int):
        return False
    if mark is not None and ours.size == 1 and float(ours.reshape(())) == mark and theirs.size == 1:
        numbers.append(float(theirs.reshape(())))
        return True
    return ours.shape == theirs.shape and bool(np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"))


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    compared = [name for name in ours if not callable(ours[name]) and name not in ("weak_type", "sharding")]
    return all(name in theirs and ours[name] == theirs[name] for name in compared)


Emit = Callable[..., Any]
