"""Parts under names that no attribute has: a saved state of the source fits in PyTorch, and everybody computes the same."""

from __future__ import annotations

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
