"""How outputs lie in one another comes along from each framework, and what is no array is said."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import nn
from assay.errors import ModelError
from assay.structure import Structure, from_data, structure_of, with_named_tuples

ARRAY = Structure("array")


def array(place: int) -> Structure:
    return Structure("array", place=place)


@dataclass
class Seen:
    """What the models of these tests give."""

    logits: Any
    boxes: Any
    cache: Any = None


SEEN = Structure(
    "record", (("logits", array(0)), ("boxes", Structure("tuple", ((0, array(1)), (1, array(2)))))), name="Seen"
)


def test_a_structure_is_data_and_back() -> None:
    nest = {"a": 1, "rest": [0, (2,), OrderedDict(b=3)], 7: 4}
    found, left = structure_of(nest)
    assert found is not None and left == []
    assert from_data(json.loads(json.dumps(found.to_data())), 5) == found
    values = {"a": "one", "rest": ["zero", ("two",), {"b": "three"}], 7: "four"}
    assert found.arrays(values) == ("zero", "one", "two", "three", "four")
    assert found.named(values)["rest_2_b"] == "three"
    assert found.arrays(3.5) == (3.5,), "what is no nest, such as a loss, is the only array"


def test_records_are_named_tuples_of_the_sources_names() -> None:
    opened = with_named_tuples(Seen(0, (1, 2)))
    assert type(opened).__name__ == "Seen" and opened.boxes == (1, 2)
    assert structure_of(opened) == (SEEN, ["cache (None)"])
    assert SEEN.arrays(with_named_tuples(Seen("l", ("b", "c")))) == ("l", "b", "c")
    assert SEEN.arrays({"logits": "l", "boxes": ("b", "c")}) == ("l", "b", "c")
    point = namedtuple("point", "x y")
    assert structure_of(point(0, 1))[0] == Structure("record", (("x", array(0)), ("y", array(1))), name="point")


@pytest.mark.parametrize(
    "data",
    [
        1,
        {"dict": []},
        {"dict": [["a", 0], ["a", 1]]},
        {"tuple": [[1, 0], [0, 1]]},
        {"record": [["a", 0], ["b", 1]], "name": "import os"},
        {"record": [["a", 0], ["b; import os", 1]], "name": "A"},
        {"dict": [[None, 0], ["b", 1]]},
        {"set": [["a", 0], ["b", 1]]},
        {"dict": [["a", 0], ["b", 2]]},
    ],
)
def test_damaged_data_is_no_structure(data: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_data(data, 2)


def test_a_file_with_a_damaged_structure_is_refused(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = nn.Linear(3, 2)

        def forward(self, x: nn.Tensor) -> object:
            return {"y": self.left(x), "twice": (self.left(x),)}

    model = nn.build(Two(), [nn.Input("x", (3,))])
    assert model.structure == Structure("dict", (("y", array(0)), ("twice", Structure("tuple", ((0, array(1)),)))))
    path = tmp_path / "two.onnx"
    model.to_onnx(path)
    assert assay.load(path).structure == model.structure
    model.graph.metadata_props["assay.structure"] = '{"dict": [["y", 5]]}'
    model.ir.graph.metadata_props["assay.structure"] = '{"dict": [["y", 5]]}'
    model.to_onnx(path)
    with pytest.raises(ModelError, match="noted in its metadata is damaged"):
        assay.load(path)


def test_pytorch(need: Callable[..., None]) -> None:
    need("torch")
    import torch

    class Net(torch.nn.Module):
        def __init__(self, give: Callable[[Any, Any], Any]) -> None:
            super().__init__()
            self.body, self.give = torch.nn.Linear(4, 3), give

        def forward(self, x: torch.Tensor) -> Any:
            y = self.body(x)
            return self.give(y, y.relu())

    def brought(give: Callable[[Any, Any], Any]) -> assay.model.Model:
        return assay.load(Net(give), inputs=torch.randn(2, 4))

    assert brought(lambda y, z: Seen(y, (z, y + 1))).structure == SEEN
    assert "cache" in " ".join(brought(lambda y, z: Seen(y, (z, y + 1))).notes)
    assert brought(lambda y, z: (y,)).structure == Structure("tuple", ((0, array(0)),))
    assert brought(lambda y, z: (y, z)).structure.is_flat
    found = brought(lambda y, z: {"z": z, "more": {"y": [y]}})
    assert found.structure.to_data() == {"dict": [["z", 0], ["more", {"dict": [["y", {"list": [[0, 1]]}]]}]]}
    assert [value.name for value in found.graph.outputs] == ["z", "more_y_0"]


def test_jax(need: Callable[..., None]) -> None:
    need("flax")
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, give: Callable[[Any, Any], Any]) -> None:
            self.body = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
            self.give = give

        def __call__(self, x: Any) -> Any:
            y = self.body(x)
            return self.give(y, nnx.relu(y))

    def brought(give: Callable[[Any, Any], Any]) -> assay.model.Model:
        return assay.load(Net(give), inputs=np.zeros((2, 4), np.float32))

    assert brought(lambda y, z: Seen(y, (z, y + 1))).structure == SEEN
    found = brought(lambda y, z: {"z": z, "more": {"y": [y]}}).structure
    assert found.arrays({"z": "z", "more": {"y": ["y"]}}) == ("y", "z"), "jax sorts the keys of a dict"


def test_tensorflow(need: Callable[..., None], tmp_path: Path) -> None:
    need("tensorflow")
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self, give: Callable[[Any, Any], Any]) -> None:
            super().__init__()
            self.kernel, self.give = tf.Variable(tf.ones((4, 3))), give

        def __call__(self, x: tf.Tensor) -> Any:
            y = x @ self.kernel
            return self.give(y, tf.nn.relu(y))

    def brought(give: Callable[[Any, Any], Any]) -> assay.model.Model:
        return assay.load(Net(give), inputs=np.zeros((2, 4), np.float32))

    assert brought(lambda y, z: Seen(y, (z, y + 1))).structure == SEEN
    found = brought(lambda y, z: {"z": z, "more": {"y": [y]}})
    assert found.structure.named({"z": 1, "more": {"y": [2]}}) == {"more_y_0": 2, "z": 1}
    assert [value.name for value in found.graph.outputs] == ["more_y_0", "z"]

    module = Net(lambda y, z: {"z": z, "y": y})
    signature = tf.function(module.__call__).get_concrete_function(tf.TensorSpec((None, 4), tf.float32))
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signature)
    saved = assay.load(tmp_path / "saved")
    assert saved.structure.to_data() == {"dict": [["y", 0], ["z", 1]]}
    assert [value.name for value in saved.graph.outputs] == ["y", "z"]


def test_keras(need: Callable[..., None]) -> None:
    need("keras", "tensorflow")
    import keras

    x = keras.Input((4,))
    y = keras.layers.Dense(3)(x)
    named = assay.load(keras.Model(x, {"z": keras.layers.ReLU()(y), "more": [y, (y,)]}))
    assert named.structure.arrays({"z": "z", "more": ["y", ("w",)]}) == ("y", "w", "z")
    assert assay.load(keras.Model(x, [y, y])).structure.kind == "list"


def test_a_module_reads_the_size_of_the_batch_from_what_it_is_given(need: Callable[..., None]) -> None:
    """It would be given the model's first input otherwise, which then had the name of an argument that is no tensor."""
    need("torch")
    import torch
    from torch import nn as torch_nn

    class Embeddings(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.patches = torch_nn.Parameter(torch.zeros(6)), torch_nn.Linear(4, 6)

        def forward(self, image: torch.Tensor, interpolate: bool = False) -> torch.Tensor:
            patches = self.patches(image)
            return torch.cat([self.token.expand(image.shape[0], 1, -1), patches], 1)

    class Net(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.embeddings = torch_nn.Embedding(9, 6), Embeddings()

        def forward(self, words: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.words(words), self.embeddings(image)], 1)

    example = torch.zeros(2, 3, dtype=torch.int64), torch.randn(2, 5, 4)
    text = assay.load(Net(), inputs=example).write("pytorch").files["model.py"]
    assert "interpolate" not in text and "def forward(self, image: Tensor) -> Tensor:" in text
    assert "self.embeddings(image)" in text
