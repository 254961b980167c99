"""One case of the zoo, in a process of its own: made, brought, written, computed by its own framework, proven.

python -m assay.testing.zoo.trial SOURCE CASE --target pytorch --target jax --folder F --result result.json
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib
import json
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import assay
from assay.errors import AssayError, ModelError
from assay.frameworks import Contestant
from assay.measure import Entry, Plan, ProofResult, host, measure
from assay.measure import proving as computing
from assay.measure.effort import QUICK, Effort, Limits
from assay.model import Model, shape_of
from assay.nn.optimizers import SGD, Training
from assay.prove import Judge, Proof
from assay.prove.evidence import Evidence, gather
from assay.prove.results import Results, read_results
from assay.testing.zoo.case import Case, Made, Source, find_source
from assay.verbs.contestants import Field, choose
from assay.verbs.proving import Prover
from assay.write import Package, write
from assay.write.weights import origins, to_native

STEPS = 3
SEED = 0
_EFFORT: Effort = dataclasses.replace(QUICK, slots=1, limits=Limits(load=900, prove=3600))

Facts = dict[str, Any]


class _Against(Prover):
    """A prover whose truth is what the source computed itself."""

    reference: tuple[str, Results]
    source: str  # its framework
    given: Evidence
    written: dict[str, Package]

    @cached_property
    def disturbed(self) -> Model:
        return self.model

    @cached_property
    def evidence(self) -> Evidence:
        return self.given

    @cached_property
    def packages(self) -> dict[str, Package]:
        return self.written

    @cached_property
    def judge(self) -> Judge:
        return Judge(self.model, self.reference[1].outputs, True, self.reference, self.source)


class Trial:
    """What is known of a case so far; `facts` is what the file of results will say."""

    def __init__(self, source_name: str, case: Case, source: Source, field: Field, folder: Path) -> None:
        self._source_name = source_name
        self._source = source
        self._case = case
        self._field = field
        self._folder = folder
        self.facts: Facts = {"name": case.name, "remark": case.remark, "seconds": {}, "frameworks": {}}

    def run(self) -> Facts:
        """Every stage in turn; what fails is said, and what depends on it is left out."""
        try:
            prover = self._prover()
            gc.collect()  # the original is not needed any more
            self._prove(prover)
        except AssayError as error:
            self.facts["error"] = f"{type(error).__name__}: {error}"
        except Exception as error:  # the source's own code may raise anything
            traceback.print_exc()
            self.facts["error"] = computing.summary(error)
        self.facts["peak_bytes"] = host.high_water_bytes()
        return self.facts

    def _prover(self) -> _Against:
        """The packages with the evidence, and what the original computes on that."""
        made, model = self._timed("bring", self._bring)
        original, model = self._original(made, model)
        prover = _Against(model, self._field, self._folder / "proof", SEED)
        prover.written = self._written(model)
        self._strict(made, prover.written)
        prover.given = self._evidence(made, model)
        reference = self._timed("original", lambda: self._reference(original, prover, model))
        prover.reference, prover.source = (self._source_name, reference), self._source.FRAMEWORK
        return prover

    def _timed(self, stage: str, work: Any) -> Any:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.facts["seconds"][stage] = round(time.perf_counter() - started, 2)

    def _bring(self) -> tuple[Made, Model]:
        made = self._case.make()
        model = assay.load(made.model, inputs=made.example)
        training = Training(made.loss, SGD(0.01, momentum=0.9), batch_size=self._case.examples, epochs=1, metric="loss")
        self.facts |= {
            "inputs": [[value.name, *shape_of(value)] for value in model.graph.inputs],
            "outputs": [[value.name, *shape_of(value)] for value in model.graph.outputs],
            "parameters": sum(array.size for array in model.weights().values()),
            "nodes": len(list(model.graph)),
            "notes": list(model.notes),
        }
        return made, dataclasses.replace(model, name=self._case.name, training=training)

    def _original(self, made: Made, model: Model) -> tuple[Any, Model]:
        """The source's own model alive, with weights at which no two parts look alike; and the brought one with the same.

        Before that, its weights must be those that were brought.
        """
        assert model.training is not None
        module = importlib.import_module(f"assay.testing.zoo.originals.{self._source.FRAMEWORK}")
        original = module.Original(made.model, made.example, model.training)
        maps = origins(model)
        own = original.state()
        for name, array in to_native(maps, model.weights()).items():
            if name not in own or not np.array_equal(own[name], array):
                raise ModelError(f"the weight {name} was not brought as it is")
        absent = sorted(set(own) - {item.native for item in maps})
        self.facts["absent"] = [name for name in absent if not name.endswith("num_batches_tracked")]
        varied = model.with_weights(_varied(model))
        original.set_state(to_native(maps, varied.weights()))
        return original, varied

    def _written(self, model: Model) -> dict[str, Package]:
        """The packages that are proven; how a user's own would read is told by its number of lines."""
        packages = {}
        for target in self._field.targets:
            found: Facts = self.facts["frameworks"].setdefault(target, {})
            started = time.perf_counter()
            try:
                packages[target] = write(model, target, wide=True)
                found["lines"] = packages[target].files["model.py"].count("\n")
            except AssayError as error:
                found |= {"status": "not-written", "reason": str(error)}
            except Exception as error:  # a fault of ours, which must not hide the other frameworks' results
                traceback.print_exc()
                found |= {"status": "not-written", "reason": computing.summary(error)}
            found["write_seconds"] = round(time.perf_counter() - started, 2)
        return packages

    def _strict(self, made: Made, written: Mapping[str, Package]) -> None:
        """Whether what is written in the source's own framework loads the source's own weights by their names."""
        if self._source.FRAMEWORK != "pytorch" or "pytorch" not in written:
            return
        found = self.facts["frameworks"]["pytorch"]
        module = importlib.import_module("assay.testing.zoo.originals.strict")
        try:
            found |= module.kept(made.model, written["pytorch"])
        except Exception as error:  # the written code's own, which the proof will meet too
            found |= {"strict": False, "strict_error": computing.summary(error)}

    def _evidence(self, made: Made, model: Model) -> Evidence:
        size = shape_of(model.graph.inputs[0])[0]
        examples = size if isinstance(size, int) else self._case.examples  # it may be fixed, as the notes say then
        evidence = gather(model, SEED, examples, STEPS)
        if made.batch is None:
            return evidence
        generator = np.random.Generator(np.random.Philox(key=[SEED, 0x2005]))
        steps = tuple((made.batch(generator, examples), targets) for _, targets in evidence.steps)
        return Evidence(made.batch(generator, examples), evidence.targets, steps)

    def _reference(self, original: Any, prover: Prover, model: Model) -> Results:
        arrays, save = self._folder / "given.npz", self._folder / "original.npz"
        prover.evidence.save(arrays)
        reply = computing.run(lambda: original, save, str(arrays), prover.constants, STEPS, None, True)
        if reply["errors"]:
            raise ModelError("; ".join(f"the original's {stage}: {text}" for stage, text in reply["errors"].items()))
        return read_results(save, model, origins(model))

    def _prove(self, prover: _Against) -> None:
        results: dict[str, ProofResult] = {}
        proving = prover.proving()
        contestants = [item for item in self._field.contestants if item.target in prover.packages]

        def prove(contestant: Contestant, result: ProofResult) -> str | None:
            results[contestant.target] = result
            return prover(contestant, result)

        if not contestants:
            return
        entries = tuple(Entry(item, proving.folders[item.target]) for item in contestants)
        record = measure(Plan(entries, self._folder / "run", proving=proving, effort=_EFFORT), prove=prove)
        failed = {item.contestant: item.reason for item in record.failures}
        for item in contestants:
            reason = failed.get(item.name, "no proof came")
            proof = prover.proofs.get(item.name) or Proof(item.name, "not-run", reason)
            self.facts["frameworks"][item.target] |= _told(proof, results.get(item.target))


