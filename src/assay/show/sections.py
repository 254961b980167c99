"""What the main table has no room for, as further tables with the same rows: conditions, sweeps, and the costs.

Each is made from the facts alone; a section is there when some contestant that is proven equal has a figure for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.show import words
from assay.show.facts import Comparison, Measurement, OwnSpeed
from assay.show.table import (
    Cell,
    Column,
    ConditionKey,
    Filled,
    Row,
    Table,
    condition_name,
    conditions_of,
    made_of,
    main_verdicts,
    present,
    proven,
    target_of,
    timed_columns,
)


@dataclass(frozen=True)
class Section:
    """A table with a title, a sentence that says how to read it, and what should be known of its figures."""

    key: str
    title: str
    meaning: str
    table: Table
    notes: tuple[str, ...] = ()


def sections_of(comparison: Comparison) -> tuple[Section, ...]:
    """Every section of a comparison that has something in it."""
    found = [
        *_sweeps(comparison),
        *_conditions(comparison),
        *_latencies(comparison),
        *_starts(comparison),
        *_costs(comparison),
        *_sizes(comparison),
        *_attributions(comparison),
        *_own_defaults(comparison),
    ]
    return tuple(section for section in found if section.table.columns)


def _cells(values: Mapping[str, float | None], factor: float) -> dict[str, Cell]:
    """Figures in the column's unit."""
    return {name: Cell(words.three_digits(v / factor), v) for name, v in values.items() if v is not None}


def _titled(title: str, condition: ConditionKey, among: Sequence[ConditionKey]) -> str:
    under = condition_name(condition, among)
    return f"{title}, {under}" if under else title


def _statements(comparison: Comparison, task: str | None, condition: ConditionKey) -> Iterable[str]:
    """The verdicts that belong to a section and are not told with the main table.

    `task` None: those on the main batch sizes, where a sweep's section tells the others.
    """
    told = main_verdicts(comparison)
    sizes = {(v.task, v.batch_size) for v in told}
    for verdict in comparison.verdict.tasks:
        if (verdict.threads, verdict.precision) != condition or verdict in told:
            continue
        in_main = (verdict.task, verdict.batch_size) in sizes
        if (task is None and in_main) or (task == verdict.task and not in_main):
            yield verdict.statement


def _with_figures(comparison: Comparison, filled: Iterable[Filled]) -> Table:
    """A table whose rows all have a figure: the main one says who has none, and why."""
    table = made_of(comparison, list(filled))
    rows: tuple[Row, ...] = tuple(
        row for row in table.rows if any(cell.value is not None for cell in row.cells.values())
    )
    return Table(table.columns, rows)


# ---------------------------------------------------------------- batch sizes


def _sweeps(comparison: Comparison) -> Iterable[Section]:
    """Examples a second at each batch size, where there are more of them than the main table shows."""
    conditions = conditions_of(comparison)
    for task, title in (("train", "Training over batch sizes"), ("infer", "Inference over batch sizes")):
        for condition in conditions:
            found = [
                m
                for m in comparison.measurements
                if m.task == task and (m.threads, m.precision) == condition and m.contestant in proven(comparison)
            ]
            sizes = sorted({m.batch_size for m in found})
            if len(sizes) < 2 or (task == "infer" and len(sizes) < 3):
                continue
            yield Section(
                f"sweep-{task}-{'-'.join(map(str, condition))}",
                _titled(title, condition, conditions),
                "Examples per second at each batch size; more is better.",
                _with_figures(comparison, (column for size in sizes for column in _throughput(found, size))),
                tuple(_statements(comparison, task, condition)),
            )


def _throughput(found: list[Measurement], size: int) -> Iterable[Filled]:
    rates = {m.contestant: m.samples_per_s for m in found if m.batch_size == size and m.status == "ok"}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    if not known:
        return
    most = max(known.values())
    cells = {
        # Sorted by the time that an example takes: lower is better in every column.
        name: Cell(words.three_digits(rate), 1 / rate if rate else None, ratio=most / rate if rate else None)
        for name, rate in known.items()
    }
    meaning = f"Examples per second in batches of {size:,}"
    yield from present(Column(f"batch-{size}", f"batch {size:,}", "examples/s", meaning), cells)


# ---------------------------------------------------------------- conditions


