"""Cleans up after a manager that was killed: a process that sleeps until the manager's pipe closes.

    python -I -S janitor.py RUN < pipe

The manager writes the process group of each worker, one a line, and `done` when it has ended them itself. If the pipe
closes without `done`, the manager is gone (`kill -9`, out of memory): every group and every process that carries the
run's mark in its environment is killed. Nothing else can do this: a stopped compile helper outlives the worker that
started it, and a process whose parent is killed gets no say.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time


def main() -> None:
    run = sys.argv[1]
    groups: set[int] = set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        if line.strip() == "done":
            return
        groups.add(int(line))
    for _ in range(20):  # a process that is just being started shows its environment a moment later
        found = [pid for group in groups for pid in _alive(group)] + _marked(run)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _alive(group: int) -> list[int]:
    """The group itself as a negative id, which `kill` takes for all of its members, if any is left."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return []
    return [-group]


def _marked(run: str) -> list[int]:
    mark = f"ASSAY_RUN={run}".encode()
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit():
                    with open(f"/proc/{name}/environ", "rb") as file:
                        if mark in file.read().split(b"\0"):
                            found.append(int(name))
    return found


if __name__ == "__main__":
    main()
