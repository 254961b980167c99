"""What our worker adds to a step: the same package timed by a worker and by a bare script, interleaved.

    python benchmarks/worker_overhead.py PACKAGE pytorch:eager [--threads 2] [--samples 20] [--processes 6]

PACKAGE is a folder that `assay write` left. The bare script is what a person would write to time `train.py`'s own step:
a loop over batches between two readings of the clock, nothing else. Both run in processes of their own with the same
threads and CPUs; samples alternate (worker first, then script first, and so on), and the whole is repeated with new
pairs of processes, because two processes that run the same code differ by their memory layout alone. Both keep the memory
that they free: glibc's allocator else gives a part of it back at every step, how much depends on all that the process has
allocated before, and with a fifth more page faults a step of PyTorch takes 5 % longer, in the script as in the worker. Printed
is the mean over pairs of the median ratio worker / script with Student's 95 % interval, for wall and for CPU time; the second
suffers less from other programs. Exit status 1 if the worker's step is more than 1 % longer and the interval says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from assay.frameworks import Contestant, find
from assay.judge import paired
from assay.measure.crew import Crew
from assay.measure.process import worker_environment

LIMIT = 0.01
# No memory is given back to the system, and none is mapped for one array alone.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_THRESHOLD_": str(1 << 40)}

BARE = """
import os, sys, time
from itertools import cycle, islice
folder, mode, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.sched_setaffinity(0, [int(cpu) for cpu in sys.argv[4].split(",")])
sys.path.insert(0, folder)
import model, train
train.LEARNING_RATE = 1e-9
{setup}
stride = size if 8 * size <= len(y) else (len(y) - size) // 8
assert stride > 0, "the data has too few examples for 8 batches"
batches = [(x[i * stride : i * stride + size], y[i * stride : i * stride + size]) for i in range(8)]
def loop(calls):
{loop}
for line in sys.stdin:
    calls = int(line)
    if calls < 0:
        break
    loop(2)
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    loop(calls)
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    print(wall, cpu, flush=True)
"""

# How a fluent person times the step of this framework's train.py.
SCRIPTS = {
    "pytorch": (
        """
import torch
torch.set_num_interop_threads(1)
x, y = train.load_data("train")
net = model.load()
net.train()
step = train.make_train_step(net, train.make_optimizer(net), mode)
""",
        """
    for x, y in islice(cycle(batches), calls):
        step(x, y)
""",
    ),
    "jax": (
        """
import jax
x, y = map(jax.device_put, train.load_data()[0])
net, optimizer = model.load(), train.make_optimizer()
state = train.make_state(net, optimizer)
step = train.make_train_step(net, optimizer, mode)
""",
        """
    global state
    for x, y in islice(cycle(batches), calls):
        state, loss = step(state, x, y)
    jax.block_until_ready((state, loss))
""",
    ),
}


class Script:
    """The bare script, alive in a process."""

    def __init__(
        self, package: Path, contestant: Contestant, size: int, cpus: list[int], environment: Mapping[str, str]
    ) -> None:
        setup, loop = SCRIPTS[contestant.framework]
        text = BARE.format(setup=setup, loop=loop)
        self._process = subprocess.Popen(
            [sys.executable, "-c", text, str(package), contestant.mode, str(size), ",".join(map(str, cpus))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
            start_new_session=True,  # as the worker: Linux shares the CPUs between sessions, not processes
        )

    def sample(self, calls: int) -> tuple[int, int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        wall, cpu = self._process.stdout.readline().split()
        return int(wall), int(cpu)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def pair(
    package: Path, contestant: Contestant, size: int, threads: int, samples: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Samples (wall, CPU) of one worker and of one script, in nanoseconds."""
    with tempfile.TemporaryDirectory() as folder, Crew(Path(folder), threads) as crew:
        worker = crew.start("overhead", contestant)
        crew.answer(worker)
        crew.call(worker, "load", 300)
        crew.call(worker, "open", 300, folder=str(package), mode=contestant.mode, dtype="float32")
        data, constants = str(package / "data.safetensors"), {"LEARNING_RATE": 1e-9}
        crew.call(worker, "place", 300, data=data, tasks=[("train", size)], count=8, constants=constants)
        task = f"train/{size}"
        crew.call(worker, "first", 900, task=task)
        times = crew.call(worker, "warm", 300, task=task, calls=20, seconds=2.0)["times_ns"]
        calls = max(1, math.ceil(0.1e9 / statistics.median(times)))
        extra = find(contestant.framework).environment
        script = Script(package, contestant, size, crew.cpus, worker_environment(threads, "none", extra))
        script.sample(10)
        ours, theirs = [], []
        for number in range(samples):
            for which in ("worker", "script") if number % 2 else ("script", "worker"):
                if which == "worker":
                    reply = crew.call(worker, "sample", 300, task=task, calls=calls, run_in=0.02, start=0)
                    ours.append((reply["wall_ns"], reply["cpu_ns"]))
                else:
                    theirs.append(script.sample(calls))
        script.close()
    return ours, theirs


def figures(pairs: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]], which: int) -> dict[str, float]:
    """The ratio worker / script of wall (0) or CPU (1) time over all pairs of processes."""
    ours, theirs = (
        {process: {block: one[which] for block, one in enumerate(pair[side])} for process, pair in enumerate(pairs)}
        for side in (0, 1)
    )
    found = paired.compare(ours, theirs)
    assert found is not None
    low, high = found.interval
    return {"ratio": found.ratio, "low": low, "high": high}


def main() -> int:
    parser = argparse.ArgumentParser(description="What our worker adds to a training step.")
    parser.add_argument("package", type=Path)
    parser.add_argument("contestant", help="pytorch:eager, pytorch:compile, jax:jit or jax:eager")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--processes", type=int, default=6)
    options = parser.parse_args()
    os.environ.update(KEEP_MEMORY)
    framework, _, mode = options.contestant.partition(":")
    contestant = Contestant(framework, mode)
    package = options.package.absolute()
    pairs = [
        pair(package, contestant, options.batch_size, options.threads, options.samples)
        for _ in range(options.processes)
    ]
    wall, cpu = figures(pairs, 0), figures(pairs, 1)
    print(json.dumps({"contestant": contestant.name, "threads": options.threads, "wall": wall, "cpu": cpu}))
    return int(wall["low"] > 1 + LIMIT)


if __name__ == "__main__":
    sys.exit(main())
