"""Losses and optimizers of a brought model: from text, from assay.nn, from PyTorch's own objects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from assay import nn
from assay.bring import load
from assay.bring.training import training_of
from assay.errors import AssayError, ModelError, NotFoundError
from assay.nn.optimizers import Optimizer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sgd", nn.SGD()),
        ("sgd:lr=0.1,momentum=0.9,nesterov=true", nn.SGD(0.1, momentum=0.9, nesterov=True)),
        ("adamw:learning_rate=1e-3,weight_decay=.05,clip=1", nn.AdamW(1e-3, weight_decay=0.05, clip=1.0)),
        ("RMSprop:rho=0.95", nn.RMSprop(rho=0.95)),
    ],
)
def test_an_optimizer_as_text(text: str, expected: Optimizer) -> None:
    assert training_of("cross-entropy", text)[0].optimizer == expected


@pytest.mark.parametrize(
    ("loss", "optimizer", "kind", "said"),
    [
        ("cross-entrpy", None, NotFoundError, "cross-entropy"),
        ("mse", "adm", NotFoundError, "adam"),
        ("mse", "adam:betas=0.9", NotFoundError, "beta_1"),
        ("mse", "adam:lr=fast", ModelError, "expected a number"),
        ("mse", "adam:lr", ModelError, "expected a number"),
        (object(), None, ModelError, "cannot take a builtins.object as loss"),
    ],
)
def test_what_is_no_training(loss: object, optimizer: str | None, kind: type[AssayError], said: str) -> None:
    with pytest.raises(kind, match=said):
        training_of(loss, optimizer)


def test_an_optimizer_needs_a_loss() -> None:
    model = nn.build(nn.Linear(3, 2), [nn.Input("x", (3,))])
    with pytest.raises(ModelError, match="without a loss"):
        load(model, optimizer="sgd")


def test_the_loss_reads_the_first_output() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x: nn.Tensor) -> object:
            return self.left(x), self.right(x)

    model = load(nn.build(Two(), [nn.Input("x", (3,))]), loss="mse", optimizer=nn.Adam(1e-2), batch_size=8)
    assert model.training == nn.Training(nn.MSE(), nn.Adam(1e-2), batch_size=8, epochs=1, metric="loss")
    assert "the loss reads left.add_0, not right.add_0" in model.notes[-1]
    for target in ("pytorch", "tensorflow", "keras", "jax"):
        assert len(model.write(target).model.graph.outputs) == 2


def test_the_loss_reads_the_output_that_is_named() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x: nn.Tensor) -> object:
            return self.left(x), self.right(x)

    built = nn.build(Two(), [nn.Input("x", (3,))])
    model = load(built, loss="huber:output=right.add_0,delta=0.5")
    assert model.training is not None and model.training.loss == nn.Huber(0.5)
    assert [value.name for value in model.graph.outputs] == ["right.add_0", "left.add_0"]
    assert "the loss reads right.add_0, not left.add_0" in model.notes[-1]
    with pytest.raises(NotFoundError, match=r"unknown output 'right\.add': did you mean right\.add_0"):
        load(built, loss="mse:output=right.add")


def test_pytorchs_own_objects(need: Callable[..., None]) -> None:
    need("torch")
    import torch

    weights = [torch.nn.Parameter(torch.zeros(2))]
    adam = torch.optim.AdamW(weights, lr=2e-3, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)
    training, notes = training_of(torch.nn.SmoothL1Loss(), adam)
    assert training.loss == nn.Huber(1.0)
    assert training.optimizer == nn.AdamW(2e-3, 0.8, 0.99, 1e-6, weight_decay=0.1)
    assert notes == ()
    scheduler = torch.optim.lr_scheduler.StepLR(adam, 1)
    adam.step()
    scheduler.step()
    assert training_of("mse", adam)[1]

    refused = [
        torch.optim.SGD(weights, lr=0.1, momentum=0.9, dampening=0.1),
        torch.optim.Adam(weights, weight_decay=0.1),
        torch.optim.Adam(weights, amsgrad=True),
        torch.optim.Adagrad(weights),
        torch.optim.SGD([{"params": weights}, {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 1.0}], lr=0.1),
    ]
    for optimizer in refused:
        with pytest.raises(ModelError):
            training_of("mse", optimizer)
    for loss in (torch.nn.CrossEntropyLoss(label_smoothing=0.1), torch.nn.MSELoss(reduction="sum"), torch.nn.NLLLoss()):
        with pytest.raises(ModelError):
            training_of(loss, None)
