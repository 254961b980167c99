"""Nested outputs go through proofs, training steps and saving in every framework."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from assay import nn
from assay.bring import load
from assay.model import Model
from assay.verbs.prove import prove


@dataclass
class Seen:
    logits: nn.Tensor
    parts: dict[str, object]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 4)

    def forward(self, x: nn.Tensor) -> object:
        left, right = self.left(x), self.right(x)
        return Seen(left, {"z": right, "b": (right * 2.0, [left * 3.0])})


def trained() -> Model:
    """A loss of an output that is deep inside, and not the first."""
    built = nn.build(Net(), [nn.Input("x", (3,))])
    names = [value.name for value in built.graph.outputs]
    return load(built, loss=f"mse:output={names[2]}", optimizer="adam", batch_size=8)


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "keras", "jax"])
def test_outputs_gradients_and_steps(framework: str, need: Callable[..., None]) -> None:
    need({"pytorch": "torch", "jax": "flax"}.get(framework, framework))
    found = prove(trained(), [framework])
    assert found and all(proof.status == "equal" for proof in found), [(p.contestant, p.reason) for p in found]
    checks = {check.name if hasattr(check, "name") else check.check for check in found[0].checks}
    assert {"outputs", "gradients", "steps"} <= checks or len(checks) >= 3


_SAVE = """
import importlib, sys
from pathlib import Path
import numpy as np
folder, framework, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
session = importlib.import_module(f"assay.frameworks.{framework}.run").Session(folder, mode)
placed = session.place([np.ones((2, 3), np.float32)])
print(session.save(folder, placed))
np.savez(folder / "given.npz", *session.numpy(session.predict(placed)))
"""


@pytest.mark.parametrize(("framework", "mode"), [("pytorch", "eager"), ("tensorflow", "graph"), ("jax", "jit")])
def test_what_is_saved(framework: str, mode: str, need: Callable[..., None], tmp_path: Path) -> None:
    need({"pytorch": "torch", "jax": "flax"}.get(framework, framework))
    model = nn.build(Net(), [nn.Input("x", (3,))])
    folder = model.write(framework).save(tmp_path / "package")
    command = [sys.executable, "-c", _SAVE, str(folder), framework, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "given.npz") as file:
        given = [file[name] for name in file.files]
    left, right, twice, thrice = given
    np.testing.assert_allclose(twice, 2 * right, rtol=1e-6)
    np.testing.assert_allclose(thrice, 3 * left, rtol=1e-6)
