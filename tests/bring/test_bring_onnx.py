"""ONNX files from outside: malformed, malicious, absurd or merely unusual."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner

import assay
from assay.cli import main
from assay.errors import ModelError, NotFoundError, UnsupportedError
from assay.write import write

_make, FLOAT, INT64 = onnx.helper.make_node, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
FRAMEWORKS = ("pytorch", "tensorflow", "keras", "jax")


def info(name: str, shape: Any = (2, 3), kind: int = FLOAT) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def model(*nodes: onnx.NodeProto, opset: int = 21, **given: Any) -> onnx.ModelProto:
    """A model of `x` [2, 3] and `y` around these nodes; `given` goes to the graph."""
    parts = {"name": "net", "inputs": [info("x")], "outputs": [info("y")], "initializer": []} | given
    graph = onnx.helper.make_graph(list(nodes), **parts)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)


def external(name: str, location: str, shape: tuple[int, ...] = (3,), **more: int) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=FLOAT, dims=shape, data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def add(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model(_make("Add", ["x", "w"], ["y"], name="sum"), initializer=[tensor])


def _in_a_constant(location: str) -> onnx.ModelProto:
    return model(_make("Constant", [], ["c"], value=external("c", location)), _make("Add", ["x", "c"], ["y"]))


def _in_a_branch(location: str) -> onnx.ModelProto:
    def branch(name: str) -> onnx.GraphProto:
        node = _make("Constant", [], [name], value=external("c", location))
        return onnx.helper.make_graph([node], name, [], [info(name, (3,))])

    condition = onnx.numpy_helper.from_array(np.array(True), "t")
    node = _make("If", ["t"], ["y"], then_branch=branch("a"), else_branch=branch("b"))
    return model(node, initializer=[condition], outputs=[info("y", (3,))])


def _metadata(value: str) -> onnx.ModelProto:
    found = model(_make("Relu", ["x"], ["y"]))
    found.graph.metadata_props.add(key="assay.modules", value=value)
    return found


def _imports(*domains: tuple[str, int], node: onnx.NodeProto) -> onnx.ModelProto:
    found = model(node)
    del found.opset_import[:]
    found.opset_import.extend(onnx.helper.make_opsetid(*item) for item in domains)
    return found


BAD: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "empty": (lambda: b"", "holds no graph"),
    "text": (lambda: b"not a model", "is not an ONNX model that can be read"),
    "cut": (lambda: model(_make("Relu", ["x"], ["y"])).SerializeToString()[:-9], "is not an ONNX model"),
    "unknown operators": (
        lambda: model(_make("Foo", ["x"], ["a"], name="one"), _make("Bar", ["a"], ["y"], name="two")),
        "operators that ONNX does not define: 'Foo' (node 'one'), 'Bar' (node 'two')",
    ),
    "unknown domain": (
        lambda: _imports(("", 21), ("com.microsoft", 1), node=_make("FusedGemm", ["x"], ["y"], domain="com.microsoft")),
        "'com.microsoft:FusedGemm' (node 'y')",
    ),
    "domain not imported": (
        lambda: model(_make("Binarizer", ["x"], ["y"], domain="ai.onnx.ml")),
        "'y' is of domain 'ai.onnx.ml', which the file does not import",
    ),
    "too new": (lambda: model(_make("Relu", ["x"], ["y"]), opset=999), "is of opset 999; the onnx installed here"),
    "too old": (lambda: model(_make("Dropout", ["x"], ["y"]), opset=1), "is of opset 1; assay reads opset 6 and newer"),
    "opset zero": (lambda: model(_make("Relu", ["x"], ["y"]), opset=0), "there is no such version"),
    "external missing": (lambda: add(external("w", "w.bin")), "'w' should lie in 'w.bin', and there is no such file"),
    "external above": (lambda: add(external("w", "../outside.bin")), "outside the model's folder"),
    "external absolute": (lambda: add(external("w", "/etc/hostname")), "outside the model's folder"),
    "external symlink": (lambda: add(external("w", "link.bin")), "outside the model's folder"),
    "external nowhere": (lambda: add(external("w", "")), "there is no such file"),
    "external null": (lambda: add(external("w", "a\0b")), "no file's name"),
    "external too short": (lambda: add(external("w", "data.bin", (9,))), "(36 bytes from 0 on) does not lie in"),
    "external offset": (lambda: add(external("w", "data.bin", offset=8)), "(12 bytes from 8 on) does not lie in"),
    "external negative": (lambda: add(external("w", "data.bin", offset=-8)), "does not lie in"),
    "external constant": (lambda: _in_a_constant("../outside.bin"), "outside the model's folder"),
    "external in a branch": (lambda: _in_a_branch("../outside.bin"), "outside the model's folder"),
    "cyclic": (
        lambda: model(_make("Add", ["x", "b"], ["a"], name="one"), _make("Relu", ["a"], ["b"]), _make("Relu", ["b"], ["y"])),
        "is not output of any previous nodes",
    ),
    "unsorted": (
        lambda: model(_make("Relu", ["a"], ["y"], name="late"), _make("Relu", ["x"], ["a"])),
        "must be topologically sorted, however input 'a' of node: name: late",
    ),
    "no source": (lambda: model(_make("Add", ["x", "nothing"], ["y"])), "'nothing'"),
    "made twice": (lambda: model(_make("Relu", ["x"], ["y"]), _make("Neg", ["x"], ["y"])), "'y'"),
    "wrong type": (
        lambda: model(_make("Add", ["x", "k"], ["y"], name="sum"), inputs=[info("x"), info("k", (3,), INT64)]),
        "sum",
    ),
    "wrong attribute": (lambda: model(_make("Relu", ["x"], ["y"], slope=1.0)), "Unrecognized attribute: slope"),
    "wrong shapes": (
        lambda: model(_make("MatMul", ["x", "x"], ["y"], name="product"), outputs=[info("y", (2, 2))]),
        "product",
    ),
    "negative size": (lambda: model(_make("Relu", ["x"], ["y"]), inputs=[info("x", (2, -3))]), "'x' of shape (2, -3)"),
    "negative weight": (lambda: add(onnx.TensorProto(name="w", data_type=FLOAT, dims=(-3,))), "'w' of shape (-3,)"),
    "absurd input": (
        lambda: model(_make("Relu", ["x"], ["y"]), inputs=[info("x", (1 << 20, 1 << 20))], outputs=[info("y", None)]),
        "'x' of shape (1048576, 1048576) cannot exist",
    ),
    "absurd weight": (
        lambda: add(onnx.TensorProto(name="w", data_type=FLOAT, dims=(1 << 40,))),
        "'w' of shape (1099511627776,) cannot exist",
    ),
    "absurd result": (
        lambda: model(
            _make("ConstantOfShape", ["s"], ["y"], name="huge"),
            initializer=[onnx.numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "s")],
            outputs=[info("y", None)],
        ),
        "(made by ConstantOfShape 'huge') of shape (1048576, 1048576) cannot exist",
    ),
    "too little data": (lambda: add(onnx.TensorProto(name="w", data_type=FLOAT, dims=(3,), raw_data=b"1234")), "w"),
    "no type": (lambda: add(onnx.TensorProto(name="w", data_type=77, dims=(3,), raw_data=b"1" * 12)), "data type 77"),
    "metadata no JSON": (lambda: _metadata("{"), "metadata is damaged"),
    "metadata of code": (
        lambda: _metadata(json.dumps({"": {"class": "M: import os\nclass N", "arguments": []}})),
        "expected an identifier",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a model, with data beside it and outside it."""
    (tmp_path / "outside.bin").write_bytes(bytes(12))
    place = tmp_path / "model"
    place.mkdir()
    (place / "data.bin").write_bytes(bytes(16))
    (place / "link.bin").symlink_to(tmp_path / "outside.bin")
    return place


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_line_and_nothing_is_written(name: str, folder: Path) -> None:
    make, message = BAD[name]
    content = make()
    path = folder / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    result = CliRunner().invoke(main, ["write", str(path), "--to", "jax", "--out", str(folder / "out")])
    assert result.exit_code == 2, result.output
    assert message in result.stderr and str(path) in result.stderr
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
    assert not result.stdout and not (folder / "out").exists()


