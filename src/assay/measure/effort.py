"""How much work a measurement does, and how long it waits for a worker before it calls it hung."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

ENOUGH = 6  # processes of each contestant, from which on a difference between them is more than indicative


@dataclass(frozen=True)
class Limits:
    """Seconds after which a worker that has not answered is killed. Time for which we stopped it does not count."""

    start: float = 60.0  # Python itself and the import of the worker program
    load: float = 300.0  # `import`, `open`
    prove: float = 900.0
    compile: float = 900.0  # the first calls of one task
    call: float = 300.0  # anything else, samples included
    train_step: float = 300.0  # between two signs of life while training
    memory_bytes: int | None = None  # of one worker, in RAM; None: nine tenths of what programs may use here


@dataclass(frozen=True)
class Effort:
    """How long to measure. A replicate is one process of every contestant, all timed in the same rounds.

    `processes` replicates are measured in any case, unless a strict budget ends the run before. Their scatter tells how
    many are needed for intervals of `half_width`; so many follow, `most_processes` at most, as long as `budget_s` lasts.
    """

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
    most_processes: int = 1
    half_width: float = 0.02  # of the intervals that are wanted, as a relative difference
    budget_s: float | None = None  # no further replicate is begun if it would end after this
    strict_budget: bool = False  # the budget counts before `processes` are done, too
    own_twin: bool = False  # the A/A twin has a process of its own
    cold_processes: int = 0  # replicates that start with an empty compile cache
    restarts: int = 3  # of a contestant's lost workers in one run
    latency_seconds: float = 1.0  # at most, for the single calls that percentiles are taken from
    energy_seconds: float = 1.0  # how long a task runs while energy counters are read
    attribute: bool = False  # a profile of each contestant in a process of its own tells where its time goes
    costs: bool = False  # starts, memory, energy and artefacts are measured in processes of their own
    limits: Limits = field(default=Limits())


def is_indicative(processes: int) -> bool:
    """True if too few processes are measured to tell a difference between frameworks from one between processes."""
    return processes < ENOUGH


def describe(processes: int) -> str:
    """What must stand beside every number that comes from so many processes of each contestant."""
    if processes == 1:
        return "indicative: one process per contestant"
    if is_indicative(processes):
        return f"indicative: {processes} processes per contestant"
    return f"{processes} processes per contestant"


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
# On shared machines samples of 50 ms scatter by 4 to 6 % within a process, and their medians by less than 1 % between
# processes; starting one costs as much as some twenty samples. So more samples in each process are worth their time.
STANDARD = replace(
    QUICK,
    name="standard",
    processes=ENOUGH,
    rounds=25,
    arm_seconds=3.0,
    most_processes=30,
    budget_s=900.0,
    own_twin=True,
    latency_seconds=10.0,
    costs=True,
)
RIGOROUS = replace(
    STANDARD, name="rigorous", processes=10, most_processes=60, half_width=0.01, budget_s=3600.0, cold_processes=3
)
EFFORTS = {effort.name: effort for effort in (QUICK, STANDARD, RIGOROUS)}
