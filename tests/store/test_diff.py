"""`assay.diff`: changes between runs are told with what they can be told by; what cannot be compared is refused or marked."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from store_runs import comparison

import assay
from assay.cli import main
from assay.errors import DataError
from assay.show import facts
from assay.show.facts import Comparison
from assay.verbs.diff import diff


def measured(processes: int = 8, slower: dict[str, float] | None = None, seed: int = 0, **changes: Any) -> Comparison:
    """A comparison with so many processes of each contestant, which scatter by 1 %."""
    draw = random.Random(seed)
    made = comparison(**changes)
    found = []
    for item in made.measurements:
        factor = (slower or {}).get(item.contestant, 1.0) * 0.01
        samples, which = [], []
        for process in range(processes):
            own = factor * math.exp(draw.gauss(0, 0.01))
            samples += [own * math.exp(draw.gauss(0, 0.002)) for _ in range(9)]
            which += [process] * 9
        fields = {
            "samples_s": tuple(samples),
            "processes": tuple(which),
            "median_s": sorted(samples)[len(samples) // 2],
        }
        fields |= {"calls": (1,) * len(samples), "blocks": tuple(range(len(samples)))}
        found.append(dataclasses.replace(item, **fields))
    effort = facts.Effort("standard", f"{processes} processes per contestant", processes)
    return dataclasses.replace(made, measurements=tuple(found), effort=effort)


def test_a_framework_that_became_slower() -> None:
    before = measured(seed=1)
    versions = {**before.environment.versions, "jax": "0.11.0"}
    after = measured(
        slower={"jax:jit": 1.1}, seed=2, environment=dataclasses.replace(before.environment, versions=versions)
    )
    found = diff(before, after)
    outcomes = {(change.contestant, change.outcome) for change in found.changes}
    assert outcomes <= {("jax:jit", "slower"), ("pytorch:eager", "equivalent"), ("pytorch:eager", "not-resolved")}
    assert ("jax:jit", "slower") in outcomes and len(found.changes) == 6
    slower = next(change for change in found.changes if change.contestant == "jax:jit")
    assert slower.interval is not None and slower.interval[0] > 1.05 and slower.interval[1] < 1.15
    assert slower.processes == (8, 8)
    assert [(other.what, other.kind, other.a, other.b) for other in found.others] == [
        ("jax", "version", "0.10.0", "0.11.0")
    ]
    assert any("never measured together" in note for note in found.notes)
    back = diff(after, before)
    assert ("jax:jit", "faster") in {(change.contestant, change.outcome) for change in back.changes}
    assert json.loads(found.to_json())["changes"][0]["contestant"] == "pytorch:eager"
    assert "jax:jit" in found._repr_html_()


@pytest.mark.parametrize(("processes", "note"), [(1, "one process of each contestant"), (5, "fewer than 6 processes")])
def test_few_processes_tell_nothing(processes: int, note: str) -> None:
    found = diff(measured(processes, seed=1), measured(processes, slower={"jax:jit": 3.0}, seed=2))
    assert {change.outcome for change in found.changes} == {"not-resolved"}
    assert all((change.interval is None) == (processes == 1) for change in found.changes)
    assert any(note in said for said in found.notes)


def test_what_moved_everybody_is_said() -> None:
    found = diff(measured(seed=1), measured(slower={"jax:jit": 1.2, "pytorch:eager": 1.2}, seed=2))
    assert found.common == pytest.approx(1.2, rel=0.02)
    assert any("looks like the machine" in note for note in found.notes)


def test_what_is_in_one_run_only_is_listed() -> None:
    before, after = measured(seed=1), measured(seed=2)
    wrong = facts.Proof("jax:jit", "different", reason="off by 0.1")
    proofs = tuple(wrong if proof.contestant == "jax:jit" else proof for proof in after.proofs)
    after = dataclasses.replace(after, proofs=proofs, measurements=after.measurements[:-1])
    found = diff(before, after)
    reasons = {(item.contestant, item.reason) for item in found.unmatched}
    assert ("jax:jit", "not proven equal in B") in reasons and ("jax:jit", "not in B") in reasons
    assert {change.contestant for change in found.changes} == {"pytorch:eager"}


def test_code_that_changed_is_marked() -> None:
    before, after = measured(seed=1), measured(seed=2)
    code = [dataclasses.replace(item, files=(facts.SourceFile("model.py", "new"),)) for item in after.code]
    found = diff(before, dataclasses.replace(after, code=(after.code[0], *code[1:])))
    marked = {change.contestant for change in found.changes if change.reason}
    assert marked == {"jax:jit"}


def test_another_machine_is_listed() -> None:
    before, after = measured(seed=1), measured(seed=2)
    machine = dataclasses.replace(after.environment, cpu="another", memory_bytes=1, flags={"XLA_FLAGS": "--x"})
    found = diff(before, dataclasses.replace(after, environment=machine, assay="9"))
    assert {other.what for other in found.others} == {
        "assay",
        "cpu",
        "memory bytes",
        "TF32",
        "OMP_NUM_THREADS",
        "XLA_FLAGS",
    }
    assert "the runs are from different machines" in found.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workload": {"name": "other"}}, "the model's name: digits-cnn and other"),
        ({"workload": {"parameters": 5}}, "the model's parameters"),
        ({"workload": {"seed": 5}}, "the model's seed: 0 and 5"),
        ({"effort": {"name": "quick"}}, "the effort: standard and quick"),
        ({"environment": {"threads": 1}}, "threads: 2 and 1"),
        ({"environment": {"device": "H200"}}, "the device: cpu and H200"),
    ],
)
def test_other_protocols_are_refused(change: dict[str, dict[str, Any]], message: str) -> None:
    before = measured(seed=1)
    ((part, fields),) = change.items()
    after = dataclasses.replace(before, **{part: dataclasses.replace(getattr(before, part), **fields)})
    with pytest.raises(DataError, match=message):
        diff(before, after)


def test_on_the_command_line(own: Path, tmp_path: Path) -> None:
    for name, slower in (("a", {}), ("b", {"jax:jit": 1.5})):
        (tmp_path / f"{name}.json").write_text(measured(slower=slower, seed=len(slower)).to_json())
    report = tmp_path / "diff.json"
    arguments = ["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--json", str(report)]
    done = CliRunner().invoke(main, arguments)
    assert (
        done.exit_code == 0 and "slower" in done.output and "never measured together" in " ".join(done.output.split())
    )
    assert {
        change["contestant"] for change in json.loads(report.read_text())["changes"] if change["outcome"] == "slower"
    } == {"jax:jit"}
    done = CliRunner().invoke(main, ["diff", "last", "missing.json"])
    assert done.exit_code == 2 and done.output.startswith("error: ")


def test_it_is_public() -> None:
    assert assay.diff is diff


def test_facts_of_an_older_assay_are_read() -> None:
    """A field that was added with a default is not there in what was kept before."""
    plain = measured().to_dict()
    del plain["effort"]["own_twin"], plain["effort"]["ended"]
    assert Comparison.from_dict(plain) == measured()