def test_no_file() -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        assay.load("missing.onnx")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_all_missing_operators_are_named_at_once(framework: str, folder: Path) -> None:
    names = ["Optimizer", "Vendor"]
    found = model(*(_make(name, ["x"], [f"y{place}"]) for place, name in enumerate(names)), _make("Relu", ["x"], ["y"]))
    onnx.save(found, folder / "m.onnx")
    with pytest.raises(ModelError, match=r"'Optimizer' \(node 'y0'\), 'Vendor' \(node 'y1'\)"):
        write(assay.load(folder / "m.onnx"), framework)


# Names ----------------------------------------------------------------------------------------------------------------

CODE = "import os; os.system('touch HACKED')"
NAMES = [
    f'"]; {CODE}; ["',
    f'"""\n{CODE}\n"""',
    f"x\n{CODE}\n",
    f"x\\\n{CODE}",
    "class",
    "None",
    "self",
    "torch",
    "\\N{BELL}\\x",
    "größe/模型:0",
    "\x1b[2J\u202e",
    "0.weight",
    "a" * 5000,
    "",
]


def _named(name: str) -> onnx.ModelProto:
    """A network that has this name everywhere a name can stand."""
    rng, tag = np.random.default_rng(0), name or "?"
    weights = [
        onnx.numpy_helper.from_array(rng.standard_normal((3, 4)).astype(np.float32), f"{tag} w"),
        onnx.numpy_helper.from_array(rng.standard_normal(4).astype(np.float32), f"{tag} b"),
        onnx.numpy_helper.from_array(rng.standard_normal((5, 4)).astype(np.float32), f"{tag} scale"),
    ]
    nodes = [
        _make("MatMul", [f"{tag} x", f"{tag} w"], [f"{tag} 1"], name=name, doc_string=name),
        _make("Add", [f"{tag} 1", f"{tag} b"], [f"{tag} 2"], name=name, doc_string=name),
        _make("Relu", [f"{tag} 2"], [f"{tag} 3"], name=name),
        _make("Mul", [f"{tag} 3", f"{tag} scale"], [f"{tag} y"], name=name),
    ]
    found = model(
        *nodes,
        name=name or "?",
        inputs=[info(f"{tag} x", (tag, 5, 3))],
        outputs=[info(f"{tag} y", (tag, 5, 4))],
        initializer=weights,
        doc_string=name,
    )
    found.doc_string = found.producer_name = name
    found.metadata_props.add(key=tag, value=name)
    return found