def _conditions(comparison: Comparison) -> Iterable[Section]:
    """The timed columns under each further number of threads or precision."""
    among = conditions_of(comparison)
    for condition in among[1:] if len(among) > 1 else ():
        filled = list(timed_columns(comparison, proven(comparison), condition, main_only=True))
        filled += _distances(comparison, condition)
        yield Section(
            f"condition-{'-'.join(map(str, condition))}",
            condition_name(condition, among),
            "The same source and the same tasks under another condition, each contestant in processes of its own.",
            _with_figures(comparison, filled),
            (*_arithmetic(comparison, condition), *_statements(comparison, None, condition)),
        )


def _distances(comparison: Comparison, condition: ConditionKey) -> Iterable[Filled]:
    """How far the outputs are from the float64 truth, where they are not float32's."""
    equal = proven(comparison)
    cells = {
        item.contestant: Cell(words.error(item.distance), item.distance, note=item.reason or item.arithmetic)
        for item in comparison.precisions
        if (item.threads, item.precision) == condition and item.precision != "float32" and item.contestant in equal
    }
    meaning = "Largest relative distance of the timed outputs to the float64 truth"
    column = Column("distance", "distance", "to float64", meaning)
    return [(column, cells)] if cells else []


def _arithmetic(comparison: Comparison, condition: ConditionKey) -> Iterable[str]:
    """How each framework got the precision, said once for all contestants that got it the same way."""
    how: dict[str, list[str]] = {}
    for item in comparison.precisions:
        if (item.threads, item.precision) == condition and item.precision != "float32":
            how.setdefault(item.arithmetic, []).append(item.contestant)
    return (f"{words.listed(names)}: {arithmetic}" for arithmetic, names in how.items())


# ---------------------------------------------------------------- latency


def _latencies(comparison: Comparison) -> Iterable[Section]:
    """Percentiles of single predictions, a section for each batch size."""
    among, equal = conditions_of(comparison), proven(comparison)
    groups = dict.fromkeys((item.threads, item.precision, item.batch_size) for item in comparison.latencies)
    for threads, precision, size in groups:
        found = [
            item
            for item in comparison.latencies
            if (item.threads, item.precision, item.batch_size) == (threads, precision, size)
            and item.contestant in equal
        ]
        unit, factor = words.unit_for(one.value_s for item in found for one in item.percentiles)
        filled: list[Filled] = []
        for percent in sorted({one.percent for item in found for one in item.percentiles}):
            cells = {
                item.contestant: Cell(
                    f"{words.three_digits(one.value_s / factor)} ≤{words.three_digits(one.upper_s / factor)}",
                    one.value_s,
                    note=f"{len(item.times_s)} calls",
                )
                for item in found
                for one in item.percentiles
                if one.percent == percent
            }
            meaning = f"{percent} % of {len(found[0].times_s)} single predictions took no longer; behind ≤ the bound"
            filled += present(Column(f"p{percent}", f"p{percent}", f"{unit} ≤bound", meaning), cells)
        yield Section(
            f"latency-{size}-{threads}-{precision}",
            _titled(f"Inference latency, batch {size:,}", (threads, precision), among),
            "Percentiles of predictions timed one by one, each waited for, and the upper bound of the true percentile "
            "at 95 % confidence. Requests come one after another: waiting in a queue is not part of it.",
            _with_figures(comparison, filled),
        )


# ---------------------------------------------------------------- starts and costs


def _starts(comparison: Comparison) -> Iterable[Section]:
    """Import, build, compile and first call of processes that start alone."""
    equal = proven(comparison)
    parts = (
        ("import", "import_s", "Importing the framework"),
        ("build", "build_s", "Importing the written code and loading its weights"),
        ("compile", "compile_s", "What the first call takes longer than a later one"),
        ("first call", "first_call_s", "The first call, compilation included"),
    )
    for states, title in (
        (("cold", "mixed", "none"), "Start, no compiled programs on disk"),
        (("warm",), "Start, warm compile cache"),
    ):
        found = [item for item in comparison.starts if item.compile_cache in states and item.contestant in equal]
        if not found:
            continue
        filled: list[Filled] = []
        for heading, name, meaning in parts:
            cells = _cells({item.contestant: getattr(item, name) for item in found}, 1.0)
            filled += present(Column(f"{name}-{states[0]}", heading, "s", meaning), cells)
        total = {item.contestant: item.import_s + item.build_s + item.first_call_s for item in found}
        filled += present(Column(f"total-{states[0]}", "total", "s", "Until the first answer"), _cells(total, 1.0))
        what = words.task_name(found[0].task, found[0].batch_size)
        yield Section(
            f"start-{states[0]}",
            title,
            f"Seconds from the start of a fresh process, alone on the machine, to its first answer ({what}).",
            _with_figures(comparison, filled),
        )


