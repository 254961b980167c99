"""What the operating system tells about processes and the machine: Linux's /proc, or POSIX's poorer answers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
MARK = "ASSAY_RUN"  # the environment variable by which every process of a run, orphaned ones too, can be found


def steal_ticks() -> int | None:
    """Time that the hypervisor gave to others, in clock ticks, over all CPUs since boot; None where it is not told."""
    try:
        with open("/proc/stat", "rb") as file:
            return int(file.readline().split()[8])
    except (OSError, IndexError, ValueError):
        return None


def waited_ns() -> int | None:
    """How long the threads of this process, all together, were ready to run and had no CPU; None where it is not told.

    It is what other programs on the machine cost us: nothing on a quiet one.
    """
    total = missing = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[1])
            except (FileNotFoundError, ProcessLookupError):  # it has just ended, or the kernel keeps no such account
                missing += 1
    except (OSError, ValueError, IndexError):
        return None
    return total if total or not missing else None


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now."""
    return _status_bytes("VmRSS:")


def high_water_bytes() -> int:
    """The most memory that this process has had in RAM since it started, or since `reset_high_water`."""
    measured = _status_bytes("VmHWM:")
    if measured is not None:
        return measured
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_high_water() -> bool:
    """Starts the high-water mark again from what is in RAM now; False where the system cannot."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # man 5 proc: resets VmHWM to the current VmRSS
    except OSError:
        return False
    return True


def resident_bytes_of(pid: int) -> int | None:
    """Memory of another process that is in RAM now; None if it is gone, or the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


def memory_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that programs may use: the machine's, or what the control group is allowed; None where it is not told."""
    limits = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int((root / name).read_text()))
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as file:
        limits += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemTotal:")]
    return min(limits, default=None)


def be_the_first_to_go() -> None:
    """When memory runs out, the kernel ends this process before the one that started it, and before the user's own."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _status_bytes(key: str) -> int | None:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the one that started it dies; leaves at once if it is dead already."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def keep_to_cpus(cpus: Sequence[int]) -> None:
    """Restricts this process, and the threads it will start, to these CPUs, where the system can."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def choose_cpus(count: int, allowed: Sequence[int]) -> list[int]:
    """`count` of the allowed CPUs, on different cores first: two hardware threads of a core share its units."""
    seen: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for cpu in allowed:
        try:
            core = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
        except OSError:
            core = str(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    return sorted([*first, *second][:count])


def marked_processes(run: str) -> Iterator[int]:
    """Every living process that was started, at whatever remove, by the run of this identity (Linux only)."""
    mark = f"{MARK}={run}".encode()
    for pid in _processes():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0"):
            yield pid


def group_members(group: int) -> list[tuple[int, str]]:
    """Process id and state letter of every process in a process group (Linux only; empty elsewhere)."""
    found = []
    for pid in _processes():
        try:
            text = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
        if len(fields) > 2 and int(fields[2]) == group:
            found.append((pid, fields[0]))
    return found


def signal_group(group: int, number: int) -> bool:
    """Signals a process group; False if nothing of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return []
