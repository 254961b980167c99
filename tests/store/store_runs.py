"""Runs as plain data, as a measurement would have written them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

from assay.measure.environment import environment
from assay.measure.record import (
    FORMAT,
    Decision,
    End,
    Failure,
    Header,
    LossCurve,
    Proved,
    Sample,
)
from assay.measure.record_file import RecordFile
from assay.show.facts import Comparison
from assay.store.contents import Contents, read_contents

TESTS = Path(__file__).parent.parent


def made_up_comparisons() -> Any:
    """The comparisons that the tests of `show` are made with."""
    spec = importlib.util.spec_from_file_location("made_up_comparisons", TESTS / "show" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HEADER = Header(
    format=FORMAT,
    assay="0.1.0",
    started="2026-01-01T01:00:00+01:00",
    contestants=("pytorch:eager", "jax:jit"),
    tasks=(("train", 64), ("infer", 1)),
    twin_of="pytorch:eager",
    threads=2,
    seed=0,
    proving=True,
    effort={"name": "quick", "label": "indicative", "indicative": True, "fewest_rounds": 5},
    constants={"LEARNING_RATE": 1e-9},
)


def sample(contestant: str = "pytorch:eager", block: int = 0, **changes: Any) -> Sample:
    facts: dict[str, Any] = dict.fromkeys(
        ("process", "wave", "position", "switches", "steal_ticks", "waited_ns", "compiles"), 0
    )
    facts |= {"contestant": contestant, "twin": False, "task": "train", "batch_size": 64, "round": block}
    facts |= {"block": block, "calls": 10, "wall_ns": 2**40 + block, "cpu_ns": 2**41, "began_ns": 2**60 + 1}
    return Sample(**(facts | changes))


FACTS = (
    Proved("pytorch:eager", "equal", None, "a.npz", {}, (("drop", 0.5),), 1.5),
    Proved("jax:jit", "different", "gradient of w is off by 0.1 \0 and \ud800 strange"),
    LossCurve("pytorch:eager", "float32", (1.5, float("inf"), 0.5), 2.0),
    *(sample(block=block) for block in range(6)),
    sample(block=6, twin=True),
    sample(block=7, void="something was compiled while it was timed"),
    Decision("5 calls"),
    Failure("jax:jit", "prove", "gradient of w is off by 0.1"),
)


def comparison(**changes: Any) -> Comparison:
    made: Comparison = made_up_comparisons().build(("pytorch:eager", "jax:jit"))
    return dataclasses.replace(made, **changes)


def run_folder(folder: Path, run: str = "aaaa00000001", ended: bool = True, facts: Any = FACTS, **header: Any) -> Path:
    """The files of a run: ended by itself, or killed."""
    folder.mkdir(parents=True)
    described = {"format": 1, "id": run, "started": HEADER.started, "command": "assay compare x --seed 3"}
    described["model"] = {"name": "digits-cnn", "reference": "digits-cnn", "digest": "ab" * 32}  # type: ignore[assignment]
    (folder / "run.json").write_text(json.dumps(described))
    file = RecordFile(folder / "run" / "record.jsonl")
    for fact in [dataclasses.replace(HEADER, **header), environment(2, (0, 1)), *facts, *([End(12.5, False)] * ended)]:
        file.write(fact)
    file.close()
    package = folder / "packages" / "jax"
    package.mkdir(parents=True)
    (package / "model.py").write_text("print('model')\n")
    if ended:
        (folder / "facts.json").write_text(comparison().to_json())
    return folder


def contents(folder: Path, run: str = "aaaa00000001", ended: bool = True, **header: Any) -> Contents:
    return read_contents(run_folder(folder / run, run, ended, **header))
