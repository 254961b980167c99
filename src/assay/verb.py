"""A stage's folder that can be called: `assay.write(model, "jax")` and `import assay.write.weights` both work."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A module whose call is that of one function, named `__verb__` in it as `module:function`."""

    __verb__: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self.__verb__.partition(":")
        return getattr(importlib.import_module(module), name)(*arguments, **options)


def make_callable(module: str, verb: str) -> None:
    """Makes an imported module callable; `verb` is what a call of it does, `module:function`."""
    found = sys.modules[module]
    found.__class__ = Verb
    assert isinstance(found, Verb)
    found.__verb__ = verb
