"""The frameworks, by name; found, never imported."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from assay.errors import FrameworkMissing, unknown
from assay.frameworks.base import Contestant, Framework, InputSpec, Target

__all__ = [
    "Contestant",
    "Framework",
    "InputSpec",
    "Target",
    "bringing",
    "find",
    "frameworks",
    "installed_versions",
    "reading",
    "require",
    "target",
]

_BUILT_IN = ("pytorch", "tensorflow", "keras", "jax")


@lru_cache
def frameworks() -> dict[str, Framework]:
    """Every framework that assay knows, built in or plugged in through `assay.frameworks`; none is imported."""
    found = {name: importlib.import_module(f"assay.frameworks.{name}").FRAMEWORK for name in _BUILT_IN}
    for entry in entry_points(group="assay.frameworks"):
        framework = entry.load()
        if framework.name in found:
            raise ValueError(f"two frameworks are named {framework.name!r}; the second is {entry.value}")
        found[framework.name] = framework
    return found


def find(name: str) -> Framework:
    """The framework of this name, or an error with the nearest names."""
    known = frameworks()
    if name not in known:
        raise unknown("framework", name, known)
    return known[name]


def target(name: str) -> Target:
    """`"jax"` → its only target; `"keras/jax"` → that backend; `"keras"` → its default backend."""
    framework_name, _, backend = name.partition("/")
    framework = find(framework_name)
    if not backend:
        return framework.targets[0]
    for candidate in framework.targets:
        if candidate.backend == backend:
            return candidate
    raise unknown("framework", name, [candidate.name for candidate in framework.targets])


def bringing(found: object) -> Framework | None:
    """The framework that an object is a model of, told by the names of its classes; nothing is imported."""
    # The most derived class decides: on its torch backend, a layer of Keras is a module of PyTorch too.
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(found).__mro__)
    known = {name: framework for framework in frameworks().values() for name in framework.brings}
    return next((known[name] for name in names if name in known), None)


def reading(path: Path) -> Framework | None:
    """The framework that reads files with this ending, or folders that hold what this one does."""
    for item in frameworks().values():
        if (item.files and path.name.endswith(item.files)) or (item.folder and (path / item.folder).is_file()):
            return item
    return None


def require(chosen: Target) -> None:
    """Raises `FrameworkMissing`, with the command that installs it, if the target cannot run here."""
    if absent := chosen.missing():
        extra = find(chosen.framework).extra
        needs = {"tensorflow": "tensorflow", "jax": "jax", "torch": "pytorch"}
        extras = ",".join(dict.fromkeys([extra, needs[chosen.backend]])) if chosen.backend else extra
        raise FrameworkMissing(
            f"{chosen.name} needs {' and '.join(absent)}, not installed here: run  pip install 'assay[{extras}]'"
        )


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Distribution → version, for those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
