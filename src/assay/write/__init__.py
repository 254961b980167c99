"""Write: a `Model` in, a `Package` of one framework's own code out."""

from __future__ import annotations

import importlib

import numpy as np

from assay.errors import UnsupportedError
from assay.frameworks import find
from assay.frameworks import target as find_target
from assay.frameworks.base import TrainingPlan
from assay.graph.calls import calls_of
from assay.graph.layout import decide
from assay.graph.modules import tree_of
from assay.graph.passes import simplify
from assay.graph.passes.ceilings import spell_out_ceilings
from assay.graph.passes.widen import widen
from assay.model import SOURCE, Model, shape_of
from assay.verb import make_callable
from assay.write.body import Builder
from assay.write.classes import classes_of
from assay.write.package import Package
from assay.write.parts import Body
from assay.write.references import other_names, resolve, ties
from assay.write.results import with_free_names
from assay.write.source import definitions_of, model_source
from assay.write.style import Style
from assay.write.weights import WeightMap

__all__ = ["Package", "write"]

make_callable(__name__, "assay.write:write")


def write(model: Model, target: str, *, wide: bool = False) -> Package:
    """The model as a package of one framework's own code.

    `target` is a framework (`"jax"`) or a framework on a backend (`"keras/jax"`). Neither needs to be installed. `wide`: casts
    to float32 and filled float32 arrays are written as float64, for proofs. Raises
    `UnsupportedError`, naming everything that is missing at once, if the framework cannot express the model.
    """
    chosen = find_target(target)
    folder = f"assay.frameworks.{chosen.framework}"
    table = importlib.import_module(f"{folder}.write").TABLE
    style: Style = importlib.import_module(f"{folder}.style").STYLE
    simple = simplify(model, table.takes, wide)
    if wide:
        widen(simple.graph)
    laid_out = simple
    if find(chosen.framework).channels_last:
        spell_out_ceilings(simple.graph)
        laid_out = decide(simple)
    calls = calls_of(laid_out, ties=style.ties)
    table.check(calls)
    body = Builder(laid_out, tree_of(laid_out, calls), table, style).build()
    resolve(body, style)
    if style.ties:
        # The saved state of another framework's model is nothing that this one loads.
        own = model.graph.metadata_props.get(SOURCE, chosen.framework) == chosen.framework
        body.ties = [*ties(body, style), *(other_names(body, style, model) if own else [])]
    structure = model.structure if style.has_records else model.structure.records_as_dicts()
    body.structure = with_free_names(structure, _taken_names(style))
    records = [item.name for item in body.structure.records()]
    classes = classes_of(body, [*_taken_names(style), *records])
    text, lines = model_source(model, style, classes, body)
    files = {"model.py": text}
    if model.training is not None:
        plan = _plan(model, body, next(item.arguments for item in classes if item.template is body))
        files["train.py"] = importlib.import_module(f"{folder}.train").write_training(plan)
    return Package(
        model,
        chosen.name,
        files,
        _weight_maps(laid_out, style, body),
        lines,
        _new_constants(model, laid_out),
        body.structure,
    )


def _taken_names(style: Style) -> list[str]:
    """Names that no class of a model may have: those of local definitions, and what is imported."""
    imported = [
        name.split()[-1] for line in style.imports.values() for name in line.rpartition("import ")[2].split(",")
    ]
    return [*definitions_of(style), *imported]


def _new_constants(model: Model, written: Model) -> dict[str, np.ndarray]:
    """Name → array of the constants that came up while the model was simplified."""
    return {
        name: value.const_value.numpy()
        for name, value in written.graph.initializers.items()
        if name not in model.graph.initializers and value.const_value is not None
    }


def _weight_maps(model: Model, style: Style, body: Body) -> tuple[WeightMap, ...]:
    maps: dict[tuple[str, tuple[int, int] | None], WeightMap] = {}
    held: dict[int, WeightMap] = {}  # id of a weight → the first layer's share in it
    for path, weight in body.weights:
        native = style.root_path(model) + style.native_path(path, weight.leaf)
        name = weight.source.name or ""
        if (native, weight.rows) in maps:
            raise UnsupportedError(f"two parameters of the written code are both called {native}")
        item = WeightMap(native, name, model.role(weight.source), weight.index, weight.steps, weight.rows)
        if item.role != "constant" and not weight.index and held.setdefault(id(weight.source), item) is not item:
            first = held[id(weight.source)]
            if style.ties and first.steps == item.steps:
                continue  # two layers hold it together, and a file of weights holds it once
            raise UnsupportedError(f"{name} is shared by {first.native} and {native}, which store it differently")
        maps[native, weight.rows] = item
    return tuple(maps.values())


def _plan(model: Model, body: Body, arguments: list[str]) -> TrainingPlan:
    assert model.training is not None
    return TrainingPlan(
        model.name,
        body.written_class,
        model.training,
        tuple(arguments),
        tuple(shape_of(value) for value in model.graph.inputs),
        shape_of(model.graph.outputs[0]),
        model.target,
        body.structure or model.structure,
    )
