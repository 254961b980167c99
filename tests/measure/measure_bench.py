"""Plans over packages of the fake framework, and a watch for processes left behind."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.frameworks.base import Contestant
from assay.measure import QUICK, Entry, Plan, Proving, Task
from assay.measure.effort import Limits

HERE = Path(__file__).parent
FAST = replace(
    QUICK,
    rounds=3,
    first_rounds=2,
    sample_seconds=0.002,
    longest_sample=0.02,
    warmup_calls=6,
    warmup_seconds=0.05,
    limits=Limits(start=20, load=10, prove=10, compile=10, call=10),
)


class Bench:
    """Makes fake packages and plans in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        draw = np.random.default_rng(0)
        self.weights = {
            "layer/kernel": draw.normal(size=(4, 3)),
            "layer/bias": np.zeros(3),
            "mean": np.zeros(4),
        }
        self.data = folder / "data.npz"
        np.savez(
            self.data,
            train_inputs_0=draw.normal(size=(100, 4)).astype(np.float32),
            train_targets=draw.integers(0, 3, 100),
            test_inputs_0=draw.normal(size=(50, 4)).astype(np.float32),
            test_targets=draw.integers(0, 3, 50),
        )
        self.proof_arrays = folder / "proof.npz"
        batches = {}
        for step in range(5):
            batches[f"step_{step}_inputs_0"] = draw.normal(size=(6, 4))
            batches[f"step_{step}_targets"] = draw.integers(0, 3, 6)
        np.savez(self.proof_arrays, inputs_0=draw.normal(size=(6, 4)), targets=draw.integers(0, 3, 6), **batches)

    def package(self, name: str, **behaviour: Any) -> Path:
        folder = self.folder / "packages" / name
        folder.mkdir(parents=True)
        (folder / "fake.json").write_text(json.dumps(behaviour))
        np.savez(folder / "weights.npz", **self.weights)
        return folder

    def entry(self, name: str, **behaviour: Any) -> Entry:
        """`"jax:jit"`: a fake package under a real framework's name."""
        target, _, mode = name.partition(":")
        framework, _, backend = target.partition("/")
        folder = self.package(name.replace("/", "-").replace(":", "-"), **behaviour)
        return Entry(Contestant(framework, mode, backend or None), folder, self.data)

    def plan(self, *entries: Entry, **changes: Any) -> Plan:
        settings: dict[str, Any] = {
            "folder": self.folder / "run",
            "tasks": (Task("train", 8), Task("infer", 1)),
            "proving": Proving(self.proof_arrays, {"LEARNING_RATE": 0.25}, dropout_shape=(8, 8)),
            "effort": FAST,
            "threads": 1,
            "environment": {"PYTHONPATH": str(HERE), "TEST_RUN": str(self.folder)},
            "sessions": {entry.contestant.target: "fake_framework:Session" for entry in entries},
        }
        return Plan(entries=entries, **(settings | changes))


def processes_with(text: str) -> list[int]:
    """Living processes whose environment or arguments hold this text."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            content = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in content and state != "Z":
            found.append(int(folder.name))
    return found


def comes_to(text: str, count: int, within: float = 3.0) -> bool:
    """True once this many processes with this text are alive: starting and dying take a moment."""
    until = time.monotonic() + within
    while len(processes_with(text)) != count:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def none_left(text: str) -> bool:
    """True once no process with this text is alive."""
    return comes_to(text, 0)
