"""What an earlier part of an interrupted run has recorded, so that the rest of it need not begin again.

Processes die with their manager. The replicate that was being measured goes on in new processes under its old number, as
it does when a single worker is lost, with the rounds that are missing; replicates that were complete stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.errors import DataError
from assay.frameworks import find, frameworks
from assay.frameworks import target as find_target
from assay.measure.environment import Environment
from assay.measure.pace import ENDED
from assay.measure.plan import INFER, Task
from assay.measure.record import Costs, Header, Latency, Profile, Proved, Record, Sample

# What must be the same for samples to stand beside each other.
_MACHINE = ("cpu", "cpus", "machine", "python", "threads")
_REQUEST = ("contestants", "tasks", "twin_of", "seed", "proving", "effort", "constants", "conditions", "assay")


@dataclass(frozen=True)
class Past:
    """The earlier parts of a run. `changed`: contestants that cannot go on because their code is another, with the reason."""

    record: Record
    changed: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the earlier parts took, as far as is known: a part that was killed did not say."""
        if self.record.end is not None:
            return self.record.end.seconds
        moments = [sample.began_ns for sample in self.record.samples]
        return (max(moments) - min(moments)) / 1e9 if moments else 0.0

    @property
    def next_block(self) -> int:
        return max((sample.block for sample in self.record.samples), default=-1) + 1

    @property
    def next_wave(self) -> int:
        return max((sample.wave for sample in self.record.samples), default=-1) + 1

    def check(self, header: Header, machine: Environment) -> None:
        """Refuses to go on with another plan, with another assay, or on another machine."""
        before = self.record.header
        other = [name for name in _REQUEST if _plain(getattr(before, name)) != _plain(getattr(header, name))]
        if other:
            said = "; ".join(f"{name}: {getattr(before, name)} then, {getattr(header, name)} now" for name in other[:3])
            raise DataError(
                f"the run that was begun at {before.started} cannot be gone on with, it was another one ({said[:300]}): "
                "start anew"
            )
        for name in _MACHINE:
            then, now = getattr(self.record.environment, name), getattr(machine, name)
            if then != now:
                raise DataError(
                    f"the run was begun on another machine or setting ({name.replace('_', ' ')}: {then} then, {now} now): "
                    "times of both cannot stand in one comparison; start anew, and hold the two against each other with "
                    "`assay diff`"
                )

    def upgraded(self, machine: Environment) -> dict[str, str]:
        """Contestants whose framework has another version now than when the run was begun, with the reason."""
        return upgraded(self.record.header.contestants, self.record.environment.versions, machine.versions)

    def failed(self, condition: int) -> dict[str, tuple[str, bool]]:
        """Contestants that were out, with the reason, and whether for every condition."""
        return {
            failure.contestant: (failure.reason, failure.condition is None)
            for failure in self.record.failures
            if failure.condition in (None, condition)
        }

    @property
    def proved(self) -> dict[str, Proved]:
        """Proofs that need not be made again: those whose arrays are there to be judged."""
        return {
            proof.contestant: proof
            for proof in self.record.proofs
            if proof.arrays is not None and Path(proof.arrays).exists()
        }

    def has_curve(self, contestant: str, dtype: str, rounding: int) -> bool:
        return any(
            (curve.contestant, curve.dtype, curve.rounding) == (contestant, dtype, rounding)
            for curve in self.record.curves
        )

    def has_outputs(self, contestant: str, condition: int) -> bool:
        return any(
            (item.contestant, item.condition) == (contestant, condition) and Path(item.arrays).exists()
            for item in self.record.outputs
        )

    def has_pass(self, what: str, contestant: str, condition: int) -> bool:
        """True if a pass of its own (`latency`, `costs` or `profile`) was made with every task that it concerns."""
        passes: dict[str, tuple[Latency | Costs | Profile, ...]] = {
            "latency": self.record.latencies,
            "costs": self.record.costs,
            "profile": self.record.profiles,
        }
        mine = [fact for fact in passes[what] if (fact.contestant, fact.condition) == (contestant, condition)]
        tasks = [kind for kind, _ in self.record.header.tasks if what != "latency" or kind == INFER]
        return len(mine) >= len(tasks)

    def begun(self, condition: int) -> bool:
        """True if anything was timed under this condition."""
        return any(sample.condition == condition for sample in self.record.samples)

    def ended(self, condition: int) -> bool:
        """True if measuring under this condition came to its end."""
        decided = sum(decision.text.startswith(ENDED) for decision in self.record.decisions)
        return decided > condition or any(cold.condition > condition for cold in self.record.colds)

    def replicates(self, condition: int) -> int:
        """How many replicates were complete. The last one that was begun counts as incomplete: what it lacks, if
        anything, shows when its rounds are counted."""
        begun = {cold.process for cold in self.record.colds if cold.condition == condition}
        if not begun:
            return 0
        return max(begun) + 1 if self.ended(condition) else max(begun)

    def rounds(self, condition: int, process: int, task: Task, arms: Sequence[str]) -> int:
        """How many rounds of a replicate were done by all of these contestants together."""
        mine = [
            sample
            for sample in self.record.samples
            if (sample.condition, sample.process, sample.task, sample.batch_size)
            == (condition, process, task.kind, task.batch_size)
        ]
        done = 0
        for wave in sorted({sample.wave for sample in mine}):
            done = max(done, _complete([sample for sample in mine if sample.wave == wave], set(arms)))
        return done

    def calls(self, condition: int, task: Task) -> dict[str, int]:
        """The calls of each contestant's last sample."""
        return {
            sample.contestant: sample.calls
            for sample in self.record.samples
            if (sample.condition, sample.task, sample.batch_size) == (condition, task.kind, task.batch_size)
        }


def upgraded(contestants: Sequence[str], then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Contestants that depend on something whose version is another now than when the run was begun, with the reason."""
    found = {}
    for contestant in contestants:
        changed = [
            f"{name} was {then.get(name, 'not there')} when the run was begun and is {now.get(name, 'not there')} now"
            for name in distributions_of(contestant)
            if then.get(name) != now.get(name)
        ]
        if changed:
            found[contestant] = f"{'; '.join(changed)}: its samples cannot be put together"
    return found


def _complete(samples: Iterable[Sample], arms: set[str]) -> int:
    """The rounds of one wave that came to their end; none if not everybody, the A/A twin included, took part in it."""
    rounds: dict[int, set[tuple[str, bool]]] = {}
    for sample in samples:
        rounds.setdefault(sample.round, set()).add((sample.contestant, sample.twin))
    if not rounds:
        return 0
    first, last = min(rounds), max(rounds)
    if not {(name, False) for name in arms} <= rounds[first] or not any(twin for _, twin in rounds[first]):
        return 0
    return last + 1 if last == first or rounds[last - 1] <= rounds[last] else last


def distributions_of(contestant: str) -> tuple[str, ...]:
    """What has to be installed for a contestant, by the name that its version is known under."""
    target = contestant.rpartition(":")[0].partition("+")[0]
    framework = target.partition("/")[0]
    if framework not in frameworks() or "@" in target:  # an environment of its own: its lock does not change
        return ()
    backend = {"tensorflow": "tensorflow", "jax": "jax", "torch": "pytorch"}.get(find_target(target).backend or "")
    needed = list(find(framework).distributions)
    needed += find(backend).distributions if backend and backend != framework else []
    return tuple(dict.fromkeys(needed))


def _plain(value: object) -> object:
    """As JSON would give it back, lists being tuples."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
