"""Models that are objects or files of a framework: brought by the framework's own folder, found by name."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.errors import ModelError, NotFoundError
from assay.frameworks import Framework, InputSpec, bringing, reading, require
from assay.model import SOURCE, Model

_SPEC = re.compile(r"(\d+(?:x\d+)*)?(?::(\w+))?")


def bring_object(found: Any, inputs: Any, name: str) -> Model | None:
    """The model that an object of some framework is; None if it is of none."""
    framework = bringing(found)
    if framework is None:
        return None
    return _from(
        importlib.import_module(f"assay.frameworks.{framework.name}.bring").bring(found, inputs, name), framework
    )


def load_file(path: Path) -> Model | None:
    """The model in a file of some framework; None if none reads files of this ending."""
    framework = reading(path)
    if framework is None:
        return None
    if not path.exists():
        raise NotFoundError(f"there is no file {path}")
    if all(target.missing() for target in framework.targets):
        require(framework.targets[0])
    name = path.name.removesuffix(path.suffix)
    return _from(importlib.import_module(f"assay.frameworks.{framework.name}.bring").load_file(path, name), framework)


def _from(model: Model, framework: Framework) -> Model:
    model.graph.metadata_props[SOURCE] = framework.name
    return model


def input_specs(texts: Sequence[str]) -> tuple[InputSpec, ...]:
    """`1x3x224x224` and `1x128:int64` as shapes and types."""
    return tuple(_input_spec(text) for text in texts)


def _input_spec(text: str) -> InputSpec:
    found = _SPEC.fullmatch(text.strip())
    if found is None or not found.group(1):
        raise ModelError(
            f"{text!r} is no shape of an input: expected sizes joined by x, as in 1x3x224x224 or 1x128:int64"
        )
    sizes = tuple(int(size) for size in found.group(1).split("x"))
    if 0 in sizes:
        raise ModelError(f"{text!r}: an input without elements shows nothing of a model; give sizes of 1 or more")
    return InputSpec(sizes, found.group(2) or "float32")
