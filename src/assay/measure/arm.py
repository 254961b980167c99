"""What the manager knows about a contestant while a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from assay.frameworks.base import Contestant
from assay.measure.plan import Entry
from assay.measure.process import WorkerProcess


@dataclass
class Arm:
    """One contestant, or its A/A twin: the same once more. `worker` is the process that is timed."""

    entry: Entry
    twin: bool = False
    worker: WorkerProcess | None = None
    process: int = 0  # which replicate `worker` is
    condition: int = 0  # which of the plan's conditions `worker` was started under
    proven: bool = False
    prepared: bool = False  # the first calls of every task have been made
    reason: str | None = None  # why it is out
    out_for_good: bool = False  # under every condition: its proof failed
    seconds: dict[str, float] = field(default_factory=dict)  # task → seconds of a warm call
    losses: int = 0  # workers that it has lost

    @property
    def name(self) -> str:
        """Its own; the twin's is `pytorch:eager (twin)`, so that no fact about it is taken for its contestant's."""
        return f"{self.entry.name} (twin)" if self.twin else self.entry.name

    @property
    def contestant(self) -> Contestant:
        return self.entry.contestant

    def begin(self, process: int) -> None:
        """Forgets the last process: the next one has still to be started."""
        self.worker, self.process, self.prepared, self.seconds = None, process, False, {}

    def settled(self, timed: bool) -> bool:
        """True if the background has nothing left to do for it."""
        return self.reason is not None or (self.proven and (self.prepared or not timed))


# How a stage says that a contestant is out: which one, at what stage, and why.
Fail = Callable[[Arm, str, str], None]
# How a stage says where a contestant is: its name, the state, a detail.
TellState = Callable[[str, str, str], None]
