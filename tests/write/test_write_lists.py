"""Modules that take a list, lists that grow from call to call, and series of instances."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dense_modules import DenseBlock, DenseNet, ListedBlock, Separate, Shuffles, Stacks, WithStem  # noqa: E402

import assay  # noqa: E402
from assay.write import Package, write  # noqa: E402

FRAMEWORKS = ("pytorch", "tensorflow", "keras", "jax")
NEEDED = {"pytorch": "torch", "tensorflow": "tensorflow", "keras": "keras", "jax": "flax"}
IMAGE = (torch.randn(2, 2, 5, 6),)
SIGNATURES = {
    "pytorch": "def forward(self, features: list[Tensor]) -> Tensor:",
    "tensorflow": "def __call__(self, features: list[tf.Tensor], training: bool = False) -> tf.Tensor:",
    "keras": "def call(self, features, training=None):",
    "jax": "def __call__(self, features: list[jax.Array]) -> jax.Array:",
}


def _package(module: torch.nn.Module, framework: str, inputs: object = IMAGE) -> Package:
    return write(assay.load(module.eval(), inputs=inputs), framework)


def _classes(text: str) -> list[str]:
    """The classes of the model, without local ones."""
    return [line.split()[1].partition("(")[0] for line in text.splitlines() if line.startswith("class ")]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_list_of_any_length_is_one_argument(framework: str) -> None:
    text = _package(DenseNet(), framework).files["model.py"]
    assert _classes(text)[-3:] == ["DenseLayer", "DenseBlock", "DenseNet"]
    assert SIGNATURES[framework] in text
    assert '"""features [(batch, ' in text
    training = {"tensorflow": ", training=training", "keras": ", training=training"}.get(framework, "")
    assert f".append(layer(features{training}))" in text


def test_numbered_attributes_keep_their_names_in_pytorch() -> None:
    module = DenseNet()
    package = _package(module, "pytorch")
    text = package.files["model.py"]
    assert 'self.add_module(f"layer{i + 1}", DenseLayer(channels + 3 * i))' in text
    assert "for layer in self.children():" in text
    assert "self.second = DenseBlock(11, 4)" in text
    written = package.load()
    written.load_state_dict(module.state_dict(), strict=True)
    torch.testing.assert_close(written(IMAGE[0]), module(IMAGE[0]))


def test_lines_know_their_nodes() -> None:
    package = _package(DenseBlock(3, 2, 3), "pytorch")
    lines = package.files["model.py"].splitlines()
    appended = next(number for number, line in enumerate(lines, start=1) if ".append(" in line)
    assert sum("conv" in node for node in package.lines[appended]) == 3
    joined = next(number for number, line in enumerate(lines, start=1) if "return torch.cat(" in line)
    assert len(package.lines[joined]) == 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_list_that_grows_is_a_loop(framework: str) -> None:
    text = _package(ListedBlock(2, 3), framework).files["model.py"]
    assert "for layer in self.layers" in text
    assert "features = [x" in text and "features.append(" in text


def test_beside_other_parts_every_call_is_a_line_in_pytorch() -> None:
    module = WithStem(False)
    package = _package(module, "pytorch")
    text = package.files["model.py"]
    assert "features.append(self.layer3(features))" in text and "children" not in text
    package.load().load_state_dict(module.state_dict(), strict=True)
    assert "for layer in self.layers:" in _package(module, "jax").files["model.py"]


def test_what_is_used_by_itself_is_no_mere_part_of_a_list() -> None:
    module = WithStem(True)
    package = _package(module, "pytorch")
    assert "append(" not in package.files["model.py"]
    torch.testing.assert_close(package.load()(IMAGE[0]), module(IMAGE[0]))


def test_arguments_of_the_source_stay_apart() -> None:
    text = _package(Separate(), "pytorch").files["model.py"]
    assert "list[" not in text


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([[4, 4, 4, 4], [4, 4, 4]], ["Block() for _ in range(num_blocks)"]),
        ([[4, 6, 8, 10], [4, 6, 8]], ["Block(4 + 2 * i, 6 + 2 * i) for i in range(num_blocks)"]),
        ([[4, 6, 8, 10]], ["Block(4 + 2 * i, 6 + 2 * i) for i in range(3)"]),
        ([[4, 3, 2, 1]], ["Block(4 - i, 3 - i) for i in range(3)"]),
        ([[4, 6, 8]], ["Block(4, 6), Block(6, 8)"]),  # two are more easily read one by one
        ([[4, 6, 8, 9]], ["Block(4, 6), Block(6, 8), Block(8, 9)"]),
        ([[4, 7, 4, 7], [4, 6, 8, 10]], ["class Stack(", "Block(4, features)"]),  # one class rather than one loop
    ],
)
def test_series_of_instances(sizes: list[list[int]], expected: list[str]) -> None:
    inputs = (torch.randn(3, 4),)
    module = Stacks(*sizes)
    package = _package(module, "pytorch", inputs)
    for text in expected:
        assert text in package.files["model.py"], package.files["model.py"]
    written = package.load()
    written.load_state_dict(module.state_dict(), strict=True)
    torch.testing.assert_close(written(*inputs), module(*inputs))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sizes_in_statements_may_differ_between_instances(framework: str) -> None:
    text = _package(Shuffles(), framework).files["model.py"]
    assert "Shuffle2" not in text
    assert "self.second = Shuffle(" in text


def test_an_image_is_resized_by_torch_whatever_its_batch() -> None:
    text = _package(Shuffles(), "pytorch").files["model.py"]
    assert ', size=(9, 7), mode="bilinear")' in text and "resize_axes" not in text


@pytest.mark.parametrize("name", ["dense", "listed", "stem", "stacks", "shuffles"])
def test_equal_in_every_framework(name: str) -> None:
    for framework in FRAMEWORKS:
        pytest.importorskip(NEEDED[framework])
    module = {
        "dense": DenseNet,
        "listed": lambda: ListedBlock(2, 3),
        "stem": lambda: WithStem(False),
        "shuffles": Shuffles,
        "stacks": lambda: Stacks([4, 6, 8, 10], [4, 6, 8]),
    }[name]()
    inputs = (torch.randn(3, 4),) if name == "stacks" else IMAGE
    model = assay.load(module.eval(), inputs=inputs)
    targets = ["pytorch", "tensorflow", "keras/tensorflow", "jax"]
    proofs = assay.prove(model, targets, ["default"])
    assert {proof.contestant.partition(":")[0] for proof in proofs} == set(targets)
    assert {proof.status for proof in proofs} == {"equal"}, proofs


@pytest.mark.parametrize("framework", ["tensorflow", "keras", "jax"])
def test_weights_come_back(framework: str) -> None:
    """Every weight of the source has its place in the written package, from where it comes back unchanged."""
    package = _package(DenseNet(), framework)
    back = package.model_with(package.native_weights).weights()
    for name, array in package.model.weights().items():
        assert np.array_equal(array, back[name]), name
