"""The first node at which a written model goes wrong, and the line that computes it.

For outputs: the model is written once more with the result of every call as an output, run in the same mode, and compared
call by call with the oracle. For gradients, which flow backwards: the parameter nearest to the loss whose gradient
differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay.errors import AssayError
from assay.frameworks.base import Contestant
from assay.graph.calls import Call, calls_of
from assay.model import LINE, Model, scope_of
from assay.prove import tolerance
from assay.prove.evidence import Evidence
from assay.prove.oracle import evaluate
from assay.prove.result import Divergence, Proof
from assay.prove.results import deviation
from assay.write import Package, write

Run = Callable[[Contestant, Path, Path], list[np.ndarray]]


def bisect(
    model: Model,
    contestant: Contestant,
    package: Package,
    evidence: Evidence,
    folder: Path,
    proof: Proof,
    run: Run,
) -> Divergence | None:
    """Where a contestant that is different diverges first, or None if that cannot be found out.

    `run` computes a package's float64 outputs in a contestant's mode: (contestant, package folder, evidence) → arrays.
    """
    wrong = next((check for check in proof.checks if check.status == "different"), None)
    if wrong is None:
        return None
    if wrong.check == "outputs":
        return _by_outputs(model, contestant, package, evidence, folder, run)
    if wrong.tensor is not None:
        return _by_parameter(model, package, wrong.tensor, wrong.error or 0.0)
    return None


def _by_outputs(
    model: Model, contestant: Contestant, package: Package, evidence: Evidence, folder: Path, run: Run
) -> Divergence | None:
    calls = [call for call in calls_of(model) if call.outputs and call.outputs[0] is not None]
    names = [call.y.name or "" for call in calls]
    inputs = {value.name or "": array for value, array in zip(model.graph.inputs, evidence.inputs, strict=True)}
    expected = evaluate(model, inputs, names)
    try:
        exposed = write(_exposing(model, names), contestant.target)
        place = exposed.save(folder / f"bisect-{contestant.name.replace('/', '-').replace(':', '-')}")
        actual = run(contestant, place, folder / "evidence.npz")
    except AssayError:
        return None
    for call, value, truth in zip(calls, actual, expected, strict=False):
        error = deviation(value, truth)
        if error > tolerance.OUTPUTS:
            return _with_values(_divergence(model, call, package, error), value, truth)
    return None


def _with_values(found: Divergence, value: np.ndarray, truth: np.ndarray) -> Divergence:
    """The divergence with the element that is furthest off; one that is not a number comes first."""
    if value.shape != truth.shape or not value.size:
        return found
    distance = np.abs(value.astype(np.float64) - truth.astype(np.float64))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(distance), np.inf, distance))), truth.shape)
    index = tuple(int(number) for number in place)
    return replace(found, expected=float(truth[index]), found=float(value[index]), index=index)


def _exposing(model: Model, names: list[str]) -> Model:
    """The model with these values as its outputs, and without training."""
    copy = model.ir.clone()
    by_name = {output.name: output for node in copy.graph for output in node.outputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(by_name[name] for name in names)
    return replace(model, ir=copy, training=None, _modules=dict(model.modules))


def _by_parameter(model: Model, package: Package, tensor: str, error: float) -> Divergence | None:
    for call in calls_of(model):
        if any(value.name == tensor for value in [*call.weights.values(), *call.inputs] if isinstance(value, ir.Value)):
            return _divergence(model, call, package, error)
    return None


def _divergence(model: Model, call: Call, package: Package, error: float) -> Divergence:
    node = call.nodes[-1]
    number = _line_number(package, [item.name or "" for item in call.nodes])
    path = scope_of(node)[-1][0] if scope_of(node) else ""
    info = model.modules.get(path)
    return Divergence(
        node.name or "",
        node.op_type,
        error,
        "model.py" if number else None,
        number,
        _text(package, number),
        module=f"{path} ({info.class_name})" if path and info is not None else path or None,
        origin=next((item.metadata_props[LINE] for item in call.nodes if LINE in item.metadata_props), None),
    )


def line_of(package: Package, node: str) -> str | None:
    """The written line that computes a node."""
    return _text(package, _line_number(package, [node]))


def _line_number(package: Package, nodes: Sequence[str]) -> int | None:
    return next((line for line, members in package.lines.items() if set(nodes) & set(members)), None)


def _text(package: Package, number: int | None) -> str | None:
    return package.files["model.py"].splitlines()[number - 1].strip() if number is not None else None
