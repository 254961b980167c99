"""Each framework's version of a model with the framework's own defaults: other maths, measured beside the model's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from assay.frameworks import Contestant
from assay.judge import judge
from assay.measure import ProofResult, Proving, Record
from assay.model import Model
from assay.prove import Proof
from assay.show import facts
from assay.verbs.contestants import Field
from assay.verbs.explain import out_of_the_box
from assay.verbs.proving import OnProof, Prover, write_all
from assay.write import Package

OWN = "own"


@dataclass(frozen=True)
class Variant:
    """A version of the model, as written for one contestant; without a package where it would be the same code."""

    contestant: Contestant
    beside: str  # the contestant with the model's own numbers
    model: Model
    changes: tuple[str, ...]  # "BatchNormalization: epsilon 0.001 (3 times)"
    package: Package | None


def own_defaults(model: Model, field: Field) -> tuple[Variant, ...]:
    """The contestants that run with their framework's own defaults: of each target the first mode that takes part."""
    found: dict[str, Variant] = {}
    for item in field.contestants:
        if item.host in found:
            continue
        changed, changes = out_of_the_box(model, item.framework)
        written = write_all(changed, (item.target,)).packages if changes else {}
        found[item.host] = Variant(replace(item, variant=OWN), item.name, changed, changes, written.get(item.target))
    return tuple(found.values())


def measured(variants: Sequence[Variant]) -> tuple[Contestant, ...]:
    """The contestants of those variants that differ from the model."""
    return tuple(item.contestant for item in variants if item.package is not None)


class Provers:
    """The proofs of a comparison: of the model, and of each variant, whose truth is its own numbers."""

    def __init__(
        self, model: Model, field: Field, variants: Sequence[Variant], folder: Path, seed: int, on_proof: OnProof
    ) -> None:
        self.main = Prover(model, field, folder, seed, on_proof)
        self.variants = {
            item.contestant.name: Prover(
                item.model,
                Field((item.contestant,), (), (), field.environments),
                folder.with_name(f"{folder.name}-{re.sub('[/@]', '-', item.contestant.host)}"),
                seed,
                on_proof,
            )
            for item in variants
            if item.package is not None
        }

    def __call__(self, contestant: Contestant, result: ProofResult) -> str | None:
        return self.variants.get(contestant.name, self.main)(contestant, result)

    @cached_property
    def _all(self) -> tuple[Prover, ...]:
        return (self.main, *self.variants.values())

    def proving(self) -> Proving:
        """What workers are asked for: all the same, of packages that are not."""
        found = [prover.proving() for prover in self._all]
        folders = {name: place for proving in found[1:] for name, place in proving.folders.items()}
        constants = {
            name: value for name, value in found[0].constants.items() if all(name in one.constants for one in found)
        }
        return replace(found[0], folders={**found[0].folders, **folders}, constants=constants)

    def explain(self) -> None:
        """Finds the first diverging node of every contestant that is different."""
        for prover in self._all:
            prover.explain()

    @property
    def proofs(self) -> Mapping[str, Proof]:
        return {name: proof for prover in self._all for name, proof in prover.proofs.items()}


def own_defaults_facts(
    variants: Sequence[Variant], record: Record, proofs: Mapping[str, facts.Proof]
) -> tuple[facts.OwnDefaults, ...]:
    """What was found of the variants, each beside the contestant with the model's own numbers."""
    return tuple(
        _facts(item, record, proofs[item.contestant.name])
        if item.package is not None
        else facts.OwnDefaults(item.contestant.name, item.beside, item.changes, proofs[item.beside])
        for item in variants
    )


def _facts(variant: Variant, record: Record, proof: facts.Proof) -> facts.OwnDefaults:
    name, beside = variant.contestant.name, variant.beside
    pair = record.only((name, beside)).under(0)
    speeds = []
    for task in judge(pair).tasks if proof.status == "equal" else ():
        for found in task.comparisons:
            told = found if found.a == name else found.turned()  # the variant's time over the other's
            outcome = cast("facts.Outcome", told.outcome.replace(" ", "-"))
            speeds.append(
                facts.OwnSpeed(cast("facts.Task", task.task), task.batch_size, told.ratio, told.interval, outcome)
            )
    losses = {item.contestant: item.losses for item in record.curves if item.dtype == "float32" and item.losses}
    return facts.OwnDefaults(
        contestant=name,
        beside=beside,
        changes=variant.changes,
        proof=proof,
        speeds=tuple(speeds),
        last_loss=_last(losses, name),
        last_loss_beside=_last(losses, beside),
        steps=len(losses.get(name, ())),
    )


def _last(losses: Mapping[str, Any], name: str) -> float | None:
    found = losses.get(name)
    return float(found[-1]) if found else None
