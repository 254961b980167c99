"""What PyTorch written from PyTorch has to keep: the names and shapes of the state_dict, and about the size of the code."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from torch import nn

from assay.verbs.convert import code_lines
from assay.write import Package

_SHOWN = 12  # names of each kind in the results


def kept(original: nn.Module, package: Package) -> dict[str, Any]:
    """Whether the written module loads the original's state_dict with `strict=True`, and what is in the way; the lines of
    code of both, without comments and docstrings, where the original's source can be read.
    """
    written = package.load()
    own, other = original.state_dict(), written.state_dict()
    shapes = [name for name in own if name in other and own[name].shape != other[name].shape]
    absent = {
        "missing": [name for name in other if name not in own],  # wanted by the written module, not in the original
        "unexpected": [name for name in own if name not in other],
        "shapes": [f"{name}: {tuple(own[name].shape)}, written {tuple(other[name].shape)}" for name in shapes],
    }
    found: dict[str, Any] = {"strict": not any(absent.values())}
    if found["strict"]:
        written.load_state_dict(own, strict=True)
    found |= {kind: names[:_SHOWN] for kind, names in absent.items() if names}
    found["code_lines"] = code_lines(package.files["model.py"])
    if (lines := _lines_of(original)) is not None:
        found["original_code_lines"] = lines
    return found


def _lines_of(original: nn.Module) -> int | None:
    """The lines of the classes that the original is made of, with those that they inherit from; but torch's own."""
    classes = {base for part in original.modules() for base in type(part).__mro__ if base.__module__ != "builtins"}
    own = [item for item in classes if item.__module__.partition(".")[0] != "torch" and issubclass(item, nn.Module)]
    generic = ("transformers.modeling_utils", "transformers.modeling_layers", "transformers.integrations")
    own = [item for item in own if not item.__module__.startswith(generic)]
    try:
        return sum(code_lines(textwrap.dedent(inspect.getsource(item))) for item in own) or None
    except (OSError, TypeError, SyntaxError):
        return None
