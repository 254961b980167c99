"""How much work a measurement does, and how long it waits for a worker before it calls it hung."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Seconds after which a worker that has not answered is killed. Time for which we stopped it does not count."""

    start: float = 60.0  # Python itself and the import of the worker program
    load: float = 300.0  # `import`, `open`
    prove: float = 900.0
    compile: float = 900.0  # the first calls of one task
    call: float = 300.0  # anything else, samples included
    train_step: float = 300.0  # between two signs of life while training


@dataclass(frozen=True)
class Effort:
    """How long to measure. `processes` is the number of independent replicates of every contestant."""

    name: str
    processes: int  # replicates; a verdict that claims more than "indicative" needs at least 6
    rounds: int  # samples of each arm in each process
    sample_seconds: float  # the fastest arm's sample lasts at least this long
    longest_sample: float  # arms whose sample would last longer than this get a smaller number of calls
    arm_seconds: float  # an arm whose samples take longer than this altogether takes part in fewer rounds
    warmup_calls: int
    warmup_seconds: float  # warm-up of a slow arm ends after this, even with fewer calls
    fewest_rounds: int = 5
    first_rounds: int = 6  # of the first wave, whose members are all in the last wave too
    batches: int = 8  # distinct batches in rotation
    slots: int = 2  # workers that prepare at the same time while nothing is timed
    limits: Limits = field(default=Limits())

    @property
    def indicative(self) -> bool:
        """True if too few processes are measured to tell a difference between frameworks from one between processes."""
        return self.processes < 6

    @property
    def label(self) -> str:
        """What must stand beside every number of this effort."""
        if self.processes == 1:
            return "indicative: one process per contestant"
        if self.indicative:
            return f"indicative: {self.processes} processes per contestant"
        return f"{self.processes} processes per contestant"


# Nine rounds are the fewest whose 95 % interval of the median leaves out the worst sample on either side.
QUICK = Effort(
    name="quick",
    processes=1,
    rounds=9,
    sample_seconds=0.05,
    longest_sample=0.16,  # so that arms that differ up to threefold have one number of calls
    arm_seconds=2.0,
    warmup_calls=10,
    warmup_seconds=1.5,
)
