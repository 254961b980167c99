"""A model as an ONNX file that other tools can check, run and show, and that comes back as it was."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir

from assay.bring.batch_first import spell_out
from assay.errors import ModelError, OutputError
from assay.model import TARGET, TRAINING, WORKLOAD, Model, scope_of
from assay.nn.records import to_data

# A protobuf message holds less than 2 GiB; beside the weights there is room for the graph.
LARGEST_INSIDE = 2_000_000_000  # bytes of weights


def to_onnx(model: Model, path: Path) -> tuple[Path, ...]:
    """Saves the model in evaluation form; returns the files written, the ONNX file first.

    Each node is called after its module (`/layer1/0/conv1/Conv`), and says its modules and their classes in the metadata
    that torch's exporter writes and viewers group by. Names of weights, roles, the training and the workload are kept as
    metadata of assay. Weights of more than 2 GB lie in a file beside it (`NAME.data`). Raises `OutputError` if a file
    cannot be written, `ModelError` if ONNX's own checker does not take the model.
    """
    copy = model.ir.clone()
    copy.graph.name = model.name
    spell_out(copy.graph)
    _name_nodes(model, copy.graph)
    _record(model, copy.graph)
    size = sum(value.const_value.nbytes for value in copy.graph.initializers.values() if value.const_value is not None)
    beside = f"{path.name}.data" if size > LARGEST_INSIDE else None
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".assay-") as temporary:
            staged = Path(temporary) / path.name
            ir.save(copy, staged, external_data=beside)
            _check(staged, model.name)
            written = [path.with_name(name) for name in (beside, path.name) if name is not None]
            for place in written:  # the data first: a file of a model never points to data that are not there
                os.replace(Path(temporary) / place.name, place)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return tuple(reversed(written))


def _check(path: Path, name: str) -> None:
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"{name} is not written as ONNX: ONNX's checker does not take it: {said}") from error


def _record(model: Model, graph: ir.Graph) -> None:
    """What ONNX has no word for."""
    for key in (WORKLOAD, TRAINING, TARGET):
        graph.metadata_props.pop(key, None)
    if model.dataset is not None:
        graph.metadata_props[WORKLOAD] = model.dataset
    if model.training is not None:
        graph.metadata_props[TRAINING] = json.dumps(to_data(model.training))
        graph.metadata_props[TARGET] = model.target


def _name_nodes(model: Model, graph: ir.Graph) -> None:
    """Names and metadata by module, for every node of the graph and of those inside it."""
    taken: dict[str, int] = {}
    for node in ir.traversal.RecursiveGraphIterator(graph):
        paths = [path for path, _ in scope_of(node)] or [""]
        name = "/".join(["", *(_part(part) for part in paths[-1].split(".") if part), node.op_type])
        number = taken.get(name, 0)
        taken[name] = number + 1
        node.name = f"{name}_{number}" if number else name
        classes = [model.modules[path].class_name if path in model.modules else "Module" for path in paths]
        both = [f"{path}: {kind}" for path, kind in zip(paths, classes, strict=True)]
        node.metadata_props["namespace"] = "/".join([*both, f"{node.name.rpartition('/')[2]}: {node.op_type}"])
        node.metadata_props["pkg.torch.onnx.name_scopes"] = repr([*paths, node.name])
        node.metadata_props["pkg.torch.onnx.class_hierarchy"] = repr([*classes, node.op_type])


def _part(text: str) -> str:
    return re.sub(r"[^\w.\-]", "_", text)
