"""The charts of a comparison as plain Plotly figures (dictionaries): no plotting library is imported to make them.

Colours say which framework, symbols and dashes which mode. Text colours are left to the page's style sheet, which
follows the theme.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from assay.show import words
from assay.show.facts import Comparison, Measurement
from assay.show.table import Table, conditions_of, table_of, target_of

# Readable on white and on near-black alike (contrast at least 3:1).
COLOURS = {
    "pytorch": "#d9480f",
    "tensorflow": "#b7791f",
    "keras/tensorflow": "#b04fd0",
    "keras/jax": "#7c6cf0",
    "keras/torch": "#d6468f",
    "jax": "#2b7fd4",
}
OTHER_COLOURS = ("#0d9488", "#5c8a1e", "#8a6d5a", "#708090")
SYMBOLS = {"eager": "circle", "graph": "square", "compile": "diamond", "jit": "diamond", "xla": "triangle-up"}
DASHES = {"eager": "dot", "graph": "solid", "compile": "solid", "jit": "solid", "xla": "dash"}
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
NEUTRAL = "#808890"
ROW_HEIGHT = 30
ROWS_AXIS = {"autorange": "reversed", "automargin": True, "fixedrange": True, "ticksuffix": "  "}
LEGEND = {  # beneath everything; the plot makes room for it
    "orientation": "h",
    "xref": "container",
    "yref": "container",
    "x": 0,
    "y": 0,
    "xanchor": "left",
    "yanchor": "bottom",
}
LOGARITHMIC_FROM = 8.0  # times between the fastest and the slowest


@dataclass(frozen=True)
class Chart:
    """A figure with the words that stand in for it where it cannot be seen."""

    key: str
    title: str
    description: str
    figure: dict[str, Any]


def colour_of(contestant: str, order: Sequence[str] = ()) -> str:
    """The colour of a contestant's target; an unknown one takes a spare colour by its place in `order`."""
    target = target_of(contestant) if ":" in contestant else contestant
    if target in COLOURS:
        return COLOURS[target]
    others = [name for name in dict.fromkeys(target_of(c) for c in order) if name not in COLOURS]
    return OTHER_COLOURS[others.index(target) % len(OTHER_COLOURS)] if target in others else NEUTRAL


def charts_of(comparison: Comparison) -> tuple[tuple[Chart, ...], tuple[Chart, ...], tuple[Chart, ...]]:
    """Charts of the samples, of the cold start and of the training; a list is empty when there is nothing to draw."""
    table = table_of(comparison)
    return tuple(_samples(comparison, table)), tuple(_cold_starts(comparison, table)), tuple(_training(comparison))


# ---------------------------------------------------------------- samples


def _samples(comparison: Comparison, table: Table) -> Iterable[Chart]:
    equal = [row.contestant for row in table.rows if row.status == "equal"]
    for column in table.timed:
        main = conditions_of(comparison)[0]
        under = [m for m in comparison.measurements if (m.threads, m.precision) == main]
        found = {m.contestant: m for m in under if f"{m.task}-{m.batch_size}" == column.key}
        shown = [
            found[name] for name in equal if name in found and found[name].status == "ok" and found[name].samples_s
        ]
        if not shown:
            continue
        shown.sort(key=lambda m: m.median_s or math.inf)
        unit, factor = words.unit_for(sample for m in shown for sample in m.samples_s)
        everything = [sample / factor for m in shown for sample in m.samples_s]
        title = words.task_name(shown[0].task, shown[0].batch_size)
        layout = _layout(height=110 + ROW_HEIGHT * len(shown), x=f"{unit} per call", everything=everything)
        layout["yaxis"] = ROWS_AXIS
        data = [_box(m, factor, comparison.contestants) for m in shown]
        description = (
            f"{title}: every sample of {len(shown)} contestants, fastest first; the table above has the medians"
        )
        yield Chart(f"samples-{column.key}", title, description, {"data": data, "layout": layout})


def _box(m: Measurement, factor: float, order: Sequence[str]) -> dict[str, Any]:
    mode = m.contestant.rpartition(":")[2]
    return {
        "type": "box",
        "orientation": "h",
        "name": _label(m.contestant),
        "x": [sample / factor for sample in m.samples_s if math.isfinite(sample)],
        "boxpoints": "all",
        "jitter": 0.6,
        "pointpos": 0,
        "width": 0.55,
        "fillcolor": "rgba(128,136,144,0.12)",
        "line": {"color": colour_of(m.contestant, order), "width": 1.5},
        "marker": {
            "color": colour_of(m.contestant, order),
            "size": 4,
            "opacity": 0.6,
            "symbol": SYMBOLS.get(mode, "circle"),
        },
        "hoverinfo": "x+name",
    }


def _layout(*, height: int, x: str, everything: Sequence[float] = ()) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": x}, "automargin": True, "zeroline": False}
    finite = [value for value in everything if value > 0 and math.isfinite(value)]
    if finite and max(finite) / min(finite) > LOGARITHMIC_FROM:
        ticks = _ticks(min(finite), max(finite))
        axis |= {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.6g}" for tick in ticks]}
        axis["title"]["text"] += ", log scale"
    return {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 50},
        "xaxis": axis,
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": NEUTRAL},
        "hoverlabel": {"namelength": -1},
    }


