"""Trains mnist-cnn with PyTorch on the data beside this file.

python train.py [--mode eager|compile] [--epochs N] [--seed N] [--save FILE]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from model import WEIGHTS, MnistCNN, load

LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT_DECAY = 0.0005
WARMUP_STEPS = 20
TOTAL_STEPS = 496
FINAL_FACTOR = 0.0
BATCH_SIZE = 64
EPOCHS = 8
SEED = 0


def load_data(part: str) -> tuple[Tensor, Tensor]:
    """(images, labels) of one part of the data, "train" or "test"."""
    data = load_file(Path(__file__).with_name("data.safetensors"))
    return data[f"{part}_inputs_0"], data[f"{part}_targets"]


def compute_loss(model: MnistCNN, images: Tensor, labels: Tensor) -> Tensor:
    logits = model(images)
    return F.cross_entropy(logits, labels)


def factor(step: int) -> float:
    """Of the learning rate: linear up to 1, then half a cosine from 1 down to FINAL_FACTOR at TOTAL_STEPS."""
    if step < WARMUP_STEPS:
        return (step + 1) / (WARMUP_STEPS + 1)
    progress = min(1.0, (step - WARMUP_STEPS) / (TOTAL_STEPS - WARMUP_STEPS))
    return FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: MnistCNN) -> Optimizer:
    return SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY, fused=True
    )


def make_train_step(model: MnistCNN, optimizer: Optimizer, mode: str = "eager") -> Callable[..., Tensor]:
    """step(images, labels) → loss: forward, loss, backward, optimizer and learning rate."""
    scheduler = LambdaLR(optimizer, factor)
    loss_of = compute_loss
    if mode == "compile":
        # Or torch 2.13 may compile wrong gradients of max_pool2d (github.com/pytorch/pytorch/issues/185509).
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        loss_of = torch.compile(compute_loss, dynamic=False)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, images, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach()

    return step


@torch.inference_mode()
def evaluate(model: MnistCNN, images: Tensor, labels: Tensor) -> float:
    """Accuracy: how often the largest logit is that of labels."""
    model.eval()
    logits = torch.cat([model(batch) for batch in images.split(BATCH_SIZE)])
    return (logits.argmax(dim=-1) == labels).double().mean().item()


def train(mode: str = "eager", epochs: int = EPOCHS, seed: int = SEED) -> MnistCNN:
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
        print(f"epoch {epoch}: loss {loss:.4f}, test accuracy {figure:.4f}, {seconds:.1f} s", flush=True)
    return model


def save(model: MnistCNN, path: Path) -> None:
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
