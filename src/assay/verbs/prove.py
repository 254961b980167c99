"""`prove`: equality only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.measure import Entry, Plan, measure
from assay.measure import events as measuring
from assay.model import Model
from assay.prove import Proof
from assay.show import facts
from assay.verbs.compare import Watcher
from assay.verbs.contestants import Field, choose
from assay.verbs.convert import proof_facts
from assay.verbs.proving import Prover, write_all


def prove(
    model: Model,
    frameworks: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    seed: int = 0,
    watch: Callable[[Field], Watcher] | None = None,
) -> tuple[facts.Proof, ...]:
    """The float64 proof of a model in each contestant's own mode.

    Raises `FrameworkMissing` if nothing is installed; a contestant that crashes is "not-run" with its reason.
    """
    field = choose(frameworks, modes)
    watcher = watch(field) if watch is not None else Watcher()
    with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
        folder = Path(temporary)
        prover = Prover(model, field, folder / "proof", seed, lambda proof: watcher.proof(proof_facts(proof)))
        refused = write_all(model, field.targets).refused
        for item in field.contestants:
            if item.target in refused:
                prover.keep(Proof(item.name, "not-run", refused[item.target]))
        entries = [item for item in field.contestants if item.target not in refused]
        if entries:
            proving = prover.proving()
            plan = Plan(
                tuple(Entry(item, proving.folders[item.target]) for item in entries),
                folder / "run",
                proving=proving,
                seed=seed,
            )

            def tell(event: measuring.Event) -> None:
                if isinstance(event, measuring.StateChanged):
                    # There is nothing after the proof here: its row is ready.
                    state = measuring.DONE if event.state == measuring.PROVED else event.state
                    watcher.state(event.contestant, state, event.detail)

            record = measure(plan, prove=prover, on_event=tell)
            for failure in record.failures:
                if failure.contestant not in prover.proofs:
                    prover.keep(Proof(failure.contestant, "not-run", failure.reason))
            if not record.interrupted:
                prover.explain()
    interrupted = "interrupted before its proof"
    return tuple(
        proof_facts(prover.proofs.get(item.name) or Proof(item.name, "not-run", interrupted))
        for item in field.contestants
    )
