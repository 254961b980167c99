"""What the installed PyTorch is: asked in a process of its own by `assay doctor`."""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch


def describe() -> dict[str, Any]:
    """`build`: how it was built; `devices`: what it can compute on; `threads`; `needs`: mode → what it lacks here."""
    flags = torch.__config__.show().splitlines()
    chosen = ("GCC", "clang", "oneAPI", "MKL-DNN", "OpenMP", "CPU capability", "BLAS", "CUDA Runtime", "CuDNN")
    build = [
        line.strip(" -") for line in flags if any(word in line for word in chosen) and "Build settings" not in line
    ]
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    needs = {}
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        needs["compile"] = f"a C++ compiler ({compiler}), with which TorchInductor builds its kernels"
    return {"build": build, "devices": devices, "threads": torch.get_num_threads(), "needs": needs}
