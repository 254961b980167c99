"""ONNX files: read, checked, brought to the opset that assay works in, shapes inferred. Nothing in them is executed."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from assay.errors import ModelError, NotFoundError
from assay.model import WORKLOAD, Model
from assay.nn.tensor import OPSET
from assay.workloads import WORKLOADS


def load_onnx(path: Path) -> Model:
    """The model in an ONNX file. Raises `NotFoundError` if there is none, `ModelError` if it is malformed."""
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    try:
        proto = onnx.load(path)
        if not proto.graph.node:
            raise ModelError(f"{path} holds no graph: expected an ONNX model")
        if _opset(proto) < OPSET:
            proto = onnx.version_converter.convert_version(proto, OPSET)
        onnx.checker.check_model(proto)
        proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        model = ir.from_proto(proto)
    except ModelError:
        raise
    except Exception as error:  # the protobuf parser, the checker and the converter each have errors of their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path} is not an ONNX model that can be read: {first}") from error
    name = model.graph.name or path.stem
    workload = WORKLOADS.get(model.graph.metadata_props.get(WORKLOAD, ""))
    if workload is None:
        return Model(name, model)
    return Model(name, model, workload.training(), workload.name, workload.target)


def _opset(proto: onnx.ModelProto) -> int:
    return max((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), default=0)
