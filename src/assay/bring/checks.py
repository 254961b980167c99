"""What may be wrong with a file that comes from outside, told before anything is done with it."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from assay.errors import ModelError
from assay.model import Model

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"}
_LARGEST = 1 << 36  # elements of a tensor: more than any machine holds


# Operators ------------------------------------------------------------------------------------------------------------


def check_operators(proto: onnx.ModelProto, where: str) -> None:
    """Every operator that ONNX does not know is named, all at once."""
    versions = {_domain(item.domain): item.version for item in proto.opset_import}
    newest = onnx.defs.onnx_opset_version()
    if versions.get("", newest) > newest:
        raise ModelError(
            f"{where} is of opset {versions['']}; the onnx installed here knows up to {newest}: upgrade it (pip install -U onnx)"
        )
    if versions.get("", 1) < 1:
        raise ModelError(f"{where} is of opset {versions['']}: there is no such version")
    functions = {(_domain(item.domain), item.name) for item in proto.functions}
    unknown: dict[str, str] = {}
    for node in nodes_of(proto):
        domain = _domain(node.domain)
        if (domain, node.op_type) in functions:
            continue
        name = f"{domain}:{node.op_type}" if domain else node.op_type
        node_name = node.name or (node.output[0] if node.output else "?")
        if domain not in _DOMAINS or not onnx.defs.has(node.op_type, domain=domain):
            unknown.setdefault(name, node_name)
        elif domain not in versions:
            raise ModelError(f"{where}: {node_name!r} is of domain {domain!r}, which the file does not import")
    if unknown:
        listed = ", ".join(f"{name!r} (node {node!r})" for name, node in unknown.items())
        raise ModelError(f"{where} uses operators that ONNX does not define: {listed}")


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def nodes_of(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of the model: those of subgraphs and functions too."""
    waiting = deque([*proto.graph.node, *(node for function in proto.functions for node in function.node)])
    while waiting:
        node = waiting.popleft()
        yield node
        for item in node.attribute:
            for graph in [*([item.g] if item.HasField("g") else []), *item.graphs]:
                waiting.extend(graph.node)


def graphs_of(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every subgraph."""
    yield proto.graph
    for node in nodes_of(proto):
        for item in node.attribute:
            yield from [*([item.g] if item.HasField("g") else []), *item.graphs]


# Tensors --------------------------------------------------------------------------------------------------------------


def tensors_of(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every array in the file, wherever it stands."""
    for graph in graphs_of(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes_of(proto):
        for item in node.attribute:
            yield from [*([item.t] if item.HasField("t") else []), *item.tensors]
            for sparse in [*([item.sparse_tensor] if item.HasField("sparse_tensor") else []), *item.sparse_tensors]:
                yield from (sparse.values, sparse.indices)


def has_external(proto: onnx.ModelProto) -> bool:
    return any(item.data_location == onnx.TensorProto.EXTERNAL for item in tensors_of(proto))


def check_tensors(proto: onnx.ModelProto, where: str, folder: Path) -> None:
    """Sizes are sensible; data outside the file exists, is long enough, and lies in the file's own folder."""
    for item in tensors_of(proto):
        if any(size < 0 for size in item.dims) or math.prod(item.dims) > _LARGEST:
            raise ModelError(f"{where}: the tensor {item.name!r} of shape {tuple(item.dims)} cannot exist")
        if item.data_location == onnx.TensorProto.EXTERNAL:
            _check_place(item, where, folder.resolve())


def _check_place(item: onnx.TensorProto, where: str, folder: Path) -> None:
    entries = {entry.key: entry.value for entry in item.external_data}
    location = entries.get("location", "")
    try:
        place = (folder / location).resolve()
        exists = place.is_file()
    except (OSError, ValueError):  # a name that no file can have
        raise ModelError(f"{where}: the data of {item.name!r} lies at {location!r}, which is no file's name") from None
    if not place.is_relative_to(folder):
        raise ModelError(
            f"{where}: the data of {item.name!r} lies at {location!r}, outside the model's folder; nothing there is read"
        )
    if not location or not exists:
        raise ModelError(f"{where}: the data of {item.name!r} should lie in {location!r}, and there is no such file")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        needed = math.ceil(math.prod(item.dims) * ir.DataType(item.data_type).bitwidth / 8)
    except (ValueError, TypeError):
        raise ModelError(f"{where}: the place of the data of {item.name!r} in {location!r} makes no sense") from None
    if offset < 0 or length < 0 or length not in (0, needed) or offset + needed > place.stat().st_size:
        raise ModelError(
            f"{where}: the data of {item.name!r} ({needed} bytes from {offset} on) does not lie in {location!r}, "
            f"which has {place.stat().st_size} bytes"
        )


def check_sizes(proto: onnx.ModelProto, where: str, inferred: bool = False) -> None:
    """No value is negative in size, or larger than any machine holds.

    Inference itself makes negative sizes, in branches that are never run.
    """
    for graph in graphs_of(proto):
        for value in [*graph.input, *graph.output, *graph.value_info]:
            if value.type.WhichOneof("value") != "tensor_type":
                continue
            sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.HasField("dim_value")]
            if (any(size < 0 for size in sizes) and not inferred) or math.prod(sizes) > _LARGEST:
                maker = next((node for node in graph.node if value.name in node.output), None)
                made = f" (made by {maker.op_type} {maker.name!r})" if maker is not None else ""
                raise ModelError(f"{where}: {value.name!r}{made} of shape {tuple(sizes)} cannot exist")


# Names ----------------------------------------------------------------------------------------------------------------


def make_printable(model: Model) -> None:
    """Names become text that can stand in a message, a comment or a document: no line breaks, no control characters."""
    graphs = [model.graph, *model.graph.subgraphs()]
    values: dict[int, ir.Value] = {}
    for graph in graphs:
        for node in graph:
            node.name = _printable(node.name or "")
        own = [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]
        values |= {id(value): value for value in own}
    taken = {value.name for value in values.values()}
    sizes: dict[str, str] = {}
    for value in values.values():
        if value.name and not value.name.isprintable():
            plain = name = _printable(value.name)
            while name in taken:
                name = f"{plain}_{len(taken)}"
            taken.add(name)
            value.name = name
        _make_sizes_printable(value, sizes)


def _make_sizes_printable(value: ir.Value, sizes: dict[str, str]) -> None:
    """The names of sizes that are known only when the model runs stand in comments."""
    if value.shape is None or value.shape.is_static():
        return
    found: list[int | str | None] = []
    for dim in value.shape:
        name = dim if isinstance(dim, int) else dim.value
        if isinstance(name, str) and name not in sizes:
            plain = re.sub(r"[^\w+*/(). -]+", "_", name)[:40]
            sizes[name] = plain if plain not in sizes.values() else f"{plain}_{len(sizes)}"
        found.append(sizes[name] if isinstance(name, str) else name)
    value.shape = ir.Shape(found)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "_" for character in name)
