"""Old operators in new words: the model that is brought computes what the file's own opset says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from assay.bring.onnx import load_onnx
from assay.errors import ModelError

Arrays = dict[str, np.ndarray]
_make = onnx.helper.make_node
_generator = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return _generator.standard_normal(shape).astype(np.float32)


def model(opset: int, nodes: list[onnx.NodeProto], inputs: Arrays, weights: Arrays, outputs: list[str]) -> Any:
    def info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    graph = onnx.helper.make_graph(
        nodes,
        "old",
        [info(name, array) for name, array in inputs.items()],
        [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    found = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    found = onnx.shape_inference.infer_shapes(found)
    for value in found.graph.output:  # where inference of old operators finds nothing
        if value.type.tensor_type.elem_type == 0:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return found


def brought(found: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    path = folder / "old.onnx"
    onnx.save(found, path)
    proto = ir.to_proto(load_onnx(path).ir)
    assert proto.opset_import[0].version >= 24
    return proto


def run(proto: onnx.ModelProto, inputs: Arrays) -> list[np.ndarray]:
    return [np.asarray(item) for item in ReferenceEvaluator(proto).run(None, inputs)]


# The reference knows these in their own opset.
SAME: list[tuple[str, int, list[onnx.NodeProto], Arrays, Arrays, list[str]]] = [
    ("dropout", 7, [_make("Dropout", ["x"], ["y"], ratio=0.3)], {"x": floats(3, 4)}, {}, ["y"]),
    ("softmax-last", 11, [_make("Softmax", ["x"], ["y"], axis=2)], {"x": floats(2, 3, 4)}, {}, ["y"]),
    ("squeeze", 11, [_make("Squeeze", ["x"], ["y"], axes=[0, 2])], {"x": floats(1, 3, 1, 4)}, {}, ["y"]),
    ("unsqueeze", 11, [_make("Unsqueeze", ["x"], ["y"], axes=[0, 2])], {"x": floats(3, 4)}, {}, ["y"]),
    ("clip", 7, [_make("Clip", ["x"], ["y"], min=-0.5, max=0.5)], {"x": floats(3, 4)}, {}, ["y"]),
    ("clip-min", 7, [_make("Clip", ["x"], ["y"], min=-0.5)], {"x": floats(3, 4)}, {}, ["y"]),
    ("pad", 7, [_make("Pad", ["x"], ["y"], pads=[0, 1, 0, 2], value=1.5)], {"x": floats(3, 4)}, {}, ["y"]),
    ("pad-reflect", 7, [_make("Pad", ["x"], ["y"], mode="reflect", pads=[0, 1, 0, 2])], {"x": floats(3, 4)}, {}, ["y"]),
    (
        "slice",
        7,
        [_make("Slice", ["x"], ["y"], axes=[1, 0], starts=[1, 0], ends=[99, -1])],
        {"x": floats(3, 4)},
        {},
        ["y"],
    ),
    ("slice-all", 7, [_make("Slice", ["x"], ["y"], starts=[1, 0], ends=[99, -1])], {"x": floats(3, 4)}, {}, ["y"]),
    ("top-k", 7, [_make("TopK", ["x"], ["y", "i"], axis=1, k=2)], {"x": floats(3, 4)}, {}, ["y", "i"]),
    ("reduce-sum", 11, [_make("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0)], {"x": floats(3, 4)}, {}, ["y"]),
    ("reduce-mean", 13, [_make("ReduceMean", ["x"], ["y"], axes=[-1])], {"x": floats(3, 4)}, {}, ["y"]),
    ("reduce-all", 11, [_make("ReduceL2", ["x"], ["y"])], {"x": floats(3, 4)}, {}, ["y"]),
    ("split", 11, [_make("Split", ["x"], ["y", "z"], axis=1, split=[1, 3])], {"x": floats(3, 4)}, {}, ["y", "z"]),
    ("split-even", 13, [_make("Split", ["x"], ["y", "z"], axis=1)], {"x": floats(3, 4)}, {}, ["y", "z"]),
    (
        *("group-norm", 18, [_make("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)]),
        *({"x": floats(2, 4, 3, 3)}, {"s": floats(2), "b": floats(2)}, ["y"]),
    ),
    (
        *("layer-norm", 17, [_make("LayerNormalization", ["x", "s", "b"], ["y"])]),
        *({"x": floats(2, 4, 3)}, {"s": floats(3), "b": floats(3)}, ["y"]),
    ),
    ("dft", 17, [_make("DFT", ["x"], ["y"], axis=1)], {"x": floats(1, 4, 3, 1)}, {}, ["y"]),
    (
        *("lstm", 7, [_make("LSTM", ["x", "w", "r"], ["y", "h", "c"], hidden_size=2)]),
        *({"x": floats(3, 2, 4)}, {"w": floats(1, 8, 4), "r": floats(1, 8, 2)}, ["y", "h", "c"]),
    ),
]


@pytest.mark.parametrize("case", SAME, ids=lambda case: f"{case[0]}-{case[1]}")
def test_the_brought_model_computes_the_same(case: tuple[Any, ...], tmp_path: Path) -> None:
    _, opset, nodes, inputs, weights, outputs = case
    found = model(opset, nodes, inputs, weights, outputs)
    for old, new in zip(run(found, inputs), run(brought(found, tmp_path), inputs), strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)


def _softmax_over(axis: int) -> Callable[[Arrays], np.ndarray]:
    def expected(given: Arrays) -> np.ndarray:
        x = given["x"]
        flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
        raised = np.exp(flat - flat.max(axis=1, keepdims=True))
        return (raised / raised.sum(axis=1, keepdims=True)).reshape(x.shape)

    return expected


def _linear_upsampled(given: Arrays) -> np.ndarray:
    """Twice as wide, with the elements of x at even places, means between them, and the last one repeated."""
    x = given["x"]
    between = (x + np.concatenate([x[..., 1:], x[..., -1:]], axis=-1)) / 2
    return np.stack([x, between], axis=-1).reshape(*x.shape[:-1], -1)


def _normalized(given: Arrays) -> np.ndarray:
    return (given["x"] - given["m"]) / np.sqrt(given["v"] + 1e-5) * given["s"] + given["b"]


_ELEMENTS = {name: np.abs(floats(3, 2, 2)) + 0.5 for name in ("s", "b", "m", "v")}
_CHANNELS = {name: np.abs(floats(3, 1, 1)) + 0.5 for name in ("s", "b", "m", "v")}
_FLAT = {name: array.reshape(3) for name, array in _CHANNELS.items()}
_SHRINK = {"sc": np.array([1, 1, 0.6, 1.5], np.float32)}

# What the reference does not know, or gets wrong, in the opset of the file.
KNOWN: list[tuple[str, int, onnx.NodeProto, Arrays, Arrays, Callable[[Arrays], np.ndarray]]] = [
    ("softmax", 11, _make("Softmax", ["x"], ["y"], axis=1), {"x": floats(2, 3, 4)}, {}, _softmax_over(1)),
    ("softmax-default", 7, _make("Softmax", ["x"], ["y"]), {"x": floats(2, 3, 4)}, {}, _softmax_over(1)),
    ("softmax-all", 11, _make("Softmax", ["x"], ["y"], axis=0), {"x": floats(2, 3)}, {}, _softmax_over(0)),
    (
        *("upsample", 7, _make("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0]), {"x": floats(1, 2, 3, 3)}),
        *({}, lambda given: given["x"].repeat(2, axis=2).repeat(3, axis=3)),
    ),
    (
        *("upsample", 9, _make("Upsample", ["x", "sc"], ["y"]), {"x": floats(1, 2, 3, 3)}),
        *(
            {"sc": np.array([1, 1, 2, 3], np.float32)},
            lambda given: given["x"].repeat(2, axis=2).repeat(3, axis=3),
        ),
    ),
    (
        *("upsample-linear", 9, _make("Upsample", ["x", "sc"], ["y"], mode="linear"), {"x": floats(1, 1, 2, 3)}),
        *({"sc": np.array([1, 1, 1, 2], np.float32)}, _linear_upsampled),
    ),
    (
        *("resize-linear", 10, _make("Resize", ["x", "sc"], ["y"], mode="linear"), {"x": floats(1, 1, 2, 3)}),
        *({"sc": np.array([1, 1, 1, 2], np.float32)}, _linear_upsampled),
    ),
    (  # shrinking takes the element above, growing the one below: rows 0, 2, 4; columns 0, 0, 1
        *("resize-nearest", 10, _make("Resize", ["x", "sc"], ["y"]), {"x": floats(1, 1, 5, 2)}, _SHRINK),
        lambda given: given["x"][:, :, [0, 2, 4]][..., [0, 0, 1]],
    ),
    (
        *("batch-norm", 7, _make("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"]), {"x": floats(2, 3, 2, 2)}),
        *(_FLAT, lambda given: _normalized({**given, **_CHANNELS})),
    ),
    (
        *("batch-norm-elements", 7, _make("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], spatial=0)),
        *({"x": floats(2, 3, 2, 2)}, _ELEMENTS, _normalized),
    ),
    (
        *("batch-norm-test", 6, _make("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], is_test=1)),
        *({"x": floats(2, 3, 2, 2)}, _FLAT, lambda given: _normalized({**given, **_CHANNELS})),
    ),
    (
        *("add-from-axis", 6, _make("Add", ["x", "z"], ["y"], broadcast=1, axis=1)),
        *({"x": floats(2, 3, 4, 5), "z": floats(3, 4)}, {}, lambda given: given["x"] + given["z"][:, :, None]),
    ),
    (
        *("add-from-the-end", 6, _make("Add", ["x", "z"], ["y"], broadcast=1), {"x": floats(2, 3), "z": floats(3)}),
        *({}, lambda given: given["x"] + given["z"]),
    ),
    (
        *("prelu", 6, _make("PRelu", ["x", "a"], ["y"]), {"x": floats(2, 3, 4)}, {"a": floats(3)}),
        lambda given: np.where(given["x"] < 0, given["x"] * given["a"][:, None], given["x"]),
    ),
    (
        *("scatter", 9, _make("Scatter", ["x", "i", "u"], ["y"], axis=1), {"x": floats(1, 3), "u": floats(1, 1)}),
        *({"i": np.array([[2]])}, lambda given: np.concatenate([given["x"][:, :2], given["u"]], axis=1)),
    ),
]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{case[0]}-{case[1]}")
def test_the_brought_model_computes_what_its_opset_says(case: tuple[Any, ...], tmp_path: Path) -> None:
    _, opset, node, inputs, weights, expected = case
    proto = brought(model(opset, [node], inputs, weights, ["y"]), tmp_path)
    np.testing.assert_allclose(run(proto, inputs)[0], expected({**inputs, **weights}), rtol=1e-5, atol=1e-6)


def test_operators_inside_branches_are_brought_too(tmp_path: Path) -> None:
    def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        return onnx.helper.make_graph(
            nodes, name, [], [onnx.helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, [1, 3])]
        )

    node = _make(
        "If",
        ["c"],
        ["y"],
        then_branch=branch("then", _make("Unsqueeze", ["x"], ["a"], axes=[0])),
        else_branch=branch("else", _make("Unsqueeze", ["x"], ["b"], axes=[0]), _make("Clip", ["b"], ["d"], min=0.0)),
    )
    inputs = {"c": np.array(False), "x": floats(3)}
    proto = brought(model(10, [node], inputs, {}, ["y"]), tmp_path)
    np.testing.assert_array_equal(run(proto, inputs)[0], np.maximum(inputs["x"], 0)[None])
    np.testing.assert_array_equal(run(proto, {**inputs, "c": np.array(True)})[0], inputs["x"][None])


def test_a_scan_over_a_batch(tmp_path: Path) -> None:
    row = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in ("s", "x", "t", "o")]
    body = onnx.helper.make_graph(
        [_make("Add", ["s", "x"], ["t"]), _make("Identity", ["t"], ["o"])], "b", row[:2], row[2:]
    )
    inputs = {"s0": floats(2, 2), "xs": floats(2, 3, 2)}
    node = _make("Scan", ["", "s0", "xs"], ["y", "z"], body=body, num_scan_inputs=1)
    y, z = run(brought(model(8, [node], inputs, {}, ["y", "z"]), tmp_path), inputs)
    sums = inputs["s0"][:, None] + inputs["xs"].cumsum(axis=1)
    np.testing.assert_allclose(z, sums, rtol=1e-6)
    np.testing.assert_allclose(y, sums[:, -1], rtol=1e-6)


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    """Also where they are of another opset than the model: each is brought on its own."""
    for own in (11, 13):
        function = onnx.helper.make_function(
            "mine",
            "f",
            ["a"],
            ["c"],
            [_make("Relu", ["a"], ["b"]), _make("Identity", ["b"], ["c"])],
            [onnx.helper.make_opsetid("", own)],
        )
        found = model(13, [_make("Relu", ["x"], ["y"])], {"x": floats(5)}, {}, ["y"])
        found.graph.node[0].CopyFrom(_make("f", ["x"], ["y"], domain="mine"))
        found.functions.append(function)
        found.opset_import.append(onnx.helper.make_opsetid("mine", 1))
        x = floats(5)
        np.testing.assert_array_equal(run(brought(found, tmp_path), {"x": x})[0], np.maximum(x, 0))


@pytest.mark.parametrize(
    ("opset", "node", "message"),
    [
        (6, _make("Dropout", ["x"], ["y"], name="drop"), "Dropout (node 'drop') of opset 6 cannot be brought"),
        (5, _make("Dropout", ["x"], ["y"]), "of opset 5; assay reads opset 6 and newer, and Dropout"),
        (7, _make("Upsample", ["x", "w"], ["y"]), "is not an ONNX model"),
    ],
)
def test_what_cannot_be_brought(opset: int, node: onnx.NodeProto, message: str, tmp_path: Path) -> None:
    found = model(opset, [node], {"x": floats(2, 3)}, {}, ["y"])
    with pytest.raises(ModelError, match=r"old\.onnx") as error:
        brought(found, tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)
