"""ONNX files: read, checked, brought to the opset that assay works in, shapes inferred. Nothing in them is executed."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import inliner, version_converter

from assay.errors import ModelError, NotFoundError
from assay.model import WORKLOAD, Model, lift_constants
from assay.nn.tensor import OPSET
from assay.workloads import WORKLOADS

_OLDEST = 7  # the version converter's adapters start here
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"}


def load_onnx(path: Path) -> Model:
    """The model in an ONNX file, of opset 7 or newer; data outside the file must lie in its folder.

    Raises `NotFoundError` if there is none, `ModelError` if it is malformed, unknown to ONNX, or reaches outside its folder.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    proto = _parse(path)
    _check_external(proto, path)
    _check_operators(proto, path)
    return model_of(proto, path.stem, str(path), path)


def model_of(proto: onnx.ModelProto, name: str, where: str, path: Path | None = None) -> Model:
    """The model in a parsed ONNX file: checked, converted, functions inlined, constants told from parameters."""
    try:
        onnx.checker.check_model(str(path) if path is not None and _has_external(proto) else proto)
        proto = inliner.inline_local_functions(proto) if len(proto.functions) else proto
        proto = _inferred(proto)
        proto = _converted(proto)
        model = ir.from_proto(proto)
        if path is not None:
            ir.external_data.set_base_dir(model.graph, path.parent)
    except ModelError:
        raise
    except (
        Exception
    ) as error:  # the checker, the inliner, the converter and shape inference each have errors of their own
        raise ModelError(f"{where} is not an ONNX model that can be read: {_first_line(error)}") from error
    return _canonical(model, model.graph.name or name)


def _parse(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors, and the operating system's
        raise ModelError(f"{path} is not an ONNX model that can be read: {_first_line(error)}") from error
    if not proto.graph.node and not proto.graph.output:
        raise ModelError(f"{path} holds no graph: expected an ONNX model")
    return proto


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _has_external(proto: onnx.ModelProto) -> bool:
    return any(item.data_location == onnx.TensorProto.EXTERNAL for item in proto.graph.initializer)


def _check_external(proto: onnx.ModelProto, path: Path) -> None:
    """Data outside the file must exist, and lie in the file's own folder."""
    folder = path.parent.resolve()
    for item in proto.graph.initializer:
        if item.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in item.external_data if entry.key == "location"), "")
        place = (folder / location).resolve()
        if not place.is_relative_to(folder):
            raise ModelError(
                f"{path}: the data of {item.name!r} lies at {location!r}, outside the model's folder; nothing there is read"
            )
        if not place.is_file():
            raise ModelError(f"{path}: the data of {item.name!r} should lie in {location!r}, and there is no such file")


def _check_operators(proto: onnx.ModelProto, path: Path) -> None:
    """Every operator that ONNX does not know is named, all at once."""
    versions = {"" if item.domain == "ai.onnx" else item.domain: item.version for item in proto.opset_import}
    functions = {(item.domain, item.name) for item in proto.functions}
    unknown: dict[str, str] = {}
    for node in _nodes(proto.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (node.domain, node.op_type) in functions:
            continue
        name = f"{domain}:{node.op_type}" if domain else node.op_type
        if domain not in _DOMAINS or not onnx.defs.has(node.op_type, domain=domain):
            unknown.setdefault(name, node.name or (node.output[0] if node.output else "?"))
        elif domain not in versions:
            raise ModelError(
                f"{path}: {node.name or node.op_type} is of domain {domain!r}, which the file does not import"
            )
    if unknown:
        listed = ", ".join(f"{name} (node {node!r})" for name, node in unknown.items())
        raise ModelError(f"{path} uses operators that ONNX does not define: {listed}")
    newest = onnx.defs.onnx_opset_version()
    if versions.get("", newest) > newest:
        raise ModelError(
            f"{path} is of opset {versions['']}; the onnx installed here knows up to {newest}: upgrade it (pip install -U onnx)"
        )


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = []
    for node in graph.node:
        found.append(node)
        for item in node.attribute:
            if item.HasField("g"):
                found.extend(_nodes(item.g))
    return found


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with shapes and types, errors in them raised; but not those that ONNX's own definitions make."""
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        named = re.findall(r"op_type:(\w+)", str(error))
        used = {node.op_type for node in _nodes(proto.graph)}
        if len(named) > 1 and named[-1] not in used:  # the error lies inside the definition of an operator
            return onnx.shape_inference.infer_shapes(proto, data_prop=True)
        raise


def _converted(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model in an opset that assay knows. Where nothing it uses has changed since, only the number is new."""
    entry = next((item for item in proto.opset_import if item.domain in ("", "ai.onnx")), None)
    if entry is None:  # operators of other domains only
        proto.opset_import.append(onnx.helper.make_opsetid("", OPSET))
        return proto
    if entry.version >= OPSET:
        return proto
    if all(_unchanged(node, entry.version) for node in _nodes(proto.graph) if node.domain in ("", "ai.onnx")):
        entry.version = OPSET
        return proto
    if entry.version < _OLDEST:
        raise ModelError(
            f"this model is of opset {entry.version}; assay reads opset {_OLDEST} and newer: export it again"
        )
    return version_converter.convert_version(proto, OPSET)


def _unchanged(node: onnx.NodeProto, version: int) -> bool:
    """Whether an operator means the same in the file's opset and in ours. New types alone change no meaning."""
    try:
        old, new = onnx.defs.get_schema(node.op_type, version), onnx.defs.get_schema(node.op_type, OPSET)
    except onnx.defs.SchemaError:
        return False
    return old.since_version == new.since_version or _says_the_same(old, new)


def _says_the_same(old: onnx.defs.OpSchema, new: onnx.defs.OpSchema) -> bool:
    """Whether two versions of an operator differ in the types that they allow only."""

    def signature(schema: onnx.defs.OpSchema) -> tuple[object, ...]:
        attributes = {
            name: (item.type, item.required, str(item.default_value)) for name, item in schema.attributes.items()
        }
        return [item.name for item in schema.inputs], [item.name for item in schema.outputs], attributes

    return signature(old) == signature(new) and old.doc == new.doc


def _canonical(model: ir.Model, name: str) -> Model:
    """Initializers are no inputs; every constant is one initializer of the main graph; nodes have names."""
    from onnx_ir.passes.common import LiftSubgraphInitializersToMainGraphPass, RemoveInitializersFromInputsPass

    RemoveInitializersFromInputsPass()(model)
    LiftSubgraphInitializersToMainGraphPass()(model)
    workload = WORKLOADS.get(model.graph.metadata_props.get(WORKLOAD, ""))
    found = Model(name, model)
    lift_constants(found)
    for number, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph)):
        node.name = node.name or f"{node.op_type.lower()}_{number}"
    if workload is None:
        return found
    return Model(name, model, workload.training(), workload.name, workload.target)
