"""The zoo's command on small models: equal, not brought, crashed; a wrong weight is found; results are kept."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import assay
from assay.errors import NotFoundError, OutputError
from assay.testing.zoo import choose, find_source
from assay.testing.zoo.results import Results, status_of

SOURCE = Path(__file__).with_name("zoo_source.py")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    command = [sys.executable, "-m", "assay.testing", "zoo", "--source", str(SOURCE), "-f", "pytorch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def test_models_are_proven_against_themselves(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    done = _run("--case", "small", "--case", "recurrent", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(path.read_text())
    assert content["summary"] == {"cases": 2, "equal": {"pytorch": 2}, "equal in all": 2}
    case = next(item for item in content["cases"] if item["name"] == "small")
    checks = case["frameworks"]["pytorch"]["checks"]
    assert set(checks) == {"outputs", "loss", "gradients", "steps", "statistics", "dropout"}
    assert checks["gradients"]["tensors"] == 7  # of six parameters and the image
    assert checks["statistics"]["tensors"] == 2
    assert case["parameters"] == 3 * 4 * 9 + 4 + 4 * 4 + 64 * 5 + 5
    again = _run("--case", "small", "--json", str(path))
    assert "1 of 1 models are in" in again.stdout


def test_what_fails_is_said_and_the_next_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    done = _run("--case", "impossible", "--case", "crash", "--json", str(path))
    assert done.returncode == 1
    cases = {item["name"]: item for item in json.loads(path.read_text())["cases"]}
    assert "cannot bring yet: aten.linalg_inv" in cases["impossible"]["error"]
    assert "SIGABRT" in cases["crash"]["error"]
    assert status_of(cases["crash"], "pytorch") == "not-brought"


def test_a_wrong_weight_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.testing.zoo.trial import Trial
    from assay.verbs.contestants import choose as contestants

    source = find_source(str(SOURCE))
    honest = Trial._written

    def tampered(self: Trial, model: Any) -> Any:
        packages = honest(self, model)
        weights = model.weights()
        weights["5.bias"] = weights["5.bias"] * (1 + 1e-6)
        return {name: dataclasses.replace(item, model=model.with_weights(weights)) for name, item in packages.items()}

    monkeypatch.setenv("ZOO_SOURCE", "small")
    monkeypatch.setattr(Trial, "_written", tampered)
    facts = Trial("small", source.cases()[0], source, contestants(["pytorch"], ["default"]), tmp_path).run()
    assert facts["frameworks"]["pytorch"]["status"] == "different", facts
    assert facts["frameworks"]["pytorch"]["reason"].startswith("outputs:")


def test_a_file_of_another_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    Results(path, "one").add({"name": "a", "frameworks": {"jax": {"status": "equal"}}})
    assert Results.read(path, "one").has("a", ["jax"])
    assert not Results.read(path, "one").has("a", ["jax", "pytorch"])
    with pytest.raises(OutputError, match="of 'one', not of 'two'"):
        Results.read(path, "two")


def test_cases_are_chosen() -> None:
    cases = find_source("torchvision").cases()
    assert len(cases) == 86
    assert [case.name for case in choose(cases, ["vgg1?"])] == ["vgg11", "vgg13", "vgg16", "vgg19"]
    halves = [choose(cases, [], (part, 2)) for part in (1, 2)]
    assert {case.name for half in halves for case in half} == {case.name for case in cases}
    with pytest.raises(NotFoundError, match="no case matches"):
        choose(cases, ["lenet*"])
    with pytest.raises(NotFoundError, match="torchvision"):
        find_source("torchvison")


def test_an_architecture_of_transformers() -> None:
    pytest.importorskip("transformers")
    case = next(item for item in find_source("transformers").cases() if item.name == "gpt2")
    made = case.make()
    model = assay.load(made.model, inputs=made.example)
    written = model.write("pytorch")
    assert "self.lm_head.weight = self.transformer.wte.weight" in written.files["model.py"]
    assert "F.scaled_dot_product_attention(query, key, value, attn_mask=" in written.files["model.py"]
    assert made.batch is not None
    inputs = made.batch(np.random.default_rng(0), 3)
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        expected = made.model.eval()(*map(torch.from_numpy, inputs[:1]), attention_mask=torch.from_numpy(inputs[1]))
        found = written.load()(*map(torch.from_numpy, inputs))
    np.testing.assert_allclose(found.logits.numpy(), expected.logits.numpy(), rtol=1e-4, atol=1e-5)
