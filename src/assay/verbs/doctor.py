"""`doctor`: what this machine and its frameworks are like for measuring, and what would make them better."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from assay import __version__
from assay.errors import AssayError, FrameworkMissing
from assay.frameworks import Contestant, Target, find, frameworks, installed_versions, require
from assay.judge import paired
from assay.judge.verdict import part_waited
from assay.measure import STANDARD, Entry, Plan, Record, Task, host, measure
from assay.measure import events as measuring
from assay.measure.energy import Energy
from assay.measure.environment import Environment, environment
from assay.measure.plan import allowed_cpus
from assay.measure.process import worker_environment
from assay.show import facts
from assay.show.diagnosis import FORMAT, Advice, Diagnosis, Installed, Noise

Tell = Callable[[str], None]

_WATCHED_S = 2.0
_COMPILERS = ("g++", "gcc", "clang", "nvcc")
_DESCRIBE_S = 180.0  # an import that takes longer is called hanging
_WORKLOAD = "outcome-mlp"
# Four processes of one contestant and of its twin: half a minute.
_SHORT = replace(
    STANDARD, name="quick", processes=4, most_processes=4, rounds=15, latency_seconds=0.0, costs=False, budget_s=None
)
_BUSY = 0.1  # part of the processors' time
_STOLEN = 0.01
_MEMORY_EACH = 1_500_000_000  # bytes that a worker may need


def doctor(*, noise: bool = True, threads: int = 0, tell: Tell | None = None) -> Diagnosis:
    """Looks at the machine and the frameworks and, if `noise`, measures identical code against itself.

    `tell` is told what is being done. Nothing is imported here: each framework speaks in a process of its own.
    """
    tell = tell or (lambda text: None)
    count = threads or len(allowed_cpus())
    used = host.choose_cpus(count, allowed_cpus())
    machine = environment(count, used)
    tell("watching what else runs")
    steal, busy = watch_processors(_WATCHED_S)
    tell("asking the frameworks")
    installed = ask_frameworks(count)
    found: tuple[Noise, ...] = ()
    reason: str | None = "it was not measured (--no-measure)"
    if noise:
        tell("measuring identical code against itself")
        found, reason = noise_floor(installed, count)
    cores = len({_core(cpu) for cpu in allowed_cpus()})
    energy = Energy()
    diagnosis = Diagnosis(
        assay=__version__,
        format=FORMAT,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        environment=facts.Environment(**{**vars(machine), "device": _devices(installed)}),
        cores=cores,
        steal=steal,
        busy=busy,
        watched_s=_WATCHED_S,
        compilers=compilers(),
        energy=energy.sources,
        energy_absent=energy.absent,
        frameworks=installed,
        noise=found,
        noise_reason=reason,
        advice=(),
    )
    return replace(diagnosis, advice=tuple(advice(diagnosis, machine)))


# ---------------------------------------------------------------- the machine


def watch_processors(seconds: float) -> tuple[float | None, float | None]:
    """The parts of the processors' time that the hypervisor took, and that other programs used, for so long."""
    before, own = _processor_times(), time.process_time()
    time.sleep(seconds)
    after, own = _processor_times(), time.process_time() - own
    if before is None or after is None:
        return None, None
    passed = [end - start for start, end in zip(before, after, strict=True)]
    total = sum(passed)
    if total <= 0:
        return None, None
    user, nice, system, _idle, _waiting, irq, soft, steal = passed
    mine = own * os.sysconf("SC_CLK_TCK")
    return steal / total, max(0.0, user + nice + system + irq + soft - mine) / total


