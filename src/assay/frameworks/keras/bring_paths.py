"""What the layers and variables of a Keras model are called: by the attributes that hold them, or by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras


class Paths:
    """Layer → dotted path (`blocks.0.dense`), variable → path of its layer and its own name (`blocks.0.dense.kernel`).

    A functional or sequential model holds its layers by name (Keras' own numbers in automatic names are counted anew);
    any other by attribute, list index or dict key.
    """

    def __init__(self, model: Any, is_known: Any) -> None:
        self.is_known = is_known
        self.paths: dict[int, str] = {}
        self.layers: list[Any] = []
        self.variables: dict[int, str] = {}
        self._walk("", model, False)

    def of(self, layer: Any, parent: str | None) -> str:
        """The path of a layer; one that no attribute holds is called by its name inside the layer that calls it."""
        if parent is None:
            return ""
        if id(layer) not in self.paths:
            self._walk(f"{parent}.{layer.name}".lstrip("."), layer, False)
        return self.paths[id(layer)]

    def _walk(self, path: str, layer: Any, inside: bool) -> None:
        if id(layer) in self.paths:
            return
        self.paths[id(layer)] = path
        self.layers.append(layer)
        self._name_variables(layer)
        inside = inside or self.is_known(layer)
        for name, child in self._children(layer, inside):
            self._walk(f"{path}.{name}" if path else name, child, inside)

    def _children(self, layer: Any, inside: bool) -> Iterator[tuple[str, Any]]:
        if inside:  # the parts of a layer that is one call: by the names that Keras gives them
            yield from ((part.name, part) for part in layer._flatten_layers(include_self=False, recursive=False))
            return
        if hasattr(layer, "_run_through_graph") or isinstance(layer, keras.Sequential):
            layers = [part for part in layer.layers if type(part).__name__ != "InputLayer"]
            whole = self.paths[id(layer)] or not any(_is_of_images(part) for part in layers)
            if isinstance(layer, keras.Sequential) and whole and all(_is_automatic(part) for part in layers):
                yield from zip(_places(layers), layers, strict=True)
            else:
                yield from zip(_counted(layers), layers, strict=True)
        held = {**vars(layer), **vars(layer).get("_modules", {})}  # where its torch backend keeps layers
        for name, value in held.items():
            if not name.startswith("_self_") and name.strip("_") not in _KERAS:
                yield from _layers_in(name.strip("_"), value)

    def _name_variables(self, layer: Any) -> None:
        taken: dict[str, int] = {}
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            name = _name_of(variable, layer).replace(".", "_").replace("/", "_")
            number = taken[name] = taken.get(name, -1) + 1
            full = f"{self.paths[id(layer)]}.{name}{f'_{number}' if number else ''}".lstrip(".")
            self.variables.setdefault(id(variable), full)


def _name_of(variable: Any, layer: Any) -> str:
    """A variable's name; of one that was given none, which Keras numbers across all of the process, the attribute's."""
    if re.fullmatch(r"variable(_\d+)?", variable.name) is None:
        return str(variable.name)
    held = (name.strip("_") for name, value in vars(layer).items() if value is variable and name.strip("_"))
    return next(held, "variable")


# What Keras itself keeps of layers in attributes of a layer.
_KERAS = {
    *("layers", "metrics", "losses", "operations", "functional", "tracker", "compile_metrics", "compile_loss"),
    *("loss_tracker", "nodes", "operations_by_depth", "nodes_by_depth", "optimizer", "obj_reference_counts"),
    *("self_tracked_trackables", "self_unconditional_checkpoint_dependencies", "modules"),
}


def _layers_in(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The layers in an attribute: itself, or in lists, tuples and dicts."""
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _layers_in(f"{name}.{str(key).replace('.', '_')}", item)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _layers_in(f"{name}.{place}", item)


def _is_of_images(layer: Any) -> bool:
    """Whether a layer wants channels first in the graph: around it, a sequence may not be one container."""
    return any(word in type(layer).__name__ for word in ("Conv", "Pooling", "UpSampling", "Padding", "Cropping"))


def _places(layers: list[Any]) -> Iterator[str]:
    """The places of layers in a container, in which the activation of a layer has a place of its own."""
    place = 0
    for layer in layers:
        yield str(place)
        place += 2 if has_activation(layer) else 1


def has_activation(layer: Any) -> bool:
    """Whether a layer calls an activation after what it does itself."""
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return name != "linear" and type(layer).__name__ not in ("Activation", "LSTM", "GRU", "SimpleRNN")


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _is_automatic(layer: Any) -> bool:
    return re.fullmatch(rf"{_snake(type(layer).__name__)}(_\d+)?", layer.name) is not None


def _counted(layers: list[Any]) -> list[str]:
    """The names of layers; those that Keras numbered across all models of the process are counted from the first one here."""
    counts: dict[str, int] = {}
    given = {layer.name for layer in layers if not _is_automatic(layer)}
    names = []
    for layer in layers:
        name = layer.name
        if _is_automatic(layer):
            stem = _snake(type(layer).__name__)
            number = counts[stem] = counts.get(stem, -1) + 1
            name = f"{stem}_{number}" if number else stem
            if name in given:
                name = layer.name
        names.append(name.replace(".", "_").replace("/", "_"))
    return names
