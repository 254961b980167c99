"""Bring: a reference in, a `Model` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import ModelError, NotFoundError, unknown
from assay.workloads import WORKLOADS, find_workload

if TYPE_CHECKING:
    from assay.model import Model

__all__ = ["load"]


def load(reference: Any, *, seed: int = 0) -> Model:
    """A model from whatever names it.

    `reference`: a built-in workload (`"digits-cnn"`), `"file.py:callable"` or `"package.module:callable"` that gives a
    `Model` (`nn.build` makes one), an `.onnx` file, or a `Model` itself. `seed` initialises a workload's weights.

    Raises `NotFoundError` if nothing of that name exists, `ModelError` if what is found is not a model. A reference to
    Python code runs that code; an ONNX file is only read.
    """
    from assay.model import Model

    if isinstance(reference, Model):
        return reference
    if not isinstance(reference, (str, Path)):
        raise ModelError(f"cannot bring a {type(reference).__name__}: expected a workload's name, a file, or a Model")
    text = str(reference)
    if text in WORKLOADS:
        return find_workload(text).model(seed)
    if text.endswith(".onnx"):
        from assay.bring.onnx import load_onnx

        return load_onnx(Path(text))
    if ":" in text:
        from assay.bring.neutral import load_callable

        return load_callable(text)
    if Path(text).exists():
        raise NotFoundError(
            f"{text} is not a kind of model file that assay reads: expected an .onnx file, or file.py:callable"
        )
    raise unknown("workload", text, WORKLOADS)
