"""What came with this version of assay about its complete runs of the official cases; `matrix` writes it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

SUMMARIES = "testing/results"  # in the package


def summaries() -> dict[str, dict[str, Any]]:
    """Target → the numbers of its complete run."""
    folder = resources.files("assay").joinpath(SUMMARIES)
    if not folder.is_dir():
        return {}
    found = [json.loads(item.read_text(encoding="utf-8")) for item in folder.iterdir() if item.name.endswith(".json")]
    return {item["target"]: item for item in sorted(found, key=lambda item: str(item["target"]))}
