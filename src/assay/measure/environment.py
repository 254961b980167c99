"""The machine and the software that a measurement ran on, and what about them should make its reader careful."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.frameworks import frameworks, installed_versions
from assay.measure import devices, host
from assay.measure.energy import Energy
from assay.measure.plan import allowed_cpus

_ALSO = ("numpy", "safetensors", "onnx", "onnx-ir", "torch", "tensorflow", "tensorflow-cpu", "jax", "jaxlib")
# TF_CLI… and the like are Terraform's.
_FLAG = re.compile(
    r"^(OMP|MKL|KMP|GOMP|XLA|JAX|TF(?!_CLI|_VAR|_LOG|_DATA)|TORCH|TORCHINDUCTOR|KERAS|CUDA|LD_PRELOAD|MALLOC|ASSAY)(_|$)"
)
_BUSY = 0.25  # runnable processes per CPU before we start that a reader should know of


@dataclass(frozen=True)
class Environment:
    """Facts from before the first measurement. None: the system does not tell."""

    operating_system: str
    python: str
    machine: str
    cpu: str
    cpus: int  # logical processors of the machine
    allowed: tuple[int, ...]  # those we may use
    used: tuple[int, ...]  # those that workers are kept to
    threads: int
    governor: str | None
    cpu_quota: float | None  # processors that the container may use at a time
    memory_bytes: int | None
    available_bytes: int | None
    load: float | None  # runnable processes, averaged over the last minute
    steal_ticks: int | None  # since boot
    virtual: bool | None  # under a hypervisor
    versions: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)  # of the environment, that change speed
    notes: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()  # name, memory, driver
    energy: str = ""  # the counters of energy, or why there are none

    def summary(self) -> dict[str, str | int]:
        """What a file of results says of its machine."""
        return {
            "operating_system": self.operating_system,
            "python": self.python,
            "architecture": self.machine,
            "cpu": self.cpu,
            "cpus": self.cpus,
        }


def environment(threads: int, used: Iterable[int] = (), extra: Mapping[str, str] | None = None) -> Environment:
    """The environment as it is now; `extra` are variables that the workers get on top of ours."""
    distributions = [name for framework in frameworks().values() for name in framework.distributions]
    load, counters = _load(), Energy()
    allowed = allowed_cpus()
    governor, quota = _governor(allowed), cpu_quota()
    flags = {**os.environ, **(extra or {})}
    return Environment(
        operating_system=platform.platform(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=platform.machine(),
        cpu=_cpu_model(),
        cpus=os.cpu_count() or 1,
        allowed=tuple(allowed),
        used=tuple(used),
        threads=threads,
        governor=governor,
        cpu_quota=quota,
        memory_bytes=_meminfo("MemTotal"),
        available_bytes=_meminfo("MemAvailable"),
        load=load,
        steal_ticks=host.steal_ticks(),
        virtual="hypervisor" in _cpu_line("flags").split() if _cpu_line("flags") else None,
        versions=installed_versions(list(dict.fromkeys([*distributions, *_ALSO]))),
        flags={name: value for name, value in sorted(flags.items()) if _FLAG.match(name)},
        accelerators=tuple(map(str, devices.cards())),
        energy="; ".join(counters.sources) or counters.absent or "",
        notes=tuple(_notes(load, len(allowed), threads, governor, quota)),
    )


def _notes(load: float | None, allowed: int, threads: int, governor: str | None, quota: float | None) -> list[str]:
    notes = []
    if load is not None and load / allowed > _BUSY:
        notes.append(f"the machine was busy before we started: load {load:.1f} on {allowed} CPUs")
    if governor not in (None, "performance"):
        notes.append(f"the CPU frequency governor is {governor!r}; 'performance' gives steadier times")
    if quota is not None and quota < threads:
        notes.append(f"the container may use {quota:g} CPUs at a time, fewer than the {threads} threads asked for")
    if threads > allowed:
        notes.append(f"{threads} threads were asked for on {allowed} CPUs")
    return notes


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs that the control group may use at a time; None without a limit. Version 2 first, then version 1."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return None if quota_us < 0 else quota_us / period_us


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _governor(cpus: list[int]) -> str | None:
    try:
        path = Path(f"/sys/devices/system/cpu/cpu{cpus[0]}/cpufreq/scaling_governor")
        return path.read_text().strip()
    except (OSError, IndexError):
        return None


def _cpu_model() -> str:
    return _cpu_line("model name") or platform.processor() or platform.machine()


def _cpu_line(key: str) -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.partition(":")[0].strip() == key:
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _meminfo(key: str) -> int | None:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith(f"{key}:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
