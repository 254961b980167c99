"""The process that runs official cases of one framework: names in on standard input, results out on a pipe of its own."""

from __future__ import annotations

import json
import os
import sys
import time

from assay.frameworks import Target, find
from assay.frameworks import target as find_target
from assay.testing.conformance import Trial, try_case
from assay.testing.double import try_double
from assay.testing.gaps import Fault
from assay.testing.gradients import try_gradient
from assay.testing.official import OfficialCase, official


def main(target_name: str, pipe: int, check: str) -> None:
    """Runs one check (`conformance`, `gradients` or `double`) of each case named on standard input until that ends.

    What frameworks print goes where standard error goes.
    """
    target = find_target(target_name)
    for name, value in {**find(target.framework).environment, **_EXACT}.items():
        os.environ.setdefault(name, value)
    if target.backend:
        os.environ["KERAS_BACKEND"] = target.backend
    os.environ.setdefault("ASSAY_THREADS", "1")
    results = os.fdopen(pipe, "w", encoding="utf-8")
    os.dup2(2, 1)
    cases = {case.name: case for case in official()}
    print(json.dumps({"ready": len(cases)}), file=results, flush=True)
    for line in sys.stdin:
        name = line.strip()
        started = time.perf_counter()
        trial = _CHECKS[check](cases[name], target)
        answer = {
            "name": name,
            "faults": [[fault.stage, fault.text] for fault in trial.faults],
            "seconds": {**trial.seconds, "all": time.perf_counter() - started},
            "slopes": trial.slopes,
        }
        print(json.dumps(answer), file=results, flush=True)


def _gradients(case: OfficialCase, target: Target) -> Trial:
    """A wrong slope is a fault; a singular point is none, and is recorded with its slopes."""
    found = try_gradient(case, target)
    faults = [] if found.error is None else [Fault("gradient", None, found.error)]
    faults += [
        Fault("gradient", None, f"the slope is {slope.measured:.9g}, the gradient says {slope.claimed:.9g}")
        for slope in found.slopes
        if slope.verdict == "wrong"
    ]
    return Trial(faults, {}, [[slope.verdict, slope.claimed, slope.left, slope.right] for slope in found.slopes])


def _double(case: OfficialCase, target: Target) -> Trial:
    found = try_double(case, target)
    faults = [Fault("float64", None, text) for text in (*found.faults, *([found.error] if found.error else []))]
    return Trial(faults, {}, [[found.verdict]] if found.verdict else [])


_CHECKS = {"conformance": try_case, "gradients": _gradients, "double": _double}

# JAX has 64-bit types only where it is told to; ONNX models use them everywhere.
_EXACT = {"JAX_ENABLE_X64": "1"}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
