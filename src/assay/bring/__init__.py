"""Bring: a reference in, a `Model` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import ModelError, NotFoundError, unknown
from assay.workloads import WORKLOADS, find_workload

if TYPE_CHECKING:
    from assay.model import Model

__all__ = ["load"]


def load(
    reference: Any,
    *,
    inputs: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> Model:
    """A model from whatever names it, with its training if a loss is given.

    `reference`: a built-in workload (`"digits-cnn"`); `"file.py:callable"` or `"package.module:callable"` that gives a
    `Model` (`nn.build` makes one), a module of PyTorch, Flax NNX or TensorFlow, a `tf.function` or a model of Keras, alone
    or with an example as `(module, inputs)`; an `.onnx`, `.pt2` or `.keras` file or the folder of a SavedModel; such a
    module, or a `Model`, itself. `inputs`: an example
    for a module: an array or tensor, a tuple of them, a dict by argument name, or `"1x3x224x224"`, `"1x128:int64"`.
    `loss`: `"cross-entropy"`, `"huber:delta=0.5"`, of a model with several outputs the first, or the one named
    (`"cross-entropy:output=logits"`); an object of `assay.nn` or of `torch.nn`; `optimizer`:
    `"adamw:learning_rate=1e-3"`, one of `assay.nn` or of `torch.optim`. `seed` initialises a workload's weights.

    Raises `NotFoundError` if nothing of that name exists, `ModelError` if what is found is not a model. A reference to
    Python code runs that code; an ONNX file is only read.
    """
    model = _load(reference, inputs, seed)
    if loss is None:
        if optimizer is not None:
            raise ModelError("an optimizer without a loss has nothing to work on: give a loss too, as cross-entropy")
        return model
    from assay.bring.training import BATCH_SIZE, output_of, training_of

    loss, output = output_of(loss)
    training, notes = training_of(loss, optimizer, batch_size or BATCH_SIZE, seed)
    return model.trained_by(training, notes, output)


def _load(reference: Any, inputs: Any, seed: int) -> Model:
    from assay.model import Model

    if isinstance(reference, Model):
        return reference
    from assay.bring.native import bring_object, load_file

    inputs = _example(inputs)
    if not isinstance(reference, (str, Path)):
        found = bring_object(reference, inputs, type(reference).__name__)
        if found is None:
            raise ModelError(
                f"cannot bring a {type(reference).__name__}: expected a workload's name, a file, "
                "a module of PyTorch, Flax NNX or TensorFlow, a Keras model, or a Model"
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
            f"{text} is not a kind of model file that assay reads: expected an .onnx, .pt2 or .keras file, "
            "the folder of a SavedModel, or file.py:callable"
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
