"""Trains topics-lm with PyTorch on the data beside this file.

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
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from model import WEIGHTS, TopicsLM, load

LEARNING_RATE = 0.003
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-08
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0
WARMUP_STEPS = 100
TOTAL_STEPS = 1532
FINAL_FACTOR = 0.0
BATCH_SIZE = 16
EPOCHS = 4
SEED = 0


def load_data(part: str) -> tuple[Tensor, Tensor]:
    """(tokens, next_tokens) of one part of the data, "train" or "test"."""
    data = load_file(Path(__file__).with_name("data.safetensors"))
    return data[f"{part}_inputs_0"], data[f"{part}_targets"]


def compute_loss(model: TopicsLM, tokens: Tensor, next_tokens: Tensor) -> Tensor:
    logits = model(tokens)
    return F.cross_entropy(logits.flatten(0, -2), next_tokens.flatten())


def factor(step: int) -> float:
    """Of the learning rate: linear up to 1, then half a cosine from 1 down to FINAL_FACTOR at TOTAL_STEPS."""
    if step < WARMUP_STEPS:
        return (step + 1) / (WARMUP_STEPS + 1)
    progress = min(1.0, (step - WARMUP_STEPS) / (TOTAL_STEPS - WARMUP_STEPS))
    return FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: TopicsLM) -> Optimizer:
    return AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, weight_decay=WEIGHT_DECAY, fused=True
    )


def clip_gradients(parameters: list[Tensor]) -> None:
    """Scales all gradients alike, so that their common norm is CLIP_NORM at most (clip_grad_norm_ adds 1e-6 to it)."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    scale = (CLIP_NORM / torch.nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)


def make_train_step(model: TopicsLM, optimizer: Optimizer, mode: str = "eager") -> Callable[..., Tensor]:
    """step(tokens, next_tokens) → loss: forward, loss, backward, clipping, optimizer and learning rate."""
    scheduler = LambdaLR(optimizer, factor)
    parameters = list(model.parameters())
    loss_of = compute_loss
    if mode == "compile":
        # Or torch 2.13 may compile wrong gradients of max_pool2d (github.com/pytorch/pytorch/issues/185509).
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        loss_of = torch.compile(compute_loss, dynamic=False)

    def step(tokens: Tensor, next_tokens: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, tokens, next_tokens)
        loss.backward()
        clip_gradients(parameters)
        optimizer.step()
        scheduler.step()
        return loss.detach()

    return step


@torch.inference_mode()
def evaluate(model: TopicsLM, tokens: Tensor, next_tokens: Tensor) -> float:
    """Bits per character: the loss in base 2."""
    model.eval()
    logits = torch.cat([model(batch) for batch in tokens.split(BATCH_SIZE)])
    return F.cross_entropy(logits.flatten(0, -2), next_tokens.flatten()).item() / math.log(2)


def train(mode: str = "eager", epochs: int = EPOCHS, seed: int = SEED) -> TopicsLM:
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
        print(f"epoch {epoch}: loss {loss:.4f}, test bits per character {figure:.4f}, {seconds:.1f} s", flush=True)
    return model


def save(model: TopicsLM, path: Path) -> None:
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
