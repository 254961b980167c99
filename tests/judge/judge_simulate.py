"""Records of contestants whose true speeds are known, with the noise that real machines have."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.measure.environment import Environment
from assay.measure.record import FORMAT, Cold, End, FirstCalls, Header, Record, Sample, Warmup

MACHINE = Environment(
    "Linux", "CPython 3.11", "x86_64", "a CPU", 2, (0, 1), (0, 1), 2, None, None, None, None, 0.0, 0, True
)


@dataclass(frozen=True)
class Noise:
    """Relative standard deviations of what shifts a sample's time."""

    sample: float = 0.01  # each sample on its own
    block: float = 0.05  # all samples of a round together: the machine's load
    process: float = 0.01  # all samples of a process together: its memory layout
    outliers: float = 0.0  # the part of samples that something interrupts


def record(
    speeds: Mapping[str, float],
    noise: Noise,
    seed: int = 0,
    processes: int = 1,
    rounds: int = 9,
    tasks: tuple[tuple[str, int], ...] = (("train", 64),),
    starts: Mapping[str, float] | None = None,
    memory: Mapping[str, int] | None = None,
    twin: bool = True,
    **changes: Any,
) -> Record:
    """Samples of every contestant (name → true seconds a call; a twin of the first) in interleaved rounds."""
    draw = random.Random(seed)
    first = next(iter(speeds))
    arms = [(name, False) for name in speeds] + ([(first, True)] if twin else [])
    samples: list[Sample] = []
    block = 0
    for process in range(processes):
        # A twin in the same process shares its layout; one in a process of its own does not.
        layout = {arm: draw.gauss(0, noise.process) for arm in arms}
        if processes == 1 and twin:
            layout[first, True] = layout[first, False]
        for number in range(rounds):
            for kind, size in tasks:
                load = abs(draw.gauss(0, noise.block))
                for position, arm in enumerate(draw.sample(arms, len(arms))):
                    shift = layout[arm] + load + draw.gauss(0, noise.sample)
                    shift += draw.uniform(0.5, 2) if draw.random() < noise.outliers else 0
                    wall = round(10 * speeds[arm[0]] * math.exp(shift) * 1e9)
                    samples.append(
                        Sample(
                            arm[0], arm[1], process, kind, size, 0, number, block, position,
                            10, wall, wall, 0, 0, 0, 0, block * 1000 + position,
                        )
                    )  # fmt: skip
                block += 1
    effort = {
        "name": "quick" if processes == 1 else "standard",
        "fewest_rounds": min(5, rounds),
        "processes": min(processes, 6),
        "most_processes": 1 if processes == 1 else 30,
        "half_width": 0.02,
    }
    header = Header(FORMAT, "0", "now", tuple(speeds), tasks, first, 2, seed, False, effort, {})
    colds = tuple(
        Cold(name, process, seconds / 2, seconds / 2, seconds / 4, seconds / 4, 0, False)
        for name, seconds in (starts or {}).items()
        for process in range(processes)
    )
    firsts = tuple(
        FirstCalls(
            name, process, kind, size, (seconds / 4, 0.01, 0.01), (seconds / 4, 0.01, 0.01), (1, 0, 0),
            (memory or {}).get(name, 100_000_000), True, False,
        )
        for name, seconds in (starts or {}).items()
        for process in range(processes)
        for kind, size in tasks
    )  # fmt: skip
    warmups = tuple(Warmup(name, 0, kind, size, (0.01,) * 10, 0, "flat") for name in speeds for kind, size in tasks)
    facts: dict[str, Any] = {
        "header": header,
        "environment": MACHINE,
        "samples": tuple(samples),
        "colds": colds,
        "first_calls": firsts,
        "warmups": warmups,
        "end": End(1.0, False),
    }
    return Record(**(facts | changes))
