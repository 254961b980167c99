"""What the installed Keras is: asked in a process of its own by `assay doctor`, with the backend chosen as for workers."""

from __future__ import annotations

from typing import Any

import keras


def describe() -> dict[str, Any]:
    """`build`: how it is set up. What its backend is, is told by the backend's own framework."""
    build = [f"backend {keras.backend.backend()}", f"image data {keras.config.image_data_format()}"]
    return {"build": build, "devices": [], "threads": None, "needs": {}}
