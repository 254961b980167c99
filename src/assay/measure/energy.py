"""Energy counters of the processor (RAPL) and of NVIDIA GPUs (NVML), where the machine lets us read them.

They count what the whole processor or card takes, whoever causes it: on a shared machine a figure is an upper bound.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class _Package:
    """One processor package's counter, which begins anew after `most` microjoules."""

    file: Path
    most: int

    def read(self) -> int:
        return int(self.file.read_text())


class Energy:
    """The counters of this machine; `sources` names them, and `absent` says why there are none."""

    def __init__(self, root: Path = POWERCAP, nvml: Any = None) -> None:
        self.absent: str | None = None
        self._packages = self._find_packages(root)
        self._nvml, self._cards = _cards(nvml)
        self.sources: tuple[str, ...] = (
            *((f"RAPL, {_counted(len(self._packages), 'package')}",) if self._packages else ()),
            *((f"NVML, {_counted(len(self._cards), 'card')}",) if self._cards else ()),
        )
        if self.sources:
            self.absent = None

    def _find_packages(self, root: Path) -> list[_Package]:
        folders = sorted(root.glob("*rapl:*")) if root.is_dir() else []
        if not folders:
            self.absent = f"no energy counter: {root} has no RAPL domain (a virtual machine, or no driver)"
            return []
        found = []
        for folder in folders:
            try:
                if not (folder / "name").read_text().startswith("package"):
                    continue  # a part of a package: cores, memory
                package = _Package(folder / "energy_uj", int((folder / "max_energy_range_uj").read_text()))
                package.read()
            except (OSError, ValueError) as error:
                self.absent = f"no energy counter: {folder / 'energy_uj'} cannot be read ({error})"
                continue
            found.append(package)
        return found

    def read(self) -> tuple[int, ...]:
        """Every counter as it stands: microjoules of packages, millijoules of cards."""
        cards = (int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(card)) for card in self._cards)
        return (*(package.read() for package in self._packages), *cards)

    def joules(self, before: Sequence[int], after: Sequence[int]) -> float:
        """What all of them counted between two readings; each may have begun anew once."""
        total = 0.0
        for place, (start, end) in enumerate(zip(before, after, strict=True)):
            if place < len(self._packages):
                total += ((end - start) % (self._packages[place].most + 1)) / 1e6
            else:
                total += (end - start) / 1e3
        return total


def _cards(nvml: Any) -> tuple[Any, list[Any]]:
    """NVML and the handles of the cards that count; nothing where it is not installed or finds none."""
    try:
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        for handle in handles:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # NVML's own errors, which only exist where it is installed; older cards do not count
        return None, []
    return nvml, handles


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
