"""Bring: a reference in, a `Model` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import ModelError, NotFoundError, unknown
from assay.workloads import WORKLOADS, find_workload

if TYPE_CHECKING:
    from assay.model import Model

__all__ = ["load"]


def load(reference: Any, *, inputs: Any = None, seed: int = 0) -> Model:
    """A model from whatever names it.

    `reference`: a built-in workload (`"digits-cnn"`); `"file.py:callable"` or `"package.module:callable"` that gives a
    `Model` (`nn.build` makes one) or a module of PyTorch, alone or with an example as `(module, inputs)`; an `.onnx` or
    `.pt2` file; such a module, or a `Model`, itself. `inputs`: an example for a module: an array or tensor, a tuple of
    them, a dict by argument name, or `"1x3x224x224"`, `"1x128:int64"`. `seed` initialises a workload's weights.

    Raises `NotFoundError` if nothing of that name exists, `ModelError` if what is found is not a model. A reference to
    Python code runs that code; an ONNX file is only read.
    """
    from assay.model import Model

    if isinstance(reference, Model):
        return reference
    from assay.bring.native import bring_object, load_file

    inputs = _example(inputs)
    if not isinstance(reference, (str, Path)):
        found = bring_object(reference, inputs, type(reference).__name__)
        if found is None:
            raise ModelError(
                f"cannot bring a {type(reference).__name__}: expected a workload's name, a file, a PyTorch module, or a Model"
            )
        return found
    text = str(reference)
    if text in WORKLOADS:
        return find_workload(text).model(seed)
    if text.endswith(".onnx"):
        from assay.bring.onnx import load_onnx

        return load_onnx(Path(text))
    if ":" in text:
        from assay.bring.neutral import load_callable

        return load_callable(text, inputs)
    if (brought := load_file(Path(text))) is not None:
        return brought
    if Path(text).exists():
        raise NotFoundError(
            f"{text} is not a kind of model file that assay reads: expected an .onnx or .pt2 file, or file.py:callable"
        )
    raise unknown("workload", text, WORKLOADS)


def _example(inputs: Any) -> Any:
    """Shapes written as text become shapes; everything else stays as it is."""
    from assay.bring.native import input_specs

    if isinstance(inputs, str):
        return input_specs([inputs])
    if isinstance(inputs, (tuple, list)) and inputs and all(isinstance(item, str) for item in inputs):
        return input_specs(inputs)
    return None if isinstance(inputs, tuple) and not inputs else inputs
