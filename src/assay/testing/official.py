"""ONNX's own conformance cases, as the onnx package ships them: models with inputs and the outputs that they must give."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from assay.errors import NotFoundError
from assay.ops import operator

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")

# Their outputs are samples of NumPy's random stream: run and checked for shape and type, and not counted.
_RANDOM = ("test_bernoulli*", "test_training_dropout", "test_training_dropout_mask", "test_training_dropout_default*")

Data = Any  # an array, a list of arrays (a sequence), or None (an empty optional)


@dataclass(frozen=True)
class OfficialCase:
    """A model, and sets of inputs with the outputs that it must give."""

    name: str
    kind: str
    rtol: float
    atol: float
    model: onnx.ModelProto = field(repr=False)
    data: tuple[tuple[tuple[Data, ...], tuple[Data, ...]], ...] = field(repr=False)

    @property
    def is_random(self) -> bool:
        return _matches(self.name, _RANDOM)

    @property
    def is_counted(self) -> bool:
        """Whether the case is one of those that a share of passes refers to."""
        return self.kind == "node" and not self.is_random

    @property
    def operator(self) -> str:
        """The operator that the case is about: that of its only node, or what its name says."""
        nodes = self.model.graph.node
        return nodes[0].op_type if len(nodes) == 1 else self.name.removeprefix("test_").partition("_expanded")[0]

    @property
    def types(self) -> list[str]:
        """The types of the arrays that go in and come out."""
        values = [*self.model.graph.input, *self.model.graph.output]
        kinds = {value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}
        return sorted(onnx.TensorProto.DataType.Name(kind).lower() for kind in kinds)

    def as_layers(self) -> OfficialCase | None:
        """The case with its weights in the model, as a trained model has them; None if no operator in it owns weights."""
        wanted = {
            name
            for node in self.model.graph.node
            for slot, name in enumerate(node.input)
            if name and slot in operator(node.op_type).weights
        }
        given = _inputs(self.model)
        places = [place for place, value in enumerate(given) if value.name in wanted]
        if not places or len(self.data) != 1:
            return None
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        inputs, outputs = self.data[0]
        for place in reversed(places):
            tensor = onnx.numpy_helper.from_array(np.asarray(inputs[place]), given[place].name)
            model.graph.initializer.append(tensor)
            model.graph.input.remove(given[place])
        kept = tuple(value for place, value in enumerate(inputs) if place not in places)
        return OfficialCase(self.name, self.kind, self.rtol, self.atol, model, ((kept, outputs),))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@lru_cache
def official(kinds: tuple[str, ...] = KINDS) -> tuple[OfficialCase, ...]:
    """Every case of these kinds that the installed onnx has, in its order."""
    from onnx.backend.test import loader

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the cases are computed as they are loaded, overflows included
        return tuple(_case(case) for kind in kinds for case in loader.load_model_tests(kind=kind))


def choose(patterns: Sequence[str], kinds: Sequence[str], share: tuple[int, int] | None = None) -> list[OfficialCase]:
    """The cases whose names match any of these shell patterns (all without one).

    `share`: (k, n) for every n-th case from the k-th on. Raises `NotFoundError` for a pattern that matches none.
    """
    known = official(tuple(kinds))
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in known):
            raise NotFoundError(f"no case matches {pattern!r}: names look like 'test_conv_with_strides_padding'")
    chosen = [case for case in known if not patterns or _matches(case.name, patterns)]
    return chosen if share is None else chosen[share[0] % share[1] :: share[1]]


def _case(case: Any) -> OfficialCase:
    if case.model is not None:
        model, sets = case.model, case.data_sets
    else:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        sets = [_read(model, place) for place in sorted(folder.glob("test_data_set_*"))]
    data = tuple(
        (
            tuple(_data(item, value.type) for item, value in zip(inputs, _inputs(model), strict=False)),
            tuple(_data(item, value.type) for item, value in zip(outputs, model.graph.output, strict=False)),
        )
        for inputs, outputs in sets
    )
    return OfficialCase(case.name, case.kind, case.rtol, case.atol, model, data)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What a model is given when it runs: old files list their weights among the inputs too."""
    own = {item.name for item in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in own]


def _read(model: onnx.ModelProto, folder: Path) -> tuple[list[Any], list[Any]]:
    def parsed(kind: str, values: Sequence[onnx.ValueInfoProto]) -> list[Any]:
        found = []
        for number, value in enumerate(values):
            content = (folder / f"{kind}_{number}.pb").read_bytes()
            which = value.type.WhichOneof("value")
            item: Any = onnx.SequenceProto() if which == "sequence_type" else onnx.TensorProto()
            item.ParseFromString(content)
            found.append(onnx.numpy_helper.to_list(item) if which == "sequence_type" else item)
        return found

    return parsed("input", _inputs(model)), parsed("output", list(model.graph.output))


def _data(item: Any, kind: onnx.TypeProto) -> Data:
    """An array, a list of arrays, or None, in the type that the model declares."""
    if item is None:
        return None
    if isinstance(item, onnx.TensorProto):
        item = onnx.numpy_helper.to_array(item)
    if isinstance(item, (list, tuple)):
        return [np.asarray(part) for part in item]
    array = np.asarray(item)
    if kind.WhichOneof("value") == "tensor_type":
        wanted = onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)
        if array.dtype != wanted and wanted.kind != "O" and array.dtype.kind not in "OSU":
            array = array.astype(wanted)
    return array.astype(object) if array.dtype.kind in "SU" else array