def _processor_times() -> list[int] | None:
    """Clock ticks of all processors since boot: user, nice, system, idle, iowait, irq, softirq, steal (man 5 proc)."""
    try:
        with open("/proc/stat", "rb") as file:
            return [int(value) for value in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None


def _core(cpu: int) -> str:
    """What names the physical core of a processor."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def compilers() -> tuple[tuple[str, str], ...]:
    """Compilers that can be called, with their versions."""
    found = []
    for name in dict.fromkeys([os.environ.get("CXX", _COMPILERS[0]), *_COMPILERS]):
        if shutil.which(name):
            try:
                done = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=20, check=False)
            except (OSError, subprocess.TimeoutExpired):
                continue
            number = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
            found.append((name, number.group() if number else "of an unknown version"))
    return tuple(found)


# ---------------------------------------------------------------- the frameworks


def ask_frameworks(threads: int) -> tuple[Installed, ...]:
    """Every target of every framework, as it describes itself; two processes at a time."""
    targets = [target for framework in frameworks().values() for target in framework.targets]
    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(lambda target: ask(target, threads), targets))


def ask(target: Target, threads: int) -> Installed:
    """What one target says of itself, or why it cannot be asked."""
    versions = tuple(installed_versions(find(target.framework).distributions).items())
    try:
        require(target)
    except FrameworkMissing as error:
        reason, _, command = str(error).partition(": run  ")
        return Installed(target.name, target.modes, versions, reason=reason, command=command or None)
    backend = {"KERAS_BACKEND": target.backend} if target.backend else {}
    variables = worker_environment(threads, "doctor", find(target.framework).environment, backend)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        if name not in os.environ:
            variables.pop(name, None)  # what it takes when it is told nothing
    asking = [sys.executable, "-m", "assay.frameworks.describe", target.framework]
    try:
        done = subprocess.run(asking, capture_output=True, text=True, timeout=_DESCRIBE_S, check=False, env=variables)
        said = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Installed(target.name, target.modes, versions, reason=f"its import took over {_DESCRIBE_S:g} s")
    except (ValueError, IndexError):
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no word"]
        return Installed(target.name, target.modes, versions, reason=f"importing it fails: {last[-1][:300]}")
    return Installed(
        target.name,
        target.modes,
        versions,
        build=tuple(said["build"]),
        devices=tuple(said["devices"]),
        threads=said["threads"],
        import_s=said["import_s"],
        lacking=tuple(
            (Contestant(target.framework, mode, target.backend).name, what) for mode, what in said["needs"].items()
        ),
    )


def _devices(installed: Sequence[Installed]) -> str:
    """The accelerators that any framework sees, else `cpu`."""
    names = {device for item in installed for device in item.devices if not device.lower().startswith("cpu")}
    return ", ".join(sorted(names)) or "cpu"


# ---------------------------------------------------------------- the noise


def noise_floor(installed: Sequence[Installed], threads: int) -> tuple[tuple[Noise, ...], str | None]:
    """What identical code shows against itself on this machine now, or why that could not be measured."""
    from assay.verbs.proving import save_all, write_all
    from assay.verbs.subject import subject_of
    from assay.workloads import find_workload
    from assay.workloads.data import save_arrays

    usable = [item for item in installed if item.reason is None]
    if not usable:
        return (), "no framework is installed, so there is nothing to measure with"
    framework, _, backend = usable[0].target.partition("/")
    contestant = Contestant(framework, usable[0].modes[0], backend or None)
    model = find_workload(_WORKLOAD).model()
    subject = subject_of(model, (), 0)
    lost: list[str] = []

    def tell(event: measuring.Event) -> None:
        if isinstance(event, measuring.StateChanged) and event.state == measuring.FAILED:
            lost.append(event.detail)

    with tempfile.TemporaryDirectory(prefix="assay-doctor-") as name:
        folder = Path(name)
        try:
            packages = save_all(write_all(model, (usable[0].target,)).packages, folder / "packages")
            save_arrays(subject.dataset, folder / "data.safetensors")
            entry = Entry(contestant, packages[usable[0].target], folder / "data.safetensors")
            tasks = (Task("train", subject.batch_size), Task("infer", 1))
            record = measure(Plan((entry,), folder / "run", tasks, effort=_SHORT, threads=threads), on_event=tell)
        except AssayError as error:
            return (), f"measuring failed: {error}"
    found = tuple(_noise(record, contestant.name, task) for task in tasks)
    return found, f"measuring failed: {lost[0]}" if lost else None


def _noise(record: Record, contestant: str, task: Task) -> Noise:
    key = (task.kind, task.batch_size)
    original = paired.blocks_of(record.samples, contestant, *key)
    twin = paired.blocks_of(record.samples, contestant, *key, twin=True)
    pair = paired.compare(twin, original)
    medians = np.array([statistics.median(values) for values in paired.log_ratios(twin, original).values()])
    several = len(medians) > 1
    design = paired.Design(STANDARD.processes, STANDARD.half_width)
    return Noise(
        task.kind,
        task.batch_size,
        contestant,
        len(original),
        paired.smallest_difference(pair) if pair is not None else None,
        float(medians.std(ddof=1)) if several else None,
        max(STANDARD.processes, int(design.needed(medians, aim=design.half_width))) if several else None,
        part_waited(record, contestant, *key),
    )


# ---------------------------------------------------------------- advice


def advice(found: Diagnosis, machine: Environment) -> list[Advice]:
    """What would make the numbers better, the most effective first."""
    said: list[Advice] = []
    load = (machine.load or 0.0) / max(1, len(machine.allowed))
    if (found.busy or 0.0) > _BUSY:
        told = f"other programs use {100 * (found.busy or 0):.0f} % of the processors"
        said.append(Advice(told, "close them, or measure when they have ended: nothing helps as much"))
    elif load > 0.25:
        told = f"the machine was busy until a moment ago (load {machine.load:.1f} over the last minute)"
        said.append(Advice(told, "see that it stays quiet while you measure: nothing helps as much"))
    if (found.steal or 0.0) > _STOLEN:
        said.append(
            Advice(
                f"the hypervisor gave {100 * (found.steal or 0):.1f} % of the time to other machines",
                "a machine of your own (dedicated or bare metal) has none of that; else more processes average it out",
            )
        )
    if machine.governor not in (None, "performance"):
        said.append(
            Advice(
                f"the frequency governor is {machine.governor}",
                "`cpupower frequency-set -g performance`, as root, keeps the clock steady",
            )
        )
    if machine.cpu_quota is not None and machine.cpu_quota < machine.threads:
        fits = max(1, int(machine.cpu_quota))
        said.append(
            Advice(
                f"the container may use {machine.cpu_quota:g} processors at a time, and {machine.threads} threads are asked for",
                f"raise its limit, or measure with `--threads {fits}`: threads over the quota are stopped in the middle of a step",
            )
        )
    if found.cores is not None and machine.threads > found.cores:
        said.append(
            Advice(
                f"{machine.threads} threads share {words_of_cores(found.cores)}",
                f"`--threads {found.cores}` gives each thread a core of its own",
            )
        )
    if machine.threads >= len(machine.allowed) > 1:
        said.append(
            Advice(
                "the workers' threads take every processor, so whatever else the machine does takes time from them",
                f"`--threads {len(machine.allowed) - 1}` leaves one for it and gives steadier times, of fewer threads",
            )
        )
    if machine.available_bytes is not None and machine.available_bytes < 4 * _MEMORY_EACH:
        free = machine.available_bytes / 1e9
        said.append(
            Advice(
                f"{free:.1f} GB of memory are free, and all contestants of a comparison live at once",
                "measure fewer of them at a time, with `--frameworks`",
            )
        )
    if found.energy_absent:
        said.append(Advice(found.energy_absent, "on a machine of your own, root can allow to read /sys/class/powercap"))
    said += [
        Advice(f"{name} cannot run: it needs {what}", "install it, and run `assay doctor` again")
        for item in found.frameworks
        for name, what in item.lacking
    ]
    said += [
        Advice(f"{item.target} takes no part: {item.reason}", f"run {item.command}" if item.command else "reinstall it")
        for item in found.frameworks
        if item.reason
    ]
    return said


def words_of_cores(count: int) -> str:
    return "one core" if count == 1 else f"{count} cores"
