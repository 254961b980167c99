"""A written model gives what the source gives: dicts, tuples, lists and records, in each framework's own way."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import pytest

from assay import nn
from assay.bring import load
from assay.frameworks import frameworks
from assay.model import Model

FRAMEWORKS = list(frameworks())
TYPES = {"pytorch": "Tensor", "tensorflow": "tf.Tensor", "jax": "jax.Array"}


@dataclass
class Found:
    logits: nn.Tensor
    boxes: tuple[nn.Tensor, nn.Tensor]


class Net(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.left, self.right, self.kind = nn.Linear(3, 2), nn.Linear(3, 4), kind

    def forward(self, x: nn.Tensor) -> object:
        left, right = self.left(x), self.right(x)
        match self.kind:
            case "dict":
                return {"left": left, "right side": right}
            case "record":
                return Found(left, (right, right * 2.0))
            case "one":
                return {"only": left}
            case "list":
                return [left, right]
            case "tuple":
                return left, {"more": (right,)}
        return left, right


def build(kind: str) -> Model:
    return nn.build(Net(kind), [nn.Input("x", (3,))])


def source(kind: str, framework: str) -> str:
    return build(kind).write(framework).files["model.py"]


def returned(kind: str, framework: str) -> str:
    """What stands behind the last `return` of the forward method."""
    forward = source(kind, framework).partition("\nWEIGHTS")[0]
    return forward.rpartition("        return ")[2].strip()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_returned(framework: str) -> None:
    assert returned("dict", framework) == '{"left": left, "right side": right_side}'
    assert returned("one", framework).partition("  #")[0] == '{"only": self.left(x)}'
    assert returned("list", framework).startswith("[") and returned("flat", framework).count(",") == 1
    assert returned("tuple", framework).endswith('{"more": (more_0,)}')
    record = "Found(logits=logits, boxes=(boxes_0, boxes_1))"
    as_dict = '{"logits": logits, "boxes": (boxes_0, boxes_1)}'
    assert returned("record", framework) == (as_dict if framework == "keras" else record)


@pytest.mark.parametrize("framework", sorted(TYPES))
def test_its_type_is_annotated(framework: str) -> None:
    array = TYPES[framework]
    assert f"-> dict[str, {array}]:" in source("dict", framework)
    assert f"-> tuple[{array}, dict[str, tuple[{array}]]]:" in source("tuple", framework)
    text = source("record", framework)
    assert "-> Found:" in text and "from typing import NamedTuple" in text
    assert "class Found(NamedTuple):\n" in text and f"    boxes: tuple[{array}, {array}]\n" in text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_loss_reads_the_output_that_is_named(framework: str) -> None:
    built = build("dict")
    wanted = built.graph.outputs[1].name
    package = load(built, loss=f"mse:output={wanted}").write(framework)
    assert '{"left": left, "right side": right_side}' in package.files["model.py"], "the source's order stays"
    assert '["right side"]' in package.files["train.py"]
    assert package.manifest()["structure"] == {"dict": [["left", 1], ["right side", 0]]}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_record_takes_no_name_of_something_else(framework: str) -> None:
    @dataclass
    class Pair:
        a: object
        b: object

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: nn.Tensor) -> object:
            y = self.layer(x)
            return Pair(y, y * 2.0)

    Pair.__name__ = "Path"  # which written files import
    text = nn.build(Inner(), [nn.Input("x", (3,))]).write(framework).files["model.py"]
    classes = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    assert "Path" not in classes and (framework == "keras" or "Path2" in classes)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_many_outputs_stand_on_lines_of_their_own(framework: str) -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: nn.Tensor) -> object:
            y = self.layer(x)
            return {"last": y, "hidden": [y * float(place) for place in range(2, 22)]}

    text = nn.build(Many(), [nn.Input("x", (3,))]).write(framework).files["model.py"]
    assert max(map(len, text.splitlines())) <= 120
    ast.parse(text)