def _costs(comparison: Comparison) -> Iterable[Section]:
    """Memory and energy of each task, in the first condition."""
    among, equal = conditions_of(comparison), proven(comparison)
    for condition in among:
        found = [c for c in comparison.costs if (c.threads, c.precision) == condition and c.contestant in equal]
        if not found:
            continue
        filled: list[Filled] = []
        for task, size in dict.fromkeys((item.task, item.batch_size) for item in found):
            of_task = [item for item in found if (item.task, item.batch_size) == (task, size)]
            heading = f"{'train' if task == 'train' else 'infer'} {size:,}"
            timed = {
                m.contestant: m.cpu_s
                for m in comparison.measurements
                if (m.task, m.batch_size, m.threads, m.precision) == (task, size, *condition) and m.contestant in equal
            }
            meaning = "CPU time of a call, all threads together, in the timed processes"
            filled += present(Column(f"cpu-{task}-{size}", heading, "CPU, ms", meaning), _cells(timed, 1e-3))
            for name, detail, meaning, factor in (
                ("steady_memory_bytes", "memory, MB", "Peak memory of steady calls above what the import takes", 1e6),
                ("first_memory_bytes", "first calls, MB", "Peak memory of the first calls, which compile", 1e6),
                ("device_memory_bytes", "device, MB", "The most that the device's allocator gave out", 1e6),
                ("joules_per_call", "energy, mJ", "Energy of a call, whoever else used the processor", 1e-3),
            ):
                cells = _cells({item.contestant: getattr(item, name) for item in of_task}, factor)
                filled += present(Column(f"{name}-{task}-{size}", heading, detail, meaning), cells)
        sources = dict.fromkeys(item.energy_source for item in found if item.energy_source)
        yield Section(
            f"costs-{'-'.join(map(str, condition))}",
            _titled("CPU time, memory and energy", condition, among),
            "Of a fresh process that runs alone; memory is above what importing takes.",
            _with_figures(comparison, filled),
            tuple(f"energy: {source}" for source in sources),
        )


def _sizes(comparison: Comparison) -> Iterable[Section]:
    """What is written and what is saved."""
    found = {item.contestant: item for item in comparison.artefacts}
    if not found:
        return
    equal = proven(comparison)
    code = {name: item for item in comparison.code for name in equal if target_of(name) == item.target}
    filled: list[Filled] = []
    lines = {name: float(item.model_lines + (item.train_lines or 0)) for name, item in code.items()}
    signs = {name: float(item.characters) for name, item in code.items() if item.characters}
    files = {name: float(len(item.files)) for name, item in code.items()}
    saved = {name: item.size_bytes for name, item in found.items() if name in equal}
    weights = {name: item.weights_bytes for name, item in found.items() if name in equal}
    for key, heading, detail, meaning, values, factor in (
        ("code-lines", "code", "lines", "Lines of model.py and train.py", lines, 1.0),
        ("characters", "code", "kB", "Characters of all written files", signs, 1e3),
        ("files", "files", "written", "Files of the written package", files, 1.0),
        ("weights", "weights", "kB", "weights.safetensors", weights, 1e3),
        ("saved", "saved", "kB", "The model as its framework itself saves it", saved, 1e3),
    ):
        filled += present(Column(key, heading, detail, meaning), _cells(values, factor))
    formats = {name: item.format for name, item in found.items() if item.format}
    notes = [
        f"{', '.join(n for n in formats if formats[n] == kind)}: saved as {kind}"
        for kind in dict.fromkeys(formats.values())
    ]
    notes += [f"{item.contestant}: cannot be saved ({item.reason})" for item in found.values() if item.reason]
    yield Section(
        "sizes", "Sizes", "Of what is written and of what is saved.", _with_figures(comparison, filled), tuple(notes)
    )


