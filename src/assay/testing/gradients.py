"""The gradient of every operator that ONNX calls differentiable, in float64, held against differences of the written code itself.

The outputs are proven by the conformance suite; here a case's data become float64, and the slope of a random weighted sum of
its outputs along random directions is compared with what the framework's own differentiation says. At singular points, where
the slopes to the left and to the right differ (ties of a maximum, zero of an absolute value), frameworks may choose: they are
recorded with what each chose, and are no faults.
"""

from __future__ import annotations

import importlib
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from assay.errors import AssayError
from assay.frameworks import Target
from assay.graph.passes import simplify
from assay.ops import operator
from assay.prove.oracle import in_float64
from assay.testing.conformance import bring
from assay.testing.official import Data, OfficialCase, official
from assay.write import write
from assay.write.table import Table

STEP = 1e-6  # of the central difference: its error is about the square of it, and rounding about 1e-10
LIMIT = 1e-5  # relative, of a slope
FINER = 4  # a kink is told from curvature by a step so many times smaller: the first stays as it is, the second shrinks
DIRECTIONS = 2

_YES = onnx.defs.OpSchema.DifferentiationCategory.Differentiable
_SCALES = {"Resize": (2,), "Upsample": (1,)}
_DISCRETE = {"Dropout"}  # flagged differentiable, and random in training


@dataclass(frozen=True)
class Slope:
    """What a framework says, and what differences say, along one direction."""

    claimed: float
    left: float  # differences with `STEP`
    right: float
    left_near: float  # the same with a finer step
    right_near: float

    @property
    def measured(self) -> float:
        return (self.left + self.right) / 2

    @property
    def verdict(self) -> str:
        """`agrees`; `undefined` (not a number there), `singular` (a kink or a jump there), or `wrong`."""
        if not np.isfinite([self.measured, self.left_near, self.right_near]).all():
            return "undefined"
        scale = max(1.0, abs(self.measured))
        if abs(self.claimed - self.measured) <= LIMIT * scale:
            return "agrees"
        far, near = abs(self.left - self.right), abs(self.left_near - self.right_near)
        kink = near > LIMIT * scale and near > 2 / FINER * far
        jump = abs((self.left_near + self.right_near) / 2 - self.measured) > 0.1 * scale
        return "singular" if kink or jump else "wrong"


@dataclass
class GradientTrial:
    """The slopes of one case, or why there are none."""

    slopes: list[Slope] = field(default_factory=list)
    error: str | None = None

    @property
    def verdict(self) -> str:
        if self.error is not None:
            return "error"
        verdicts = {slope.verdict for slope in self.slopes}
        return next(word for word in ("wrong", "singular", "undefined", "agrees") if word in verdicts)


def differentiable_cases() -> list[OfficialCase]:
    """The node cases of one operator with a differentiable float input and output."""
    return [case for case in official(("node",)) if _places(case) and _weighed(case) and not case.is_random]


def _schema(case: OfficialCase) -> onnx.defs.OpSchema | None:
    nodes = case.model.graph.node
    if len(nodes) != 1 or nodes[0].op_type in _DISCRETE:
        return None
    version = next((item.version for item in case.model.opset_import if item.domain == nodes[0].domain), 1)
    return onnx.defs.get_schema(nodes[0].op_type, version, nodes[0].domain)


def _places(case: OfficialCase) -> list[int]:
    """The graph inputs that feed differentiable inputs of the node."""
    schema = _schema(case)
    if schema is None or len(case.data) != 1:
        return []
    node = case.model.graph.node[0]
    names = [value.name for value in case.model.graph.input]
    found = []
    for slot, name in enumerate(node.input):
        formal = schema.inputs[min(slot, len(schema.inputs) - 1)]
        if (
            operator(node.op_type).weights.get(slot, "").startswith("running")
        ):  # statistics: no framework differentiates them
            continue
        if name in names and formal.differentiation_category == _YES and _is_float(case.data[0][0][names.index(name)]):
            found.append(names.index(name))
    return sorted(set(found))


