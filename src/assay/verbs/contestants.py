"""Which contestants take part: from what the user asked for and what is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import FrameworkMissing, unknown
from assay.frameworks import Contestant, Target, find, frameworks, require
from assay.measure.venvs import Environment


@dataclass(frozen=True)
class Absent:
    """A target that was asked for and cannot run here."""

    target: str
    reason: str
    command: str | None


@dataclass(frozen=True)
class Field:
    """Who takes part, default modes first, and who cannot."""

    contestants: tuple[Contestant, ...]
    first_wave: tuple[str, ...]  # each framework in its default mode
    absent: tuple[Absent, ...]
    environments: tuple[Environment, ...] = ()  # those that contestants name
    variants: tuple[Contestant, ...] = ()  # with other numbers than the model's: measured, not ranked

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item.target for item in self.contestants))


def choose(names: Sequence[str] | None = None, modes: Sequence[str] | None = None) -> Field:
    """The contestants of these frameworks (`pytorch`, `keras/jax`; all if None) in these modes (all if None).

    `modes` may hold `default`: each target's first mode. Raises `NotFoundError` for an unknown name and
    `FrameworkMissing` if nothing that was asked for is installed.
    """
    chosen = targets_of(names)
    absent: list[Absent] = []
    present: list[Target] = []
    for item in chosen:
        try:
            require(item)
            present.append(item)
        except FrameworkMissing as error:
            reason, _, command = str(error).partition(": run  ")
            absent.append(Absent(item.name, reason, command or None))
    if not present:
        raise FrameworkMissing("; ".join(f"{item.reason}: run  {item.command}" for item in absent))
    contestants = [item for target in present for item in target.contestants if wanted_mode(item.mode, target, modes)]
    if not contestants:
        known = sorted({mode for target in present for mode in target.modes} | {"default"})
        raise unknown("mode", ", ".join(modes or ()), known)
    first = {Contestant(item.framework, item.modes[0], item.backend).name for item in present if item.default}
    ordered = sorted(contestants, key=lambda item: item.name not in first)
    return Field(tuple(ordered), tuple(item.name for item in ordered if item.name in first), tuple(absent))


def names_of(contestants: Sequence[Contestant]) -> tuple[str, ...]:
    return tuple(item.name for item in contestants)


def targets_of(names: Sequence[str] | None) -> list[Target]:
    """The targets of these names, `keras/jax` or `keras` for all of its backends; all there are if None."""
    found: dict[str, Target] = {}
    for name in names or tuple(frameworks()):
        framework, _, backend = name.partition("/")
        candidates = find(framework).targets
        picked = [item for item in candidates if item.backend == backend] if backend else list(candidates)
        if not picked:
            raise unknown("framework", name, [item.name for item in candidates])
        found.update({item.name: item for item in picked})
    return list(found.values())


def wanted_mode(mode: str, target: Target, modes: Sequence[str] | None) -> bool:
    """Whether a mode of a target was asked for."""
    if not modes:
        return True
    return mode in modes or ("default" in modes and mode == target.modes[0])