# ---------------------------------------------------------------- attribution

_MOST_PARTS = 6


def _attributions(comparison: Comparison) -> Iterable[Section]:
    """Where the time of each task goes: a column for each of the largest parts."""
    equal = proven(comparison)
    for task, size in dict.fromkeys((item.task, item.batch_size) for item in comparison.attributions):
        found = [a for a in comparison.attributions if (a.task, a.batch_size) == (task, size) and a.contestant in equal]
        if not found:
            continue
        totals: dict[str, float] = {}
        for item in found:
            for part in item.parts:
                totals[part.name] = totals.get(part.name, 0.0) + part.seconds
        largest = sorted(totals, key=lambda name: -totals[name])
        unit, factor = words.unit_for(sum(part.seconds for part in item.parts) for item in found)
        filled: list[Filled] = []
        for name in largest[:_MOST_PARTS]:
            took = {item.contestant: sum(p.seconds for p in item.parts if p.name == name) or None for item in found}
            # None is best here: less of one part may be more of another.
            filled.append((Column(f"part-{name}", name, unit, f"Time of a call in {name}"), _cells(took, factor)))
        rest = {
            item.contestant: sum(p.seconds for p in item.parts if p.name not in largest[:_MOST_PARTS]) or None
            for item in found
        }
        if any(rest.values()):
            filled.append((Column("part-rest", "the rest", unit, "Everything else"), _cells(rest, factor)))
        slowed = max(item.slowed for item in found)
        yield Section(
            f"attribution-{task}-{size}",
            f"Where the time goes: {words.task_name(task, size)}",
            "Shares by each framework's own profiler, in a process of its own, times the measured median. Dispatch and "
            "Python: nothing is computed; on a busy machine that is waiting too. Profiled calls took up to "
            f"{words.ratio(slowed)} as long.",
            _with_figures(comparison, filled),
            tuple(item.statement for item in found),
        )


# ---------------------------------------------------------------- own defaults


def _own_defaults(comparison: Comparison) -> Iterable[Section]:
    """Each framework with its own defaults, in the row of its contestant with the model's numbers."""
    found = comparison.own_defaults
    if not found:
        return
    filled: list[Filled] = []
    for task, size in dict.fromkeys((speed.task, speed.batch_size) for item in found for speed in item.speeds):
        cells = {
            item.beside: Cell(_told(speed), speed.ratio)
            for item in found
            for speed in item.speeds
            if (speed.task, speed.batch_size) == (task, size)
        }
        meaning = "Time with the framework's own defaults over that with the model's numbers"
        # None of these is a contest: what is nearest to 1 changes least.
        filled.append((Column(f"own-{task}-{size}", words.task_name(task, size), "own / model", meaning), cells))
    heading = f"loss after {max(item.steps for item in found)} steps"
    for key, detail, losses in (
        ("own-loss", "own", {item.beside: item.last_loss for item in found}),
        ("model-loss", "model", {item.beside: item.last_loss_beside for item in found}),
    ):
        if cells := _figures(losses):
            filled.append((Column(key, heading, detail, f"Training loss, numbers: {detail}"), cells))
    same = [item.beside for item in found if not item.changes]
    notes = [f"{item.contestant}: {'; '.join(item.changes)}" for item in found if item.changes]
    notes += [f"{', '.join(same)}: the model has the framework's own defaults already"] if same else []
    notes += [
        f"{item.contestant} is left out: {item.proof.reason or 'it was not proven'}"
        for item in found
        if item.changes and item.proof.status != "equal"
    ]
    yield Section(
        "own-defaults",
        "Out of the box",
        "Each framework with its own defaults in place of the model's numbers: other maths, proven for itself and not "
        "ranked. Measured in the same rounds as the contestant whose row it is.",
        _with_figures(comparison, filled),
        tuple(notes),
    )


def _told(speed: OwnSpeed) -> str:
    """`0.98`, or `≈ 1.01` where no difference is told."""
    return f"{'' if speed.outcome in ('faster', 'slower') else '≈ '}{words.ratio(speed.ratio)}"


def _figures(values: Mapping[str, float | None]) -> dict[str, Cell]:
    return {name: Cell(f"{value:.4g}", value) for name, value in values.items() if value is not None}
