"""Which device workers compute on, and what makes every framework use that one and no other."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from assay.errors import DataError, unknown

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
DEVICES = (CPU, CUDA, AUTO)
_QUERY = ("name", "driver_version", "memory.total")
_LIMIT = 20.0  # seconds for nvidia-smi, which hangs with some broken drivers


@dataclass(frozen=True)
class Card:
    """A CUDA device as the driver describes it."""

    name: str
    driver: str
    memory_bytes: int | None

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 2**30:.0f} GiB" if self.memory_bytes else ""
        return f"{self.name}{memory}, driver {self.driver}"


def cards() -> tuple[Card, ...]:
    """The CUDA devices that workers may use; none without a driver, and none if $CUDA_VISIBLE_DEVICES hides them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset") in ("", "-1"):
        return ()
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    arguments = [command, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse(done.stdout) if done.returncode == 0 else ()


def parse(listing: str) -> tuple[Card, ...]:
    """The lines of `nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader,nounits`."""
    found = []
    for line in listing.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(_QUERY) and parts[0]:
            memory = int(parts[2]) * 2**20 if parts[2].isdigit() else None
            found.append(Card(parts[0], parts[1], memory))
    return tuple(found)


def choose(asked: str, found: tuple[Card, ...]) -> str:
    """`cpu` or `cuda`. Raises `DataError` for `cuda` where there is no such device."""
    if asked not in DEVICES:
        raise unknown("device", asked, DEVICES)
    if asked == CUDA and not found:
        raise DataError(
            "there is no CUDA device here (nvidia-smi finds none that $CUDA_VISIBLE_DEVICES shows): "
            "measure with --device cpu, or on a machine that has one"
        )
    return CUDA if asked == CUDA or (asked == AUTO and found) else CPU


def variables(device: str) -> dict[str, str]:
    """What a worker's environment says, so that all contestants compute on the same device.

    On an accelerator nothing is allocated in advance: every worker lives on the same card, and its memory is measured.
    """
    if device == CPU:
        return {"ASSAY_DEVICE": CPU, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return {
        "ASSAY_DEVICE": CUDA,
        "CUDA_VISIBLE_DEVICES": shown,
        "JAX_PLATFORMS": "cuda,cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
