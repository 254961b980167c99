"""What `doctor` finds, advises and shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from assay.cli import main
from assay.frameworks import Target, find
from assay.frameworks import target as find_target
from assay.measure.environment import Environment, environment
from assay.show.diagnosis import Diagnosis, Installed, Noise, print_diagnosis
from assay.verbs import doctor as module
from assay.verbs.doctor import advice, ask, compilers, doctor, watch_processors

QUIET: dict[str, Any] = {
    "governor": "performance",
    "cpu_quota": None,
    "load": 0.0,
    "available_bytes": 64_000_000_000,
    "allowed": (0, 1, 2, 3),
    "threads": 2,
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Diagnosis:
    """A diagnosis of this machine, of two frameworks that are not asked."""
    installed = (
        Installed("pytorch", ("eager", "compile"), (("torch", "2.0"),), ("GCC 9",), ("cpu",), 2, 1.0),
        Installed("jax", ("jit",), reason="jax needs optax, not installed here", command="pip install 'assay[jax]'"),
    )
    monkeypatch.setattr(module, "ask_frameworks", lambda threads: installed)
    return doctor(noise=False)


def findings(found: Diagnosis, **changes: Any) -> str:
    machine = replace(environment(2), **{**QUIET, **changes})
    return " | ".join(f"{one.finding}: {one.remedy}" for one in advice(found, machine))


def test_what_would_make_numbers_better(made: Diagnosis) -> None:
    quiet = replace(made, busy=0.0, steal=0.0, cores=4, energy_absent=None, frameworks=made.frameworks[:1])
    assert findings(quiet) == ""
    assert "the frequency governor is powersave" in findings(quiet, governor="powersave")
    assert "`--threads 1`" in findings(quiet, cpu_quota=1.5)
    assert "until a moment ago" in findings(quiet, load=3.0)
    assert "other programs use 40 % of the processors: close them" in findings(replace(quiet, busy=0.4), load=3.0)
    assert "gave 5.0 % of the time to other machines" in findings(replace(quiet, steal=0.05))
    assert "2 threads share one core" in findings(replace(quiet, cores=1))
    assert "leaves one for it" in findings(quiet, allowed=(0, 1))
    assert "2.0 GB of memory are free" in findings(quiet, available_bytes=2_000_000_000)
    lacking = replace(quiet.frameworks[0], lacking=(("pytorch:compile", "a C++ compiler (g++)"),))
    assert "pytorch:compile cannot run: it needs a C++ compiler" in findings(replace(quiet, frameworks=(lacking,)))
    assert "jax takes no part: jax needs optax, not installed here: run pip install" in findings(
        replace(quiet, frameworks=made.frameworks)
    )


def shown(found: Diagnosis, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    print_diagnosis(found, console)
    console.file.close()
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_is_shown(made: Diagnosis, width: int) -> None:
    noise = (
        Noise("train", 64, "pytorch:eager", 4, 0.031, 0.012, 6, 0.02),
        Noise("infer", 1, "pytorch:eager", 4, None, None, None, 0.0),
    )
    text = shown(replace(made, noise=noise, noise_reason=None), width)
    for part in ("Machine", "Frameworks", "Noise", "What would make it better", "pytorch", "install:"):
        assert part in text
    flat = " ".join(text.split())
    assert "GCC 9" in flat and "3.1 %" in flat
    assert all(len(line) <= width for line in text.splitlines())
    assert "--no-measure" in shown(made)


def test_json(made: Diagnosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "doctor", lambda **options: made)
    file = tmp_path / "doctor.json"
    result = CliRunner().invoke(main, ["doctor", "--no-measure", "--json", str(file)])
    assert result.exit_code == 0, result.output
    plain = json.loads(file.read_text())
    assert plain["format"] == 1 and plain["noise_reason"].startswith("it was not measured")
    assert [item["target"] for item in plain["frameworks"]] == ["pytorch", "jax"]
    assert (plain["environment"]["threads"] >= 1 and plain["steal"] is None) or plain["steal"] >= 0
    refused = CliRunner().invoke(main, ["doctor", "--json", str(tmp_path)])
    assert refused.exit_code == 2 and "is a folder" in refused.output


def test_frameworks_speak_for_themselves(need: Callable[..., None]) -> None:
    need("torch", "jax")
    before = sys.modules.keys() & {"torch", "jax"}  # other tests of this process may have imported them
    torch = ask(find_target("pytorch"), 1)
    assert torch.reason is None and torch.devices[0] == "cpu" and torch.threads and torch.import_s
    assert any("OpenMP" in line for line in torch.build) and dict(torch.versions)["torch"]
    jax = ask(find_target("jax"), 1)
    assert jax.reason is None and jax.devices and any("jaxlib" in line for line in jax.build)
    assert sys.modules.keys() & {"torch", "jax"} == before  # asked in processes of their own


def test_a_framework_that_is_missing_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Target("keras", "jax", ("jit",), ("no_such_module",))
    found = ask(absent, 1)
    assert found.reason == "keras/jax needs no_such_module, not installed here"
    assert found.command == "pip install 'assay[keras,jax]'"
    monkeypatch.setattr(module.sys, "executable", "/bin/false")  # type: ignore[attr-defined]
    broken = ask(Target("pytorch", None, find("pytorch").targets[0].modes, ("json",)), 1)
    assert broken.reason == "importing it fails: no word"


def test_the_machine_is_watched() -> None:
    steal, busy = watch_processors(0.2)
    assert steal is None or 0 <= steal <= 1
    assert busy is None or 0 <= busy <= 1
    assert all(name and version for name, version in compilers())


def test_noise_needs_a_framework() -> None:
    nobody = (Installed("jax", ("jit",), reason="not installed"),)
    assert module.noise_floor(nobody, 1) == ((), "no framework is installed, so there is nothing to measure with")


def test_facts_of_the_machine_fit() -> None:
    """`doctor` shows the environment with the facts of a comparison: a field more here is one there."""
    from assay.show import facts

    own = set(vars(environment(1)))
    assert own | {"device"} == set(facts.Environment.__dataclass_fields__)
    assert isinstance(environment(1), Environment)
