"""The proof of a model in every framework: packages written, evidence made, workers asked, results judged."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from assay.errors import AssayError
from assay.frameworks import Contestant
from assay.measure import Entry, Plan, ProofResult, Proving, measure
from assay.measure.venvs import Environment
from assay.model import Model
from assay.prove import FLOAT32, Check, Judge, Proof
from assay.prove.bisect import bisect, line_of
from assay.prove.evidence import DYADIC, Evidence, disturbed, gather
from assay.prove.oracle import evaluate
from assay.prove.results import deviation, read_results
from assay.verbs.contestants import Field
from assay.write import Package, write

OnProof = Callable[[Proof], None]

# Half the digits more than one rounding: what any order of a few hundred additions may cost in float32.
SMALLEST_FLOAT32 = 32 * float(np.finfo(np.float32).eps)


@dataclass
class Written:
    """The packages of a model: as they are timed, and with the weights that the proof is made on."""

    packages: dict[str, Package]  # by target
    refused: dict[str, str]  # target → why it cannot be written


def write_all(model: Model, targets: tuple[str, ...], *, wide: bool = False) -> Written:
    """Every target's package; one that cannot express the model is refused with its reason, the others go on.

    `wide`: as the proof needs it, with float32 that the graph spells out as float64.
    """
    packages: dict[str, Package] = {}
    refused: dict[str, str] = {}
    for target in targets:
        try:
            packages[target] = write(model, target, wide=wide)
        except AssayError as error:
            refused[target] = str(error)
    return Written(packages, refused)


def save_all(packages: Mapping[str, Package], folder: Path, data: Path | None = None) -> dict[str, Path]:
    """Saves each package into a folder of its own; target → folder."""
    return {name: package.save(folder / name.replace("/", "-"), data) for name, package in packages.items()}


@dataclass
class Prover:
    """Judges contestants as their float64 results come in from the workers."""

    model: Model
    field: Field
    folder: Path
    seed: int = 0
    on_proof: OnProof | None = None
    proofs: dict[str, Proof] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def disturbed(self) -> Model:
        return disturbed(self.model, self.seed)

    @cached_property
    def evidence(self) -> Evidence:
        return gather(self.model, self.seed)

    @cached_property
    def packages(self) -> dict[str, Package]:
        written = write_all(self.disturbed, self.field.targets, wide=True).packages
        return {item.code: written[item.target] for item in self.field.contestants if item.target in written}

    @cached_property
    def judge(self) -> Judge:
        inputs = {
            value.name or "": array for value, array in zip(self.model.graph.inputs, self.evidence.inputs, strict=True)
        }
        truth = tuple(evaluate(self.disturbed, inputs))
        return Judge(self.disturbed, truth, self.model.training is not None)

    def proving(self) -> Proving:
        """What workers are asked for, with the packages saved that it is asked of."""
        arrays = self.folder / "evidence.npz"
        self.evidence.save(arrays)
        folders = save_all(self.packages, self.folder / "packages")
        training = self.model.training is not None
        return Proving(
            arrays, constants=self.constants, steps=len(self.evidence.steps), training=training, folders=folders
        )

    @cached_property
    def constants(self) -> dict[str, object]:
        """The dyadic values of those constants that the written training code has."""
        texts = [package.files.get("train.py", "") for package in self.packages.values()]
        return {
            name: value for name, value in DYADIC.items() if all(re.search(rf"(?m)^{name}\b", text) for text in texts)
        }

    def __call__(self, contestant: Contestant, result: ProofResult) -> str | None:
        """The callback that `measure` asks: None for equal, else the reason in one line."""
        package = self.packages[contestant.code]
        results = read_results(result.arrays, package.model, package.weights, result.dropout)
        proof = replace(self.judge.judge(contestant, package, results, result.errors), reduced=self.evidence.reduced)
        self.keep(proof)
        return None if proof.status == "equal" else proof.reason or proof.status

    def keep(self, proof: Proof) -> None:
        self.proofs[proof.contestant] = proof
        if self.on_proof is not None:
            self.on_proof(proof)

    def check_timed(self, outputs: Mapping[str, Path]) -> None:
        """The float32 outputs of the timed processes (contestant → arrays) against the oracle: at most twice the
        reference's error. It holds kernels to account that exist in float32 only."""
        errors = self.timed_errors(outputs)
        if not errors:
            return
        reference = self.judge.reference[0] if self.judge.reference is not None else ""
        limit = max(2 * errors.get(reference, min(errors.values())), SMALLEST_FLOAT32)
        tensor = self.model.graph.outputs[0].name
        for name, error in errors.items():
            proof = self.proofs.get(name)
            if proof is None:
                continue
            status = "equal" if error <= limit else "different"
            check = Check(FLOAT32, status, len(self.model.graph.outputs), tensor, error, limit)
            reason = proof.reason
            if status == "different" and proof.status == "equal":
                reason = f"the timed outputs are {error:.1e} away from float64, at most {limit:.1e} expected"
            worse = status if proof.status == "equal" else proof.status
            self.keep(replace(proof, status=worse, reason=reason, checks=(*proof.checks, check)))

    def timed_errors(self, outputs: Mapping[str, Path]) -> dict[str, float]:
        """How far the outputs of timed processes (contestant → arrays) are from the float64 truth, at the most."""
        return {name: max(_deviations(path, self._timed_truth)) for name, path in outputs.items()}

    @cached_property
    def _timed_truth(self) -> list[np.ndarray]:
        inputs = {v.name or "": array for v, array in zip(self.model.graph.inputs, self.evidence.inputs, strict=True)}
        return list(evaluate(self.model, inputs))

    def explain(self, budget: float = 60.0) -> None:
        """Finds the first diverging node of every contestant that is different, within a time."""
        deadline = time.monotonic() + budget
        run = partial(run_in_worker, environments=self.field.environments)
        for contestant in self.field.contestants:
            proof = self.proofs.get(contestant.name)
            if proof is None or proof.status != "different" or time.monotonic() > deadline:
                continue
            package = self.packages[contestant.code]
            divergence = bisect(self.disturbed, contestant, package, self.evidence, self.folder, proof, run)
            if divergence is not None:
                equal = self._proven_equal(but=contestant.code)
                line = line_of(self.packages[equal], divergence.node) if equal is not None else None
                self.keep(replace(proof, divergence=replace(divergence, reference=line)))

    def _proven_equal(self, but: str) -> str | None:
        """Another package that is proven equal, whose code shows how it should be."""
        equal = {name for name, proof in self.proofs.items() if proof.status == "equal"}
        found = (item.code for item in self.field.contestants if item.code != but and item.name in equal)
        return next((code for code in found if code in self.packages), None)


def run_in_worker(
    contestant: Contestant, package: Path, evidence: Path, environments: tuple[Environment, ...] = ()
) -> list[np.ndarray]:
    """The float64 outputs of a package, computed in a worker process in the contestant's mode."""
    found: list[np.ndarray] = []

    def keep(_: Contestant, result: ProofResult) -> None:
        with np.load(result.arrays, allow_pickle=False) as arrays:
            count = sum(name.startswith("output/") for name in arrays.files)
            found.extend(arrays[f"output/{index}"] for index in range(count))

    proving = Proving(evidence, training=False, dropout_shape=None)
    folder = package.parent / f"{package.name}-run"
    measure(Plan((Entry(contestant, package),), folder, proving=proving, environments=environments), prove=keep)
    return found


def _deviations(path: Path, truth: Sequence[np.ndarray]) -> list[float]:
    """How far each output in a file is from the truth."""
    with np.load(path, allow_pickle=False) as arrays:
        return [deviation(arrays[f"output/{index}"], expected) for index, expected in enumerate(truth)]
