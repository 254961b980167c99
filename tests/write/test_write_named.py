"""Parts under names that no attribute has: a saved state of the source fits in PyTorch, and everybody computes the same."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")

from dense_modules import Heads, Taps, WithTaps  # noqa: E402

import assay  # noqa: E402
from assay.write import write  # noqa: E402

INPUTS = (torch.randn(3, 4),)
EXPECTED = {
    Heads: (
        'self.heads["box-size"](',
        "self.heads = nn.ModuleDict(",
        "self.held = nn.ModuleDict(",
        '"norms": nn.ModuleList(',
    ),
    Taps: ("class Taps(nn.ModuleDict):", 'x = self["2"](x)'),
    WithTaps: ("class Taps(nn.ModuleDict):", "self.backbone = Taps()"),
}


def test_a_named_series_in_a_sequence() -> None:
    """`encoder_layer_0`, `encoder_layer_1` … of one class keep their names in one line."""

    class Layer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = torch.nn.LayerNorm(4), torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.linear(self.norm(x))

    class Encoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, names: list[str]) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(OrderedDict((name, Layer()) for name in names))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x) * 2

    for names, expected in (
        (["layer_1", "layer_2", "layer_3"], 'OrderedDict((f"layer_{i + 1}", Layer()) for i in range(3))'),
        (["first", "second", "third"], '("second", Layer())'),
        (["layer_1", "layer_3", "layer_4"], '("layer_3", Layer())'),
    ):
        module = Encoder(names).eval()
        package = write(assay.load(module, inputs=INPUTS), "pytorch")
        assert expected in package.files["model.py"], package.files["model.py"]
        written = package.load()
        written.load_state_dict(module.state_dict(), strict=True)
        torch.testing.assert_close(written(*INPUTS), module(*INPUTS))


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_a_saved_state_fits(kind: type[torch.nn.Module]) -> None:
    module = kind().eval()
    package = write(assay.load(module, inputs=INPUTS), "pytorch")
    text = package.files["model.py"]
    for expected in EXPECTED[kind]:
        assert expected in text, text
    written = package.load()
    written.load_state_dict(module.state_dict(), strict=True)
    torch.testing.assert_close(written(*INPUTS), module(*INPUTS))
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("kind", [Heads, WithTaps], ids=lambda kind: kind.__name__)
def test_equal_in_every_framework(kind: type[torch.nn.Module]) -> None:
    for name in ("tensorflow", "keras", "flax"):
        pytest.importorskip(name)
    targets = ["pytorch", "tensorflow", "keras/tensorflow", "jax"]
    proofs = assay.prove(assay.load(kind().eval(), inputs=INPUTS), targets, ["default"])
    assert [proof.status for proof in proofs] == ["equal"] * len(targets), proofs
