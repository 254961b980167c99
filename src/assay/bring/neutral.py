"""Models given as Python code: `file.py:callable` and `package.module:callable`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.bring.native import bring_object
from assay.errors import AssayError, ModelError, NotFoundError, unknown
from assay.frameworks import bringing
from assay.model import Model


def load_callable(reference: str, inputs: Any = None) -> Model:
    """Runs the code that a reference names and returns the model that it gives, or that a framework's module given is."""
    found, example = find_object(reference)
    if isinstance(found, Model):
        return found
    name = reference.rpartition(":")[2]
    model = bring_object(found, example if inputs is None else inputs, name)
    assert model is not None  # `find_object` gives nothing else
    return model


def find_object(reference: str) -> tuple[Any, Any]:
    """Runs the code that a reference names; the `Model`, or the live module of some framework, that it is or returns, and
    the example of its inputs if it comes with one."""
    where, _, name = reference.rpartition(":")
    module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where)
    found: Any = getattr(module, name, None)
    if found is None:
        raise unknown(f"attribute of {where}", name, [item for item in vars(module) if not item.startswith("_")])
    if (known := _known(found)) is not None:
        return known
    if not callable(found):
        raise ModelError(f"{reference} is a {type(found).__name__}: expected a model, or a function that returns one")
    given = _called(found, reference)
    if (known := _known(given)) is not None:
        return known
    raise ModelError(
        f"{reference} returned a {type(given).__name__}: expected a module of PyTorch, Flax NNX or "
        "TensorFlow, a Keras model, one of these with its inputs, or a Model; "
        "nn.build(module, inputs) makes one from a module of assay.nn"
    )


def _known(found: Any) -> tuple[Any, Any] | None:
    """A model, or a framework's module, alone or with an example of its inputs; None for anything else."""
    if isinstance(found, tuple) and len(found) == 2 and bringing(found[0]) is not None:
        return found
    return (found, None) if isinstance(found, Model) or bringing(found) is not None else None


def _called(function: Any, reference: str) -> Any:
    try:
        return function()
    except AssayError:
        raise
    except TypeError as error:
        raise ModelError(f"{reference} could not be called without arguments: {error}") from error
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"{reference} raised {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    return _run(module, spec.loader.exec_module, str(path))


def _import_module(name: str) -> ModuleType:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise NotFoundError(f"there is no module {name!r} to import: give package.module:callable or file.py:callable")
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ModelError(f"importing {name} raised {type(error).__name__}: {error}") from error


def _run(module: ModuleType, execute: Any, where: str) -> ModuleType:
    try:
        execute(module)
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"running {where} raised {type(error).__name__}: {error}") from error
    return module
