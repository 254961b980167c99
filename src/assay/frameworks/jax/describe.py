"""What the installed JAX is: asked in a process of its own by `assay doctor`."""

from __future__ import annotations

import os
from typing import Any

import jax
from jaxlib.version import __version__ as jaxlib_version


def describe() -> dict[str, Any]:
    """`build`: how it was built; `devices`: what it can compute on; `threads`; `needs`: mode → what it lacks here."""
    found = jax.devices()
    build = [f"jaxlib {jaxlib_version}", f"XLA platform {found[0].client.platform_version}"]
    if os.environ.get("XLA_FLAGS"):
        build.append(f"XLA_FLAGS {os.environ['XLA_FLAGS']}")
    return {"build": build, "devices": [device.device_kind for device in found], "threads": None, "needs": {}}
