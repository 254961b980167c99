"""The process that tries random examples in one framework: `python property_worker.py jax 5 [family …]`.

Prints a JSON line for each family: how many examples were tried, refused, unknown to the reference or wrong there, and
one that the framework gets wrong, if there is any.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
for _name, _value in {"JAX_ENABLE_X64": "1", "ASSAY_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}.items():
    os.environ.setdefault(_name, _value)

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from property_cases import FAMILIES, Example  # noqa: E402

from assay.frameworks import find, target  # noqa: E402
from assay.testing.conformance import differences, try_case  # noqa: E402
from assay.testing.gaps import Fault  # noqa: E402
from assay.testing.official import OfficialCase  # noqa: E402

RTOL, ATOL = 1e-3, 1e-4


class Wrong(AssertionError):
    """A framework gives something else, or fails, where the reference gives an answer."""


def attempt(example: Example, framework: Any, seen: Counter[str]) -> None:
    """Raises `Wrong`; a refusal when the code is written is counted only."""
    model = example.model()
    try:
        with np.errstate(all="ignore"):
            expected = tuple(np.asarray(item) for item in ReferenceEvaluator(model).run(None, dict(example.inputs)))
    except Exception:  # the reference raises errors of every kind for what it does not know
        known = runtime_outputs(example)
        if known is None:
            seen["unknown"] += 1
            return
        expected = known
    faults = _faults(example, expected, framework)
    if any(fault.stage.endswith("write") for fault in faults):
        seen["refused"] += 1
        return
    if not faults:
        seen["tried"] += 1
        return
    # The reference has errors of its own: what ONNX Runtime agrees with counts as right.
    other = runtime_outputs(example)
    if other is not None and differences(other, expected, RTOL, ATOL) and not _faults(example, other, framework):
        seen["reference wrong"] += 1
        return
    said = "no second opinion" if other is None else "ONNX Runtime agrees with the reference"
    if other is not None and (apart := differences(other, expected, RTOL, ATOL)):
        said = f"ONNX Runtime gives a third answer: {apart[0]}"
    raise Wrong(f"{example}: {'; '.join(map(str, faults))} ({said})")


def _faults(example: Example, expected: tuple[np.ndarray, ...], framework: Any) -> list[Fault]:
    inputs = tuple(example.inputs.values())
    case = OfficialCase("test_property", "node", RTOL, ATOL, example.model(), ((inputs, expected),))
    return try_case(case, framework).faults


def runtime_outputs(example: Example) -> tuple[np.ndarray, ...] | None:
    """What ONNX Runtime gives, where it is installed and knows the operator; in float32 where it knows no more."""
    for candidate in (example, example.single()):
        with contextlib.suppress(Exception):  # not installed, or not able to
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            content, providers = candidate.model().SerializeToString(), ["CPUExecutionProvider"]
            session = onnxruntime.InferenceSession(content, options, providers=providers)
            found = session.run(None, dict(candidate.inputs))
            wide = any(array.dtype == np.float64 for array in example.inputs.values())
            return tuple(array.astype(np.float64) if wide and array.dtype == np.float32 else array for array in found)
    return None


def main(name: str, examples: int, families: list[str]) -> None:
    framework = target(name)
    for key, value in find(framework.framework).environment.items():
        os.environ.setdefault(key, value)
    if framework.backend:
        os.environ["KERAS_BACKEND"] = framework.backend
    for family in families or FAMILIES:
        print(json.dumps({"family": family, **explore(family, framework, examples)}), flush=True)


def explore(family: str, framework: Any, examples: int) -> dict[str, Any]:
    """What random examples of one family show."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=examples <= 10,  # short runs always try the same
        phases=[Phase.generate] if examples <= 10 else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(FAMILIES[family])
    def check(example: Example) -> None:
        attempt(example, framework, seen)

    try:
        with contextlib.redirect_stdout(sys.stderr):
            check()
    except Wrong as error:
        return {**seen, "wrong": str(error)}
    return {**seen, "wrong": None}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
