"""How every record begins: what was asked for, and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from assay import __version__
from assay.measure.environment import Environment, environment
from assay.measure.plan import Plan
from assay.measure.record import FORMAT, Header


def now() -> str:
    """The date, for people; no duration is ever taken from it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def machine_of(plan: Plan, cpus: Sequence[int] = ()) -> Environment:
    return environment(plan.thread_count, cpus, plan.environment)


def header_of(plan: Plan) -> Header:
    return Header(
        format=FORMAT,
        assay=__version__,
        started=now(),
        contestants=tuple(entry.name for entry in plan.entries),
        tasks=tuple((task.kind, task.batch_size) for task in plan.tasks),
        twin_of=plan.twin_of,
        threads=plan.conditions[0].threads,
        seed=plan.seed,
        proving=plan.proving is not None,
        effort=asdict(plan.effort),
        constants=dict(plan.constants),
        conditions=tuple((condition.threads, condition.precision) for condition in plan.conditions),
    )