def _varied(model: Model) -> dict[str, np.ndarray]:
    """Weights at which no two parts look alike: noise for those that are all the same number, such as fresh biases and
    scales, and for running statistics. Others are random already, and stay in proportion to their layer's size."""
    generator = np.random.Generator(np.random.Philox(key=[SEED, 0xD157]))
    arrays = {}
    for name, array in model.weights().items():
        if model.role(model.graph.initializers[name]) == "statistic":
            noise = np.abs(generator.standard_normal(array.shape))
            arrays[name] = (np.abs(array) * 0.5 + 0.25 + 0.25 * noise).astype(array.dtype)
        elif array.size and np.ptp(array) == 0:
            arrays[name] = (array + 0.1 * generator.standard_normal(array.shape)).astype(array.dtype)
    return arrays


def _told(proof: Proof, result: ProofResult | None) -> Facts:
    found: Facts = {"contestant": proof.contestant, "status": proof.status}
    if proof.reason is not None:
        found["reason"] = proof.reason
    found["checks"] = {
        item.check: {"status": item.status, "tensors": item.tensors, "error": item.error, "tensor": item.tensor}
        for item in proof.checks
        if item.tensors or item.status != "equal"
    }
    if proof.allowances:
        found["allowances"] = list(proof.allowances)
    if result is not None:
        found |= {"prove_seconds": round(result.seconds, 2), "peak_bytes": result.high_water_bytes}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="assay.testing.zoo.trial", description="One case of the zoo; started by it.")
    parser.add_argument("source")
    parser.add_argument("case")
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args(arguments)
    host.die_with_parent(options.parent)
    source = find_source(options.source)
    os.environ.update(source.ENVIRONMENT)
    case = next(item for item in source.cases() if item.name == options.case)
    field = choose(options.target, ["default"])
    facts = Trial(options.source, case, source, field, options.folder).run()
    options.result.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
