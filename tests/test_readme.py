"""The README shows code as it is written now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("framework", ["pytorch", "keras", "jax"])
def test_the_residual_block_is_the_written_one(framework: str) -> None:
    title = {"pytorch": "PyTorch", "keras": "Keras", "jax": "JAX"}[framework]
    shown = re.search(rf"{title}:\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    written = (ROOT / "tests" / "golden" / "mnist-cnn" / framework / "model.py").read_text(encoding="utf-8")
    assert shown.group(1) in written
