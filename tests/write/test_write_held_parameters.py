"""Modules that hold a parameter for one operator keep their class, and with it the names of a saved state."""

from __future__ import annotations

from collections.abc import Callable

import assay


def test_a_module_that_scales(need: Callable[..., None]) -> None:
    need("torch", "jax")
    import torch
    from torch import Tensor, nn

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.rand(4))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gamma

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales = nn.ModuleList([Scale() for _ in range(2)])
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            for scale in self.scales:
                x = scale(x)
            return self.head(x)

    source = Scaled()
    model = assay.load(source, inputs=torch.rand(2, 4))
    package = model.write("pytorch")
    assert "for scale in self.scales:" in package.files["model.py"]
    written = package.load()
    written.load_state_dict(source.state_dict(), strict=True)
    x = torch.rand(5, 4)
    torch.testing.assert_close(written(x), source(x))
    assert "class Scale(nnx.Module):" in model.write("jax").files["model.py"]


def test_names_of_another_framework_are_not_given_to_layers(need: Callable[..., None]) -> None:
    need("keras", "torch")
    import keras

    inputs = keras.Input((4,))
    model = assay.load(keras.Model(inputs, keras.layers.Dense(3, name="head")(inputs)))
    assert "kernel" not in model.write("pytorch").files["model.py"]