def _outline(source: str) -> list[str]:
    """What stands at the top of a file: kinds of statement, with what is imported."""
    return [
        ast.unparse(node) if isinstance(node, (ast.Import, ast.ImportFrom)) else type(node).__name__
        for node in ast.parse(source).body
    ]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_never_become_code(name: str, framework: str, folder: Path) -> None:
    sources = []
    for each in (name, "plain"):
        onnx.save(_named(each), folder / "m.onnx")
        package = write(assay.load(folder / "m.onnx"), framework)
        source = package.files["model.py"]
        compile(source, "model.py", "exec")
        assert "\x1b" not in source and "\u202e" not in source
        assert all(len(line) < 1000 for line in source.splitlines())
        words = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        words |= {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        assert not words & {"os", "system"}
        sources.append(_outline(source))
        package.save(folder / f"{len(sources)}")
    assert sources[0] == sources[1]
    assert not (folder / "HACKED").exists()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["torch", "nn", "F", "tf", "keras", "ops", "jnp", "nnx", "np", "math"])
def test_no_input_hides_a_module(name: str, framework: str, folder: Path) -> None:
    onnx.save(model(_make("Gelu", [name], ["y"]), inputs=[info(name)]), folder / "m.onnx")
    tree = ast.parse(write(assay.load(folder / "m.onnx"), framework).files["model.py"])
    assert not any(isinstance(node, ast.arg) and node.arg == name for node in ast.walk(tree))


def test_names_do_not_break_messages(folder: Path) -> None:
    found = model(_make("Foo\nBar", ["x"], ["y"], name="a\n\x1b[2J"))
    onnx.save(found, folder / "m.onnx")
    with pytest.raises(ModelError) as error:
        assay.load(folder / "m.onnx")
    assert str(error.value).isprintable()


def test_names_that_become_equal_stay_apart(folder: Path) -> None:
    nodes = [_make("Relu", ["x"], ["a\n"]), _make("Neg", ["x"], ["a_"]), _make("Sub", ["a\n", "a_"], ["y"])]
    onnx.save(model(*nodes), folder / "m.onnx")
    proto = ir.to_proto(assay.load(folder / "m.onnx").ir)
    x = np.array([[1, -2, 3], [4, 5, 6]], np.float32)
    found = onnx.reference.ReferenceEvaluator(proto).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, np.maximum(x, 0) + x)


