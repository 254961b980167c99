"""ONNX files: read, checked, brought to the opset that assay works in, shapes inferred. Nothing in them is executed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import inliner

from assay.bring.batch_first import restore
from assay.bring.checks import check_operators, check_sizes, check_tensors, has_external, make_printable, nodes_of
from assay.bring.opsets import upgrade
from assay.errors import ModelError, NotFoundError
from assay.model import TARGET, TRAINING, WORKLOAD, Model, lift_constants, scope_of
from assay.nn.records import from_data
from assay.nn.tensor import OPSET
from assay.workloads import WORKLOADS

_IR_VERSION = 11  # of files that assay saves: initializers need not be inputs


def load_onnx(path: Path) -> Model:
    """The model in an ONNX file, of opset 6 or newer; data outside the file must lie in its folder.

    Raises `NotFoundError` if there is none, `ModelError` if it is malformed, unknown to ONNX, or reaches outside its folder.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    proto = _parse(path)
    check_tensors(proto, str(path), path.parent)
    check_operators(proto, str(path))
    return model_of(proto, path.stem, str(path), path)


def model_of(proto: onnx.ModelProto, name: str, where: str, path: Path | None = None) -> Model:
    """The model in a parsed ONNX file: checked, converted, functions inlined, constants told from parameters."""
    try:
        check_sizes(proto, where)
        _check(proto, path)
        proto = _at_our_opset(proto)
        check_sizes(proto, where, inferred=True)
        model = ir.from_proto(proto)
        if path is not None:
            ir.external_data.set_base_dir(model.graph, path.parent)
        return _canonical(model, model.graph.name or name)
    except ModelError as error:
        raise ModelError(str(error) if where in str(error) else f"{where}: {error}") from error
    except Exception as error:  # the checker, the inliner, shape inference and the reader each have errors of their own
        raise ModelError(f"{where} is not an ONNX model that can be read: {_one_line(error)}") from error


def _check(proto: onnx.ModelProto, path: Path | None) -> None:
    """ONNX's own check of the form, but for two things that it wants beyond the specification.

    Many files leave the shapes of outputs to be inferred, and functions may be of another opset than the model.
    """
    try:
        onnx.checker.check_model(str(path) if path is not None and has_external(proto) else proto)
    except onnx.checker.ValidationError as error:
        if not any(
            text in str(error) for text in ("Field 'shape' of 'type' is required", "FunctionOp imports version")
        ):
            raise


def _parse(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors, and the operating system's
        raise ModelError(f"{path} is not an ONNX model that can be read: {_one_line(error)}") from error
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{path} holds no graph: expected an ONNX model")
    return proto


def _one_line(error: Exception) -> str:
    """What an error says, without the lines and addresses that only help who wrote the checker."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"^(\S*\.(h|cc|cpp):\d+: \S+: )+", "", text)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _at_our_opset(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions, in our opset, with shapes."""
    versions = {item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")}
    own = [item.version for function in proto.functions for item in function.opset_import if item.domain == ""]
    if not versions:  # operators of other domains only
        proto.opset_import.append(onnx.helper.make_opsetid("", max(own, default=OPSET)))
    if versions.issuperset(own) and proto.functions:
        proto = inliner.inline_local_functions(proto)
    proto = _inferred(proto)
    if min(versions | set(own), default=OPSET) >= OPSET and not proto.functions:
        return proto
    model = ir.from_proto(proto)
    changed = upgrade(model, OPSET)
    proto = ir.to_proto(model)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
        changed = True
    if not changed:
        return proto
    del proto.graph.value_info[:]  # what the old operators gave: a mask of Dropout was a float once
    return _inferred(proto)


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with shapes and types, errors in them raised; but not those that ONNX's own definitions make."""
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        named = re.findall(r"op_type:(\w+)", str(error))
        used = {node.op_type for node in nodes_of(proto)}
        if len(named) > 1 and named[-1] not in used:  # the error lies inside the definition of an operator
            return onnx.shape_inference.infer_shapes(proto, data_prop=True)
        raise


def _canonical(model: ir.Model, name: str) -> Model:
    """Initializers are no inputs; every constant is one initializer of the main graph; nodes have names."""
    from onnx_ir.passes.common import LiftSubgraphInitializersToMainGraphPass, RemoveInitializersFromInputsPass

    RemoveInitializersFromInputsPass()(model)
    LiftSubgraphInitializersToMainGraphPass()(model)
    found = Model(name, model)
    lift_constants(found)
    restore(model.graph)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    for number, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph)):
        node.name = node.name or f"{node.op_type.lower()}_{number}"
    make_printable(found)
    _check_structure(found)
    return _with_training(found)


def _with_training(model: Model) -> Model:
    """The model with the training and the workload that a file of assay's own names."""
    said = model.graph.metadata_props
    workload = WORKLOADS.get(said.get(WORKLOAD, ""))
    target = said.get(TARGET, workload.target if workload is not None else Model.target)
    if not target.isidentifier():
        raise ModelError(f"the targets noted in its metadata are called {target!r}: expected an identifier")
    if TRAINING not in said:
        training = workload.training() if workload is not None else None
    else:
        try:
            training = from_data(json.loads(said[TRAINING]))
        except ValueError as error:
            raise ModelError(
                f"the training noted in its metadata is damaged: {error}; remove the entry {TRAINING}"
            ) from error
    return replace(model, training=training, dataset=workload.name if workload is not None else None, target=target)


def _check_structure(model: Model) -> None:
    """What assay itself has noted in a file must be as assay notes it."""
    try:
        for node in model.graph:
            scope_of(node)
        names = [name for info in model.modules.values() for name in (info.class_name, *info.arguments)]
        wrong = next((name for name in names if not name.isidentifier()), None)
        _ = model.structure
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError("the module structure noted in its metadata is damaged: remove the entries assay.*") from error
    if wrong is not None:
        raise ModelError(f"the module structure noted in its metadata names {wrong!r}: expected an identifier")
