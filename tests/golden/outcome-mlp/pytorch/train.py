"""Trains outcome-mlp with PyTorch on the data beside this file.

python train.py [--mode eager|compile] [--epochs N] [--seed N] [--save FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import AdamW, Optimizer

from model import WEIGHTS, OutcomeMLP, load

LEARNING_RATE = 0.001
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-08
WEIGHT_DECAY = 0.01
BATCH_SIZE = 128
EPOCHS = 20
SEED = 0


def load_data(part: str) -> tuple[Tensor, Tensor]:
    """(measurements, events) of one part of the data, "train" or "test"."""
    data = load_file(Path(__file__).with_name("data.safetensors"))
    return data[f"{part}_inputs_0"], data[f"{part}_targets"]


def compute_loss(model: OutcomeMLP, measurements: Tensor, events: Tensor) -> Tensor:
    logits = model(measurements)
    return F.binary_cross_entropy_with_logits(logits, events)


def make_optimizer(model: OutcomeMLP) -> Optimizer:
    return AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, weight_decay=WEIGHT_DECAY, fused=True
    )


def make_train_step(model: OutcomeMLP, optimizer: Optimizer, mode: str = "eager") -> Callable[..., Tensor]:
    """step(measurements, events) → loss: forward, loss, backward and optimizer."""
    loss_of = compute_loss
    if mode == "compile":
        # Or torch 2.13 may compile wrong gradients of max_pool2d (github.com/pytorch/pytorch/issues/185509).
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        loss_of = torch.compile(compute_loss, dynamic=False)

    def step(measurements: Tensor, events: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, measurements, events)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def area_under_curve(scores: Tensor, outcomes: Tensor) -> Tensor:
    """How often a positive example scores above a negative one; ties count one half."""
    positive, negative = scores[outcomes > 0.5], scores[outcomes < 0.5].sort().values
    below = torch.searchsorted(negative, positive)
    not_above = torch.searchsorted(negative, positive, right=True)
    return (below + not_above).double().mean() / (2 * len(negative))


@torch.inference_mode()
def evaluate(model: OutcomeMLP, measurements: Tensor, events: Tensor) -> float:
    """The area under the receiver operating characteristic."""
    model.eval()
    logits = torch.cat([model(batch) for batch in measurements.split(BATCH_SIZE)])
    return area_under_curve(logits.flatten(), events.flatten()).item()


def train(mode: str = "eager", epochs: int = EPOCHS, seed: int = SEED) -> OutcomeMLP:
    """Trains from the weights beside this file and returns the trained model."""
    torch.manual_seed(seed)
    data, test = load_data("train"), load_data("test")
    model = load()
    step = make_train_step(model, make_optimizer(model), mode)
    for epoch in range(1, epochs + 1):
        start, losses = time.perf_counter(), []
        model.train()
        order = torch.randperm(len(data[-1]))
        for i in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = order[i : i + BATCH_SIZE]
            losses.append(step(*(part[batch] for part in data)))
        loss, figure = torch.stack(losses).mean(), evaluate(model, *test)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: loss {loss:.4f}, test AUC {figure:.4f}, {seconds:.1f} s", flush=True)
    return model


def save(model: OutcomeMLP, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    state = model.state_dict()
    save_file({name: state.get(name, array).contiguous() for name, array in load_file(WEIGHTS).items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    options = parser.parse_args()
    model = train(options.mode, options.epochs, options.seed)
    if options.save:
        save(model, options.save)


if __name__ == "__main__":
    main()