def _single_precision(case: OfficialCase) -> set[int]:
    """The graph inputs that ONNX wants in float32 whatever the type of the data."""
    names = [value.name for value in case.model.graph.input]
    return {
        names.index(name)
        for node in case.model.graph.node
        for slot, name in enumerate(node.input)
        if slot in _SCALES.get(node.op_type, ()) and name in names
    }


def _weighed(case: OfficialCase) -> list[bool]:
    """Which outputs are differentiable."""
    schema = _schema(case)
    assert schema is not None
    node = case.model.graph.node[0]
    names = [name for name in node.output if name]
    found = []
    for value, item in zip(case.model.graph.output, case.data[0][1], strict=True):
        slot = names.index(value.name) if value.name in names else 0
        formal = schema.outputs[min(slot, len(schema.outputs) - 1)]
        found.append(formal.differentiation_category == _YES and _is_float(item))
    return found if any(found) else []


def _is_float(item: Data) -> bool:
    return isinstance(item, np.ndarray) and item.dtype in (np.float32, np.float64) and item.size > 0


def try_gradient(case: OfficialCase, target: Target) -> GradientTrial:
    """The slopes of a case in one framework."""
    try:
        table: Table = importlib.import_module(f"assay.frameworks.{target.framework}.write").TABLE
        simple = simplify(bring(case), table.takes)  # the bodies of functions convert to float32 too
        double = in_float64(simple)
        for place in _single_precision(case):
            double.graph.inputs[place].type = ir.TensorType(ir.DataType.FLOAT)
        package = write(replace(simple, ir=double, _modules={}), target.name)
        native = package.load()
        return GradientTrial(_slopes(case, native, target.framework))
    except Exception as error:  # whatever a framework raises
        if not isinstance(error, AssayError):
            traceback.print_exc()
        return GradientTrial(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _slopes(case: OfficialCase, native: Any, framework: str) -> list[Slope]:
    folder = f"assay.frameworks.{framework}"
    values: Any = importlib.import_module(f"{folder}.values")
    differentiate: Callable[..., list[np.ndarray]] = importlib.import_module(f"{folder}.differentiate").gradients
    single = _single_precision(case)
    inputs = [item if place in single else _double(item) for place, item in enumerate(case.data[0][0])]
    places = _places(case)
    generator = np.random.Generator(np.random.Philox(key=[zlib.crc32(case.name.encode()), 0x5E]))
    seeds = [
        generator.standard_normal(np.shape(item)) if weighed else None
        for item, weighed in zip(case.data[0][1], _weighed(case), strict=True)
    ]
    gradients = differentiate(native, [values.to_native(item) for item in inputs], places, seeds)

    def loss(moved: Sequence[Data]) -> float:
        with values.inference():
            found = native(*[values.to_native(item) for item in moved])
        outputs = found if isinstance(found, tuple) else (found,)
        return float(
            sum(
                (values.to_numpy(output, "double") * seed).sum()
                for output, seed in zip(outputs, seeds, strict=True)
                if seed is not None
            )
        )

    return [_along(generator, inputs, places, gradients, loss) for _ in range(DIRECTIONS)]


def _double(item: Data) -> Data:
    return item.astype(np.float64) if isinstance(item, np.ndarray) and item.dtype == np.float32 else item


def _along(
    generator: np.random.Generator,
    inputs: list[Data],
    places: list[int],
    gradients: list[np.ndarray],
    loss: Callable[[Sequence[Data]], float],
) -> Slope:
    ways = [generator.standard_normal(inputs[place].shape) for place in places]

    def moved(step: float) -> float:
        given = list(inputs)
        for place, way in zip(places, ways, strict=True):
            given[place] = inputs[place] + step * way
        return loss(given)

    here = moved(0.0)
    sides = [(moved(sign * step) - here) / (sign * step) for step in (STEP, STEP / FINER) for sign in (-1.0, 1.0)]
    claimed = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, ways, strict=True))
    return Slope(claimed, *sides)
