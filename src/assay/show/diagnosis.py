"""What `assay doctor` found: frozen data, its rendering in a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from assay.show import words
from assay.show.codec import encode
from assay.show.facts import Environment
from assay.show.files import write_text
from assay.show.terminal import Signs, signs_for

FORMAT = 1  # of the JSON


@dataclass(frozen=True)
class Installed:
    """A framework on one of its backends, `keras/jax`, as it says itself in a process of its own."""

    target: str
    modes: tuple[str, ...]
    versions: tuple[tuple[str, str], ...] = ()
    build: tuple[str, ...] = ()  # how it was built
    devices: tuple[str, ...] = ()
    threads: int | None = None  # that it takes when it is told nothing
    import_s: float | None = None
    reason: str | None = None  # why it cannot take part
    command: str | None = None  # that installs what it lacks
    lacking: tuple[tuple[str, str], ...] = ()  # contestant, what it lacks


@dataclass(frozen=True)
class Noise:
    """Identical code against itself at one task: what that showed, though nothing differs."""

    task: str
    batch_size: int
    contestant: str
    processes: int
    smallest_difference: float | None  # under this relative difference nothing could be told by this run
    spread: float | None  # relative standard deviation of what the processes say
    needed: int | None  # processes of each contestant that intervals of the effort standard need
    waited: float  # part of the time that ready threads had no processor


@dataclass(frozen=True)
class Advice:
    """What would make measurements better, and how."""

    finding: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """What there is to know of this machine before anything is measured on it."""

    assay: str
    format: int
    date: str
    environment: Environment
    cores: int | None  # physical ones among the processors that may be used
    steal: float | None  # part of the time that the hypervisor gave to others, over `watched_s`
    busy: float | None  # part of the processors' time that other programs used, over `watched_s`
    watched_s: float
    compilers: tuple[tuple[str, str], ...]  # name, version
    energy: tuple[str, ...]  # counters that can be read
    energy_absent: str | None  # why there are none
    frameworks: tuple[Installed, ...]
    noise: tuple[Noise, ...]
    noise_reason: str | None  # why there is no noise floor
    advice: tuple[Advice, ...]

    def to_json(self) -> str:
        return json.dumps(encode(self), indent=1, allow_nan=False)


def save_diagnosis(found: Diagnosis, path: Path) -> None:
    """Writes it as JSON."""
    write_text(path, found.to_json() + "\n")


def print_diagnosis(found: Diagnosis, console: Console | None = None) -> None:
    """The machine, the frameworks, the noise, and what would make it better."""
    console = console or Console()
    signs = signs_for(console)
    _section(console, "Machine", signs)
    for name, value in _machine(found):
        _pair(console, name, value, signs)
    _section(console, "Frameworks", signs)
    for item in found.frameworks:
        _framework(console, item, signs)
    _section(console, "Noise", signs)
    _print_noise(console, found, signs)
    _section(console, "What would make it better", signs)
    for advice in found.advice:
        _line(console, f"{words.sentence(advice.finding)} {words.sentence(advice.remedy)}", signs, mark=signs.bullet)
    if not found.advice:
        _line(console, "Nothing that this machine tells of.", signs)


def _machine(found: Diagnosis) -> Iterable[tuple[str, str]]:
    machine = found.environment
    cores = f" on {words.counted(found.cores, 'core')}" if found.cores else ""
    yield "processor", f"{machine.cpu}, {machine.cpus} processors, {len(machine.allowed)} may be used{cores}"
    yield (
        "threads",
        f"{machine.threads} for each worker, kept to processors {', '.join(map(str, machine.used)) or 'any'}",
    )
    free, whole = words.amount_of_bytes(machine.available_bytes), words.amount_of_bytes(machine.memory_bytes)
    yield "memory", f"{free} free of {whole}"
    yield "system", f"{machine.operating_system}, {machine.python}" + (", virtual" if machine.virtual else "")
    yield "governor", machine.governor or "not told by this system"
    yield "quota", f"{machine.cpu_quota:g} processors" if machine.cpu_quota is not None else "none"
    said = f"{machine.load:.2f} runnable on average" if machine.load is not None else "not told"
    if found.busy is not None:
        said += f"; other programs used {100 * found.busy:.0f} % of the processors for the last {found.watched_s:.0f} s"
    yield "load", said
    yield (
        "stolen",
        f"{100 * found.steal:.1f} % of the time, by the hypervisor" if found.steal is not None else "not told",
    )
    yield "energy", ", ".join(found.energy) or "cannot be measured here"
    yield "compilers", ", ".join(f"{name} {version}" for name, version in found.compilers) or "none"
    if machine.flags:
        yield "variables", ", ".join(f"{name}={value}" for name, value in machine.flags.items())


def _framework(console: Console, item: Installed, signs: Signs) -> None:
    title = Text.assemble(
        (f"{signs.different if item.reason else signs.equal} ", "yellow" if item.reason else "green"),
        (signs.plain(words.one_line(item.target, 40)), "bold"),
        (f"  {', '.join(item.modes)}", "dim"),
    )
    console.print(Padding(title, (0, 0, 0, 2)))
    if item.versions:
        _line(console, ", ".join(f"{name} {version}" for name, version in item.versions), signs, indent=6)
    facts = list(item.build)
    if item.devices:
        facts.append(f"computes on {words.listed(item.devices)}")
    if item.threads:
        facts.append(f"{words.counted(item.threads, 'thread')} if it is told nothing")
    if facts:
        _line(console, "; ".join(facts), signs, indent=6, style="dim")
    if item.reason:
        _line(console, words.sentence(item.reason), signs, indent=6)
    if item.command:
        _line(console, f"install: {item.command}", signs, indent=6)
    for contestant, what in item.lacking:
        _line(console, f"{contestant} cannot run: it needs {what}.", signs, indent=6)


def _print_noise(console: Console, found: Diagnosis, signs: Signs) -> None:
    if found.noise_reason:
        _line(console, words.sentence(found.noise_reason), signs)
        return
    first = found.noise[0]
    _line(
        console,
        f"Identical code ({first.contestant}) against itself, in {words.counted(first.processes, 'process', 'processes')} each:",
        signs,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("task", overflow="fold")
    for heading in ("told from", "scatter", "for ±2 %", "waited"):
        table.add_column(signs.plain(heading), justify="right", no_wrap=True)
    for noise in found.noise:
        table.add_row(
            signs.plain(words.task_name(noise.task, noise.batch_size)),
            words.percent(noise.smallest_difference) if noise.smallest_difference is not None else words.NOTHING,
            words.percent(noise.spread) if noise.spread is not None else words.NOTHING,
            str(noise.needed) if noise.needed is not None else words.NOTHING,
            words.percent(noise.waited),
        )
    console.print(Padding(table, (0, 0, 0, 2)))
    _line(
        console,
        "told from: the smallest difference that so short a run can tell; scatter: of what the processes say; for ±2 %: processes "
        "of each contestant that `assay compare --effort standard` would measure; waited: for a processor, of the time.",
        signs,
        style="dim",
    )


def _section(console: Console, title: str, signs: Signs) -> None:
    console.print(Text(f"\n{title}", style="bold"))


def _pair(console: Console, name: str, value: str, signs: Signs) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=10)
    grid.add_column(overflow="fold")
    grid.add_row(Text(name, style="dim"), Text(signs.plain(words.one_line(value, 400))))
    console.print(Padding(grid, (0, 0, 0, 2)))


def _line(console: Console, text: str, signs: Signs, *, mark: str = "", indent: int = 2, style: str = "") -> None:
    grid = Table.grid(padding=(0, 1, 0, 0))
    if mark:
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    said = Text(signs.plain(words.one_line(text, 600)), style=style)
    grid.add_row(*([Text(mark), said] if mark else [said]))
    console.print(Padding(grid, (0, 0, 0, indent)))
