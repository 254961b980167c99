"""Run as a process: imports one framework and prints what it says of itself, as JSON on the last line.

python -m assay.frameworks.describe pytorch
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import entry_points


def module_of(framework: str) -> str:
    """The module with a framework's `describe`, plug-ins included."""
    for entry in entry_points(group="assay.frameworks"):
        if entry.name == framework:
            return f"{entry.module}.describe"
    return f"assay.frameworks.{framework}.describe"


def main() -> None:
    began = time.monotonic()
    module = importlib.import_module(module_of(sys.argv[1]))
    found = module.describe()
    print(json.dumps(found | {"import_s": time.monotonic() - began}))


if __name__ == "__main__":
    main()
