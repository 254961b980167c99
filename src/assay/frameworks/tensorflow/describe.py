"""What the installed TensorFlow is: asked in a process of its own by `assay doctor`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def describe() -> dict[str, Any]:
    """`build`: how it was built; `devices`: what it can compute on; `threads`; `needs`: mode → what it lacks here."""
    info = tf.sysconfig.get_build_info()
    build = [
        f"{name.removeprefix('is_').replace('_', ' ')}: {'yes' if info[name] else 'no'}"
        for name in sorted(info)
        if isinstance(info[name], bool)
    ]
    build += [f"{name.replace('_', ' ')}: {info[name]}" for name in ("cuda_version", "cudnn_version") if info.get(name)]
    build.append(f"compiled with {tf.version.COMPILER_VERSION}")
    devices = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {"build": build, "devices": devices, "threads": threads or None, "needs": {}}
