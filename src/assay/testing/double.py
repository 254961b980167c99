"""The official cases once more in float64: what is float32 in a case becomes double, where its operator takes that.

The suite's own expectations are float32 and were computed in it, so the truth here is ONNX's reference evaluation of the same
graph in float64. It computes some operators in float32 inside: what agrees with the case's expectation but not with every
digit of the reference is `close`, the rest `exact`. Another type than float64, or other values, are faults.
"""

from __future__ import annotations

import importlib
import traceback
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from assay.errors import AssayError
from assay.frameworks import Target
from assay.graph.passes import simplify
from assay.model import Model
from assay.prove.oracle import evaluate, in_float64
from assay.testing.conformance import bring, differences
from assay.testing.official import Data, OfficialCase, official
from assay.write import write
from assay.write.table import Table

EXACT = 1e-10  # relative and absolute
_DOUBLE = "tensor(double)"
_BITS = {"BitCast", "TreeEnsemble"}  # in which the bits of a float32 mean something


@dataclass(frozen=True)
class DoubleTrial:
    """`exact`, `close`, or why it is neither."""

    verdict: str | None = None
    faults: tuple[str, ...] = ()
    error: str | None = None


def schema_of(case: OfficialCase) -> onnx.defs.OpSchema | None:
    """The schema of a case's only node; None if it has several, a subgraph, or no meaning in another width."""
    nodes = case.model.graph.node
    if len(nodes) != 1 or nodes[0].op_type in _BITS or any(item.HasField("g") for item in nodes[0].attribute):
        return None
    version = next((item.version for item in case.model.opset_import if item.domain == nodes[0].domain), 1)
    return onnx.defs.get_schema(nodes[0].op_type, version, nodes[0].domain)


def double_cases() -> list[OfficialCase]:
    """The node cases of one operator with a float32 input that may be a double as well."""
    found = []
    for case in official(("node",)):
        schema = schema_of(case)
        if schema is not None and not case.is_random and len(case.data) == 1 and _doubles(case, schema):
            found.append(case)
    return found


def _doubles(case: OfficialCase, schema: onnx.defs.OpSchema) -> set[int]:
    """The graph inputs in float32 whose operator takes doubles too."""
    node, names = case.model.graph.node[0], [value.name for value in case.model.graph.input]
    found = set()
    for slot, name in enumerate(node.input):
        formal = schema.inputs[min(slot, len(schema.inputs) - 1)]
        if name in names and _DOUBLE in formal.types:
            place = names.index(name)
            item = case.data[0][0][place]
            if isinstance(item, np.ndarray) and item.dtype == np.float32:
                found.add(place)
    return found


def try_double(case: OfficialCase, target: Target) -> DoubleTrial:
    """A case in one framework, in float64."""
    schema = schema_of(case)
    assert schema is not None
    places = _doubles(case, schema)
    try:
        model = bring(case)
        actual = _run(model, case, places, target)
    except Exception as error:  # whatever a framework raises
        if not isinstance(error, AssayError):
            traceback.print_exc()
        return DoubleTrial(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    truth = _truth(model, case, places)
    if truth is not None and not differences(actual, truth, EXACT, EXACT):
        return DoubleTrial("exact")
    expected = tuple(_widened(item) for item in case.data[0][1])
    faults = differences(actual, expected, case.rtol, case.atol)
    return DoubleTrial(faults=tuple(faults)) if faults else DoubleTrial("close")


def _run(model: Model, case: OfficialCase, places: set[int], target: Target) -> tuple[Data, ...]:
    table: Table = importlib.import_module(f"assay.frameworks.{target.framework}.write").TABLE
    values: Any = importlib.import_module(f"assay.frameworks.{target.framework}.values")
    simple = simplify(model, table.takes)  # the bodies of functions convert to float32 too
    double = in_float64(simple)
    for place, value in enumerate(double.graph.inputs):
        if place not in places and value.dtype == ir.DataType.DOUBLE:
            value.type = simple.graph.inputs[place].type
    native = write(replace(simple, ir=double, _modules={}), target.name).load()
    types = [str(value.dtype).lower() for value in double.graph.outputs]
    with values.inference():
        found = native(*[values.to_native(item) for item in _inputs(case, places)])
    outputs = found if isinstance(found, tuple) else (found,)
    return tuple(values.to_numpy(item, kind) for item, kind in zip(outputs, types, strict=True))


def _inputs(case: OfficialCase, places: set[int]) -> list[Data]:
    return [
        item.astype(np.float64) if place in places and isinstance(item, np.ndarray) else item
        for place, item in enumerate(case.data[0][0])
    ]


def _widened(item: Data) -> Data:
    """What a case expects, in double."""
    if isinstance(item, (list, tuple)):
        return type(item)(_widened(part) for part in item)
    return item.astype(np.float64) if isinstance(item, np.ndarray) and item.dtype == np.float32 else item


def _truth(model: Model, case: OfficialCase, places: set[int]) -> tuple[Data, ...] | None:
    """What the reference computes in float64; None where it cannot."""
    names = [value.name or "" for value in model.graph.inputs]
    given = dict(zip(names, _inputs(case, places), strict=True))
    try:
        return tuple(evaluate(model, {name: item for name, item in given.items() if item is not None}))
    except Exception:  # the reference has no kernel for every operator in every type
        return None
