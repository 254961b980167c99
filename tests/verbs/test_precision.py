"""bfloat16 as each framework has it: near the truth, but not float32; and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.frameworks import Contestant
from assay.frameworks import target as find_target
from assay.measure import Entry, Plan, ProofResult, Proving, Record, measure
from assay.measure.record import Cold, Outputs
from assay.prove.evidence import gather
from assay.prove.results import deviation
from assay.verbs.contestants import choose
from assay.verbs.precision import check_timed, withheld
from assay.verbs.proving import Prover
from assay.workloads import WORKLOADS
from assay.write import write


def outputs_in(dtype: str, contestant: Contestant, folder: Path) -> ProofResult:
    """What a contestant computes for digits-cnn in a floating type, training included."""
    model = WORKLOADS["digits-cnn"].model()
    package = write(model, contestant.target).save(folder / f"package-{dtype}")
    evidence = gather(model, 0)
    evidence.save(folder / "evidence.npz")
    found: list[ProofResult] = []
    proving = Proving(folder / "evidence.npz", steps=2, dropout_shape=None, dtype=dtype)
    measure(
        Plan((Entry(contestant, package),), folder / f"run-{dtype}", proving=proving),
        prove=lambda _, result: found.append(result),  # type: ignore[func-returns-value]
    )
    assert found, (folder / f"run-{dtype}" / "record.jsonl").read_text()
    return found[0]


@pytest.mark.parametrize("target", ["pytorch", "tensorflow", "keras/tensorflow", "keras/jax", "keras/torch", "jax"])
def test_bfloat16_is_near_and_not_the_same(target: str, tmp_path: Path) -> None:
    contestant = find_target(target).contestants[0]
    mixed, exact = (outputs_in(dtype, contestant, tmp_path) for dtype in ("bfloat16", "float64"))
    assert not mixed.errors and not exact.errors
    with np.load(mixed.arrays) as a, np.load(exact.arrays) as b:
        assert a["output/0"].dtype == np.float32
        # bfloat16 has 8 bits: a distance of 2⁻¹⁴ would be float32 or float16 in disguise.
        assert 2.0**-14 < deviation(a["output/0"], b["output/0"]) < 8 * 2.0**-8
        assert deviation(a["losses"], b["losses"]) < 2.0**-6
        for name in a.files:
            if name.startswith("state/") and a[name].dtype.kind == "f":
                assert a[name].dtype == np.float32, name  # parameters and statistics stay as they were
                assert deviation(a[name], b[name]) < 0.5, name


@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_tensorflow_says_where_it_has_none(mode: str, tmp_path: Path) -> None:
    found = outputs_in("bfloat16", Contestant("tensorflow", mode), tmp_path)
    assert f"tensorflow:{mode} has no bfloat16 of its own" in found.errors["open"]


def made_up(record_of: Record, folder: Path, errors: dict[str, float], prover: Prover) -> Record:
    """A record whose second condition is bfloat16, with outputs that are off by so much."""
    outputs, colds = [], []
    for name, error in errors.items():
        path = folder / f"{name.replace('/', '-').replace(':', '-')}.npz"
        truth = prover._timed_truth[0]
        np.savez(path, **{"output/0": truth + error * np.abs(truth).max()})
        outputs.append(Outputs(name, 0, str(path), 0, 0, condition=1))
        colds.append(Cold(name, 0, 1.0, 1.0, 0.1, 0.1, 1, False, condition=1, arithmetic="its own"))
    header = replace(record_of.header, conditions=((1, "float32"), (1, "bfloat16")))
    return replace(record_of, header=header, outputs=tuple(outputs), colds=tuple(colds))


def test_outputs_that_are_too_far_off_lose_their_figures(tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
    from judge_simulate import Noise, record

    names = ("pytorch:eager", "jax:jit")
    simulated = record(dict.fromkeys(names, 0.01), Noise())
    prover = Prover(WORKLOADS["digits-cnn"].model(), choose(("pytorch", "jax"), ("default",)), tmp_path)
    found = made_up(simulated, tmp_path, {"pytorch:eager": 0.002, "jax:jit": 0.5}, prover)
    samples = tuple(replace(sample, condition=number % 2) for number, sample in enumerate(found.samples))
    found = replace(found, samples=samples)
    precisions = check_timed(found, prover)
    assert {item.contestant: item.status for item in precisions} == {"pytorch:eager": "equal", "jax:jit": "different"}
    assert precisions[0].distance == pytest.approx(0.002, rel=0.1) and precisions[0].arithmetic == "its own"
    kept = withheld(found, precisions)
    left = {(sample.contestant, sample.condition) for sample in kept.samples}
    assert left == {("pytorch:eager", 0), ("pytorch:eager", 1), ("jax:jit", 0)}
    (failure,) = kept.failures
    assert failure.contestant == "jax:jit" and "away from float64" in failure.reason and failure.condition == 1
