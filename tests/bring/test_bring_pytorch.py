"""PyTorch modules brought by torch.export: the same function, the same names, what is lost said."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pytorch_modules as modules  # noqa: E402  needs torch
from torch import nn  # noqa: E402
from torch.utils import _pytree as pytree  # noqa: E402

import assay  # noqa: E402
from assay.errors import ModelError, UnsupportedError  # noqa: E402
from assay.model import DROPS, VARIANCE  # noqa: E402
from assay.prove.oracle import evaluate  # noqa: E402

FILE = Path(modules.__file__)
HERE = FILE.parent


def _made(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    module, example = modules.MODULES[name]()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
    return module.eval(), example


def _other_batch(example: tuple[torch.Tensor, ...], size: int) -> tuple[torch.Tensor, ...]:
    """Other numbers than the example's, in float64, and another size of the batch."""
    return tuple(
        torch.randn(size, *item.shape[1:], dtype=torch.float64)
        if item.is_floating_point()
        else torch.randint(0, int(item.max()) + 1, (size, *item.shape[1:]))
        for item in example
    )


def _arrays(result: object) -> list[np.ndarray]:
    return [item.detach().numpy() for item in pytree.tree_leaves(result)]


@pytest.mark.parametrize("name", modules.MODULES)
def test_same_function_and_names(name: str) -> None:
    module, example = _made(name)
    model = assay.load(module, inputs=example)
    inputs = _other_batch(example, 3)
    double = copy.deepcopy(module).double()
    expected = _arrays(double(*inputs))
    given = {value.name: item.numpy() for value, item in zip(model.graph.inputs, inputs, strict=True)}
    for found, wanted in zip(evaluate(model, given), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    written = model.write("pytorch").load().double()
    if name not in modules.RENAMED:
        written.load_state_dict(double.state_dict(), strict=True)
    for found, wanted in zip(_arrays(written(*inputs)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6 if name in modules.RENAMED else 1e-10, atol=1e-6)


def test_training_is_that_of_the_source() -> None:
    """Batch norm's running statistics too: torch averages the unbiased variance."""
    module, example = _made("resnet")
    written = assay.load(module, inputs=example).write("pytorch").load().double()
    original = module.double()
    written.load_state_dict(original.state_dict(), strict=True)
    (image,) = _other_batch(example, 4)
    for network in (original, written):
        network.train()
        result = network(image)
        logits = result["logits"] if isinstance(result, dict) else result[0]
        logits.square().sum().backward()
    for name, expected in original.named_parameters():
        found = written.get_parameter(name).grad
        torch.testing.assert_close(found, expected.grad, rtol=1e-9, atol=1e-9)
    for name, expected in original.named_buffers():
        if "num_batches" not in name:
            torch.testing.assert_close(written.get_buffer(name), expected, rtol=1e-12, atol=1e-12)


def test_structure_is_kept() -> None:
    module, example = _made("resnet")
    model = assay.load(module, inputs=example)
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert [value.name for value in model.graph.outputs] == ["logits", "features"]
    assert model.modules["blocks.0"].class_name == "Residual"
    assert model.modules[""].arguments == ("image",)
    assert set(model.weights()) == {name for name in module.state_dict() if "num_batches" not in name}
    node = next(node for node in model.graph if node.op_type == "BatchNormalization")
    assert node.attributes["momentum"].as_float() == pytest.approx(0.97)
    assert str(model.graph.inputs[0].shape) == "[batch,3,16,16]"
    assert node.metadata_props[VARIANCE] == "unbiased"
    assert model.notes == ()


def test_attention_is_one_operator() -> None:
    module, example = _made("encoder")
    kinds = [node.op_type for node in assay.load(module, inputs=example).graph]
    assert kinds.count("Attention") == 2
    assert "Softmax" not in kinds
    causal, example = _made("causal block")
    kinds = [node.op_type for node in assay.load(causal, inputs=example).graph]
    assert kinds.count("Attention") == kinds.count("Softmax") == 1


def test_a_module_stays_as_it_was() -> None:
    module = modules.MLP()
    module.dropout.eval()
    before = {part: part.training for part in module.modules()}
    assay.load(module, inputs="2x6")
    assert {part: part.training for part in module.modules()} == before


def test_a_head_for_training_only_is_said_to_be_absent() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.auxiliary = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
            self.head = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
            x = self.body(x)
            return (self.head(x), self.auxiliary(x)) if self.training else self.head(x)

    model = assay.load(Auxiliary(), inputs="2x4")
    assert model.notes == ("auxiliary: Sequential takes no part in evaluation; neither it nor its weights are brought",)


def test_stochastic_depth_is_kept() -> None:
    """It leaves no trace in evaluation; the module itself is as it was afterwards."""
    module, example = _made("deep")
    model = assay.load(module, inputs=example)
    (node,) = [node for node in model.graph if node.op_type == "Dropout"]
    assert node.metadata_props[DROPS] == "examples"
    assert model.notes == ()
    assert "forward" not in vars(module.drop_path)
    words = {
        "pytorch": "self.drop_path = StochasticDepth(0.25)",
        "tensorflow": "self.drop_path = StochasticDepth(0.25)",
        "keras": 'layers.Dropout(0.25, noise_shape=(None, 1, 1, 1), name="drop_path")',
        "jax": "self.drop_path = nnx.Dropout(0.25, broadcast_dims=(1, 2, 3), rngs=rngs)",
    }
    for framework, expected in words.items():
        assert expected in model.write(framework).files["model.py"]


def test_dropped_examples_are_told_from_dropped_elements() -> None:
    module, example = _made("deep")
    written = assay.load(module, inputs=example).write("pytorch").load()
    trained = written.drop_path.train()(torch.ones(400, 3, 2, 2))
    assert trained.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert bool((trained == trained[:, :1, :1, :1]).all())
    assert 0.15 < float((trained == 0).float().mean()) < 0.35


def test_a_padding_stands_before_its_convolution() -> None:
    """Keras has no convolution with a stride and such a padding: it is two elements of the container."""
    module, example = _made("deep")
    package = assay.load(module, inputs=example).write("keras")
    text = package.files["model.py"]
    assert 'layers.ZeroPadding2D(1, name="stem_0_before"),' in text
    assert 'layers.Conv2D(4, 3, strides=2, name="stem_0"),' in text
    assert "deep/stem/stem_0/kernel" in {item.native for item in package.weights}


def test_a_view_that_is_written_to_behind_its_back_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="part of a tensor that is used again"):
        assay.load(modules.SeenTwice(), inputs="2x4")


def test_exported_program_and_file(tmp_path: Path) -> None:
    module, example = _made("resnet")
    program = torch.export.export(module, example, strict=False)
    path = tmp_path / "net.pt2"
    torch.export.save(program, str(path))
    (image,) = example
    expected = _arrays(module(image))
    for source in (program, path):
        model = assay.load(source)
        assert model.modules["blocks.1"].class_name == "Residual"
        for found, wanted in zip(evaluate(model, {"image": image.numpy()}), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_file_with_a_pickle_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        config = {"config": {"weight": {"path_name": "weight_0", "is_param": True, "use_pickle": True}}}
        archive.writestr("net/data/weights/model_weights_config.json", json.dumps(config))
    with pytest.raises(ModelError, match="pickle"):
        assay.load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="not an exported program"):
        assay.load(path)


def test_fixed_batch_is_said() -> None:
    model = assay.load(modules.OneImage(), inputs="1x4")
    assert str(model.graph.inputs[0].shape) == "[1,4]"
    assert any("fixed at 1" in note for note in model.notes)


def test_shared_weights_have_one_holder() -> None:
    model = assay.load(modules.Weights(), inputs="2x3:int64")
    assert any("words.weight and head.weight are one parameter" in note for note in model.notes)
    code = {name: model.write(name).files["model.py"] for name in ("pytorch", "jax", "keras", "tensorflow")}
    assert "self.head.weight = self.words.weight" in code["pytorch"]
    assert "@ self.words.embedding[...].T" in code["jax"] or "self.words.embedding[...].transpose" in code["jax"]
    for text in code.values():
        assert text.count("class Scaled") == text.count("class Borrower") == 1
        assert text.count("self.again(") == 2
        assert "for block in self.blocks:" in text


def test_messages_name_the_line() -> None:
    lines = FILE.read_text().splitlines()
    place = next(number for number, line in enumerate(lines, 1) if "the line that the message names" in line)
    with pytest.raises(ModelError, match=rf"pytorch_modules\.py:{place}: .*torch\.where"):
        assay.load(modules.DataDependent(), inputs="2x4")
    with pytest.raises(UnsupportedError) as caught:
        assay.load(modules.Unknown(), inputs="2x3x3")
    assert len(caught.value.missing) == 2
    assert all(re.search(r"pytorch_modules\.py:\d+", item) for item in caught.value.missing)


@pytest.mark.parametrize(
    "reference, inputs, message",
    [
        (f"{FILE}:mlp", None, "give an example of x"),
        (f"{FILE}:mlp", "2x5", "mat1 and mat2|shapes cannot be multiplied|a and b"),
        (f"{FILE}:mlp", "2by6", "no shape of an input"),
        (f"{FILE}:mlp", "2x6:float7", "no type that torch knows"),
        (f"{FILE}:number", None, "returned a int"),
    ],
)
def test_bad_input(reference: str, inputs: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        assay.load(reference, inputs=inputs)


def test_callable_with_its_example() -> None:
    assert assay.load(f"{FILE}:encoder").name == "encoder"


@pytest.mark.parametrize("name", ["encoder", "resnet", "weights"])
def test_proven_in_other_frameworks(name: str) -> None:
    pytest.importorskip("flax")
    command = [sys.executable, "-m", "assay.cli", "prove", f"{FILE}:{name}", "-f", "pytorch,jax", "-m", "default"]
    environment = os.environ | {"PYTHONPATH": f"{Path(assay.__file__).parents[1]}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    """A pickle beside the graph, a function that is no operator, a size that is more than a size."""
    import pickle
    import zipfile

    contents = {
        "net/data/sample_inputs/model.pt": (pickle.dumps(print), "pickle"),
        "net/models/model.json": (json.dumps({"nodes": [{"target": "torch.os.system"}]}).encode(), "no operator"),
        "net/models/sizes.json": (json.dumps({"expr_str": "exec(chr(49))"}).encode(), "size"),
    }
    for number, (name, (content, message)) in enumerate(contents.items()):
        path = tmp_path / f"{number}.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
        with pytest.raises(ModelError, match=message):
            assay.load(path)


def test_what_is_frozen_is_said() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    module[0].requires_grad_(False)
    model = assay.load(module, inputs=(torch.zeros(1, 3),))
    assert any(note.startswith("0.bias and 1 more: requires no gradient") for note in model.notes)
    assert set(model.weights()) == {"2.weight", "2.bias"}
    for framework in ("pytorch", "tensorflow", "keras", "jax"):
        written = {item.source for item in model.write(framework).weights if item.role == "parameter"}
        assert written == {"2.weight", "2.bias"}