def _ticks(least: float, most: float) -> list[float]:
    """1, 2, 5, 10 … from just under `least` to just over `most`; only powers of ten over many decades."""
    decades = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    steps = (1, 2, 5) if most / least < 300 else (1,)
    found = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in found if least / 1.6 < tick < most * 1.6]


# ---------------------------------------------------------------- cold start


def _cold_starts(comparison: Comparison, table: Table) -> Iterable[Chart]:
    found = {start.contestant: start for start in reversed(comparison.cold_starts)}  # the coldest of each
    rows = [row for row in table.rows if "cold" in row.cells and row.cells["cold"].value is not None]
    rows.sort(key=lambda row: row.cells["cold"].value or math.inf)
    if not rows:
        return
    starts = [found[row.contestant] for row in rows]
    parts = (
        ("import", [s.import_s for s in starts], "#5b7fa6"),
        ("build", [s.build_s for s in starts], "#3d9970"),
        ("first step, with compilation", [s.first_step_s or s.first_inference_s for s in starts], "#c9772b"),
    )
    names = [_label(s.contestant) for s in starts]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": names,
            "x": values,
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.2f} s<extra>" + name + "</extra>",
        }
        for name, values, colour in parts
    ]
    layout = _layout(height=150 + ROW_HEIGHT * len(rows), x="seconds")
    layout |= {
        "barmode": "stack",
        "showlegend": True,
        "legend": LEGEND | {"traceorder": "normal"},
    }
    layout["yaxis"] = ROWS_AXIS
    description = "Seconds that import, build and first step take in a fresh process, per contestant"
    yield Chart("cold-start", "Cold start", description, {"data": data, "layout": layout})


# ---------------------------------------------------------------- training


def _training(comparison: Comparison) -> Iterable[Chart]:
    training = comparison.training
    if training is None or not training.truth:
        return
    steps = list(range(1, len(training.truth) + 1))
    drawn = [curve for curve in training.curves if curve.losses]
    truth = {
        "type": "scatter",
        "mode": "lines",
        "name": "float64",
        "x": steps,
        "y": _finite(training.truth),
        "line": {"color": NEUTRAL, "width": 9},
        "opacity": 0.4,
        "hovertemplate": "%{y:.6f}",
    }
    losses = [_line(curve.contestant, _finite(curve.losses), comparison.contestants, "%{y:.6f}") for curve in drawn]
    yield Chart(
        "loss",
        "Loss",
        f"The loss of {len(drawn)} contestants over {len(steps)} training steps, on the wide line of float64",
        {"data": [truth, *losses], "layout": _curve_layout("loss", len(drawn))},
    )
    distances = [
        _line(curve.contestant, _distances(curve.losses, training.truth), comparison.contestants, "%{y:.1e}")
        for curve in drawn
    ]
    layout = _curve_layout("largest distance so far, relative", len(drawn))
    layout["yaxis"] |= {"type": "log", "exponentformat": "power", "dtick": 1}
    if training.limit is not None and math.isfinite(training.limit) and training.limit > 0:
        allowed = {"color": NEUTRAL, "width": 1.5, "dash": "longdash"}
        layout["shapes"] = [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": training.limit,
                "y1": training.limit,
                "line": allowed,
            }
        ]
        note = {"xref": "paper", "x": 1, "xanchor": "right", "y": math.log10(training.limit), "yanchor": "bottom"}
        layout["annotations"] = [note | {"text": f"allowed: {words.error(training.limit)}", "showarrow": False}]
    yield Chart(
        "distance",
        "Distance to the float64 loss",
        "The largest relative distance of each contestant's float32 loss to the float64 loss, up to each step",
        {"data": distances, "layout": layout},
    )


def _line(contestant: str, values: list[float | None], order: Sequence[str], hover: str) -> dict[str, Any]:
    mode = contestant.rpartition(":")[2]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _label(contestant),
        "x": list(range(1, len(values) + 1)),
        "y": values,
        "line": {"color": colour_of(contestant, order), "width": 1.6, "dash": DASHES.get(mode, "solid")},
        "hovertemplate": hover,
    }


def _curve_layout(y: str, curves: int) -> dict[str, Any]:
    layout = _layout(height=340 + 11 * curves, x="training step")  # the legend stands beneath, two in a line
    layout["yaxis"] = {"title": {"text": y}, "automargin": True, "zeroline": False}
    layout |= {"showlegend": True, "legend": LEGEND, "hovermode": "closest"}
    return layout


def _finite(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _distances(losses: Sequence[float], truth: Sequence[float]) -> list[float | None]:
    """The largest relative distance so far, per step; None while it is zero or not finite (the axis is logarithmic)."""
    found: list[float | None] = []
    largest = 0.0
    for loss, exact in zip(losses, truth, strict=False):
        distance = abs(loss - exact) / abs(exact) if exact else abs(loss - exact)
        largest = max(largest, distance) if math.isfinite(distance) else math.inf
        found.append(largest if 0 < largest < math.inf else None)
    return found


def _label(text: str) -> str:
    """Plotly reads a little HTML in labels: none of it is meant here."""
    return html.escape(words.one_line(text, 60))