# What is unusual and right --------------------------------------------------------------------------------------------


def test_more_data_than_fits_a_protobuf_is_read_only_when_asked_for(folder: Path) -> None:
    size = 3 << 28  # float32: 3 GiB, sparse on disk
    with (folder / "big.bin").open("wb") as file:
        file.truncate(4 * size)
    found = model(
        _make("Gather", ["w", "i"], ["y"]),
        inputs=[info("i", (2,), INT64)],
        outputs=[info("y", (2, 1024))],
        initializer=[external("w", "big.bin", (size // 1024, 1024))],
    )
    onnx.save(found, folder / "m.onnx")
    loaded = assay.load(folder / "m.onnx")
    assert isinstance(loaded.graph.initializers["w"].const_value, ir.ExternalTensor)
    assert loaded.graph.initializers["w"].const_value.raw is None  # not even mapped
    assert "1024" in write(loaded, "jax").files["model.py"]


def test_external_data_beside_the_model_is_read(folder: Path) -> None:
    values = np.arange(4, dtype=np.float32)
    (folder / "data.bin").write_bytes(values.tobytes())
    onnx.save(add(external("w", "data.bin", offset=4, length=12)), folder / "m.onnx")
    np.testing.assert_array_equal(assay.load(folder / "m.onnx").weights()["w"], values[1:])


def test_a_model_comes_back_as_it_was(folder: Path) -> None:
    onnx.save(_named("net"), folder / "m.onnx")
    first = assay.load(folder / "m.onnx")
    first.to_onnx(folder / "again.onnx")
    second = assay.load(folder / "again.onnx")
    onnx.checker.check_model(folder / "again.onnx")
    for name in FRAMEWORKS:
        assert write(first, name).files == write(second, name).files
    for name, array in first.weights().items():
        np.testing.assert_array_equal(second.weights()[name], array)


def test_workloads_come_back_as_they_were(folder: Path) -> None:
    first = assay.load("outcome-mlp")
    first.to_onnx(folder / "again.onnx")
    assert write(first, "jax").files == write(assay.load(folder / "again.onnx"), "jax").files


@pytest.mark.parametrize("shape", [None, ("batch", 3), (2, None)])
def test_shapes_that_are_not_known(shape: Any, folder: Path) -> None:
    found = model(_make("Relu", ["x"], ["y"]), inputs=[info("x", shape)], outputs=[info("y", shape)])
    onnx.save(found, folder / "m.onnx")
    for framework in FRAMEWORKS:
        compile(write(assay.load(folder / "m.onnx"), framework).files["model.py"], "model.py", "exec")


def test_sequences_and_optionals_are_brought(folder: Path) -> None:
    nodes = [
        _make("SequenceConstruct", ["x", "x"], ["s"]),
        _make("Optional", ["s"], ["o"]),
        _make("OptionalGetElement", ["o"], ["t"]),
        _make("ConcatFromSequence", ["t"], ["y"], axis=0),
    ]
    onnx.save(model(*nodes, outputs=[info("y", (4, 3))]), folder / "m.onnx")
    loaded = assay.load(folder / "m.onnx")
    assert [node.op_type for node in loaded.graph] == [node.op_type for node in nodes]


def test_initializers_among_the_inputs_are_weights(folder: Path) -> None:
    found = add(onnx.numpy_helper.from_array(np.ones(3, np.float32), "w"))
    found.graph.input.append(info("w", (3,)))
    onnx.save(found, folder / "m.onnx")
    assert [value.name for value in assay.load(folder / "m.onnx").graph.inputs] == ["x"]


def test_a_refusal_of_a_framework_is_one_line(folder: Path) -> None:
    found = _imports(
        *(("", 21), ("ai.onnx.ml", 3)),
        node=_make("SVMRegressor", ["x"], ["y"], domain="ai.onnx.ml", name="svm", coefficients=[1.0], rho=[0.0]),
    )
    onnx.save(found, folder / "m.onnx")
    with pytest.raises(UnsupportedError, match="SVMRegressor") as error:
        write(assay.load(folder / "m.onnx"), "jax")
    assert "\n" not in str(error.value)
