"""Random valid attributes and shapes against `onnx.reference`, each framework in a process of its own.

`ASSAY_EXAMPLES=200 pytest tests/testing/test_property_operators.py` looks longer (three examples of each operator
otherwise, always the same); `ASSAY_FRAMEWORKS=jax` and `ASSAY_FAMILIES=conv,resize` look at some.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MODULES = {"pytorch": "torch", "tensorflow": "tensorflow", "keras/tensorflow": "keras", "jax": "flax"}


@pytest.mark.parametrize("framework", MODULES)
def test_random_operators(framework: str, need: Callable[..., None]) -> None:
    chosen = os.environ.get("ASSAY_FRAMEWORKS", framework).split(",")
    if framework not in chosen:
        pytest.skip("not among ASSAY_FRAMEWORKS")
    need(MODULES[framework])
    examples = os.environ.get("ASSAY_EXAMPLES", "3")
    families = [name for name in os.environ.get("ASSAY_FAMILIES", "").split(",") if name]
    worker = Path(__file__).with_name("property_worker.py")
    found = subprocess.run(
        [sys.executable, str(worker), framework, examples, *families], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-2000:]
    results = [json.loads(line) for line in found.stdout.splitlines()]
    wrong = [f"{item['family']}: {item['wrong']}" for item in results if item["wrong"]]
    assert not wrong, "\n".join(wrong)
    assert sum(item.get("tried", 0) for item in results) > 0
