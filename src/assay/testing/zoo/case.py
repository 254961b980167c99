"""A model of the zoo, and where it comes from."""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np

from assay.errors import FrameworkMissing, NotFoundError, unknown
from assay.nn.losses import CrossEntropy, Loss

Batch = Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Made:
    """A model, made in its source's process, and how it is called and trained."""

    model: Any  # an object that `assay.load` takes
    example: Any = None  # of its inputs, as `assay.load(…, inputs=…)` takes them
    loss: Loss = field(default=CrossEntropy())  # of the first output
    batch: Batch | None = None  # the model's inputs, in the graph's order; None: random ones of the graph's shapes


@dataclass(frozen=True)
class Case:
    """A model by name. `make` runs in the source's process, with the seed set."""

    name: str
    make: Callable[[], Made]
    remark: str = ""  # what is not as the source has it by default, such as the size of the image
    examples: int = 4  # in a batch of the proof


class Source(Protocol):
    """A module of `assay.testing.zoo`."""

    FRAMEWORK: str
    DISTRIBUTIONS: tuple[str, ...]
    ENVIRONMENT: Mapping[str, str]

    def cases(self) -> tuple[Case, ...]:
        """Every model of the source that is tried."""
        ...


def find_source(name: str) -> Source:
    """A module of this folder by name, or the one in a `.py` file; an error with the nearest names."""
    if name.endswith(".py"):
        return cast(Source, _in_file(Path(name)))
    package = importlib.import_module("assay.testing.zoo")
    known = {
        item.name: importlib.import_module(f"{package.__name__}.{item.name}")
        for item in pkgutil.iter_modules(package.__path__)
    }
    sources = {name: module for name, module in known.items() if hasattr(module, "cases")}
    if name not in sources:
        raise unknown("source", name, sources)
    return cast(Source, sources[name])


def _in_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NotFoundError(f"there is no source {path}: give a .py file that has cases()")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def require(source: Source) -> None:
    """Raises `FrameworkMissing` if the source's own distributions are not installed."""
    from assay.frameworks import installed_versions

    absent = [item for item in source.DISTRIBUTIONS if item not in installed_versions(source.DISTRIBUTIONS)]
    if absent:
        raise FrameworkMissing(f"this needs {' and '.join(absent)}, not installed here: run  pip install 'assay[zoo]'")


def choose(cases: Sequence[Case], patterns: Sequence[str], part: tuple[int, int] | None = None) -> list[Case]:
    """The cases whose names match these shell patterns, in the order of the patterns (all without one); of those, every n-th
    from the k-th on.

    Raises `NotFoundError` for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in cases):
            raise NotFoundError(f"no case matches {pattern!r}: {', '.join(case.name for case in cases[:5])}, …")
    found = {case.name: case for item in patterns or ["*"] for case in cases if fnmatch.fnmatchcase(case.name, item)}
    chosen = list(found.values())
    return chosen if part is None else chosen[part[0] % part[1] :: part[1]]
