"""Named environments: what the user asked for, made, and the contestants that run in them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.errors import DataError, FrameworkMissing, unknown
from assay.frameworks import Contestant, Framework, Target, frameworks
from assay.measure.venvs import Environment, Wanted, provide
from assay.verbs.contestants import Field, choose, targets_of, wanted_mode

HERE = "here"  # the environment that assay itself runs in


def read_wanted(texts: Sequence[str], file: Path | None = None) -> tuple[tuple[Wanted, ...], bool]:
    """`("0.9=jax==0.9.*,flax", "here")` and a TOML file of names and lists → environments, and whether `here` is one."""
    found = [_parsed(text) for text in texts if text != HERE]
    found += _of_file(file) if file is not None else []
    names = [item.name for item in found]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise DataError(f"environments given twice: {', '.join(sorted(doubled))}")
    return tuple(map(_with_companions, found)), HERE in texts


def _parsed(text: str) -> Wanted:
    name, sign, rest = text.partition("=")
    if not sign or not rest or rest.startswith("="):
        raise DataError(f"--env {text}: expected a name and packages, as --env 0.9=jax==0.9.*,flax, or --env {HERE}")
    # Commas also stand within a requirement: jax>=0.9,<0.10 and jax[cuda12,k8s].
    parts = re.split(r",(?=\s*[A-Za-z])(?![^\[]*\])", rest)
    return Wanted(name, tuple(part.strip() for part in parts if part.strip()))


def _of_file(file: Path) -> list[Wanted]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    found = []
    for name, packages in content.items():
        if not isinstance(packages, list) or not all(isinstance(item, str) for item in packages):
            raise DataError(f'{file}: {name} should be a list of packages, as  "{name}" = ["jax==0.9.*"]')
        found.append(Wanted(name, tuple(packages)))
    if not found:
        raise DataError(f'{file} names no environment; expected lines as  "0.9" = ["jax==0.9.*"]')
    return found


def _with_companions(wanted: Wanted) -> Wanted:
    """With what the written code of its frameworks needs beside them, where the user did not say which."""
    needed = [
        name
        for framework in frameworks().values()
        if framework.name in map(_plain, wanted.distributions)
        for name in framework.companions
        if name not in wanted.distributions
    ]
    return Wanted(wanted.name, (*wanted.requirements, *needed))


def _plain(distribution: str) -> str:
    """The framework that a distribution is the main one of: torch → pytorch."""
    for framework in frameworks().values():
        if distribution in _main(framework):
            return framework.name
    return ""


def _main(framework: Framework) -> list[str]:
    return [name for name in framework.distributions if name not in framework.companions]


def choose_in(
    wanted: Sequence[Wanted],
    here: bool,
    names: Sequence[str] | None,
    modes: Sequence[str] | None,
    tell: Callable[[str], None],
) -> Field:
    """The contestants of every environment, which is made if need be; `here` adds the installed ones of their targets.

    Raises `FrameworkMissing` if an environment holds no framework that was asked for.
    """
    chosen = targets_of(names)
    modules = sorted({module for target in chosen for module in target.modules})
    made = tuple(provide(item, modules, tell) for item in wanted)
    found: list[Contestant] = []
    targets: dict[str, Target] = {}
    for item, environment in zip(wanted, made, strict=True):
        held = [target for target in chosen if _holds(item, environment, target)]
        if not held:
            raise FrameworkMissing(_nothing_in(environment, chosen))
        targets |= {target.name: target for target in held}
        found += [
            Contestant(target.framework, mode, target.backend, environment.name)
            for target in held
            for mode in target.modes
            if wanted_mode(mode, target, modes)
        ]
    if not found:
        known = sorted({mode for target in targets.values() for mode in target.modes} | {"default"})
        raise unknown("mode", ", ".join(modes or ()), known)
    installed = choose(tuple(targets), modes) if here else None
    found = [*(installed.contestants if installed else ()), *found]
    first = {name for target in targets.values() for name in (target.modes[0],)}
    ordered = sorted(found, key=lambda one: one.mode not in first)
    return Field(tuple(ordered), (), installed.absent if installed else (), made)


def _holds(wanted: Wanted, environment: Environment, target: Target) -> bool:
    """Whether a target can run there, and was meant: its framework is among the packages that were asked for."""
    framework = frameworks()[target.framework]
    meant = any(name in _main(framework) for name in wanted.distributions)
    return meant and all(module in environment.modules for module in target.modules)


def _nothing_in(environment: Environment, chosen: Sequence[Target]) -> str:
    lacking = {target.name: [m for m in target.modules if m not in environment.modules] for target in chosen}
    nearest = ", ".join(f"{name} would need {' and '.join(absent)}" for name, absent in lacking.items() if absent)
    asked = ", ".join(environment.requirements)
    return (
        f"environment {environment.name} ({asked}) holds no framework that was asked for"
        f"{f': {nearest}' if nearest else ''}; name the framework's own package, as {environment.name}=jax==0.9.*"
    )
