"""Trains outcome-mlp with JAX, Flax NNX and Optax on the data beside this file.

python train.py [--mode jit|eager] [--epochs N] [--seed N] [--save FILE]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.numpy import load_file, save_file

from model import load

LEARNING_RATE = 0.001
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-08
WEIGHT_DECAY = 0.01
BATCH_SIZE = 128
EPOCHS = 20
SEED = 0

DATA = Path(__file__).with_name("data.safetensors")
Data = tuple[np.ndarray, ...]  # the inputs, then the targets


class TrainState(NamedTuple):
    """All that a step changes, as plain dictionaries of arrays: jax.jit takes those apart without running Python."""

    parameters: dict[str, Any]
    statistics: dict[str, Any]  # what is not trained: batch statistics, the random streams of dropout
    optimizer: optax.OptState


def load_data(path: Path = DATA) -> tuple[Data, Data]:
    """(measurements, events) for training and for testing."""
    data = load_file(path)
    train = (data["train_inputs_0"], data["train_targets"])
    test = (data["test_inputs_0"], data["test_targets"])
    return train, test


def loss_function(logits: jax.Array, events: jax.Array) -> jax.Array:
    """Sigmoid cross-entropy, averaged over all elements."""
    return optax.sigmoid_binary_cross_entropy(logits, events).mean()


def scale_by_adam() -> optax.GradientTransformation:
    """optax.scale_by_adam with its bias correction by expm1: 1 - beta**count loses half its digits in float32."""

    def update(gradients: Any, state: optax.ScaleByAdamState, _: Any = None) -> tuple[Any, optax.ScaleByAdamState]:
        count = state.count + 1
        mean = optax.tree.update_moment(gradients, state.mu, BETA_1, 1)
        square = optax.tree.update_moment_per_elem_norm(gradients, state.nu, BETA_2, 2)
        c1, c2 = (-jnp.expm1(jnp.asarray(count, float) * math.log(beta)) for beta in (BETA_1, BETA_2))
        updates = jax.tree.map(lambda m, v: (m / c1) / (jnp.sqrt(v / c2) + EPSILON), mean, square)
        return updates, optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def make_optimizer() -> optax.GradientTransformation:
    """AdamW: every parameter decays."""
    return optax.chain(
        scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        optax.scale_by_learning_rate(LEARNING_RATE),
    )


def make_state(model: nnx.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step. Its arrays are copies, because a compiled step gives its state's memory away."""
    _, *parts = nnx.split(model, nnx.Param, ...)
    parameters, statistics = (jax.tree.map(jnp.copy, nnx.to_pure_dict(part)) for part in parts)
    return TrainState(parameters, statistics, optimizer.init(parameters))


def make_train_step(
    model: nnx.Module, optimizer: optax.GradientTransformation, mode: str = "jit"
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """step(state, *inputs, events) → (new state, loss): forward, loss, backward and update as one."""
    model.train()
    graphdef = nnx.graphdef(model)

    def train_step(state: TrainState, measurements: jax.Array, events: jax.Array) -> tuple[TrainState, jax.Array]:
        def forward(parameters: dict[str, Any]) -> tuple[jax.Array, dict[str, Any]]:
            network = nnx.merge(graphdef, parameters, state.statistics, copy=True)
            loss = loss_function(network(measurements), events)
            return loss, nnx.to_pure_dict(nnx.state(network, nnx.Not(nnx.Param)))

        (loss, statistics), gradients = jax.value_and_grad(forward, has_aux=True)(state.parameters)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        return TrainState(parameters, statistics, optimizer_state), loss

    return jax.jit(train_step, donate_argnums=0) if mode == "jit" else train_step


def make_predict(model: nnx.Module, mode: str = "jit") -> Callable[..., jax.Array]:
    """predict(state, measurements) → logits in evaluation mode."""
    model.eval()
    graphdef = nnx.graphdef(model)

    def predict(state: TrainState, measurements: jax.Array) -> jax.Array:
        return nnx.merge(graphdef, state.parameters, state.statistics, copy=True)(measurements)

    return jax.jit(predict) if mode == "jit" else predict


def area_under_curve(scores: np.ndarray, outcomes: np.ndarray) -> float:
    """The probability that a positive example scores above a negative one; ties count one half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = outcomes > 0.5
    positives, negatives = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def evaluate(predict: Callable[..., jax.Array], state: TrainState, test: Data) -> float:
    """The area under the receiver operating characteristic."""
    *inputs, events = test
    batches = range(0, len(events), BATCH_SIZE)
    logits = np.concatenate([predict(state, *(array[i : i + BATCH_SIZE] for array in inputs)) for i in batches])
    return area_under_curve(logits.ravel(), events.ravel())


def train(mode: str = "jit", epochs: int = EPOCHS, seed: int = SEED) -> nnx.Module:
    """Trains from the weights beside this file and returns the trained model."""
    train_data, test_data = load_data()
    model, optimizer = load(), make_optimizer()
    nnx.reseed(model, dropout=seed)
    state = make_state(model, optimizer)
    train_step, predict = make_train_step(model, optimizer, mode), make_predict(model, mode)
    random = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        start, losses = time.perf_counter(), []
        order = random.permutation(len(train_data[-1]))
        for i in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):  # whole batches: another size would compile again
            batch = (array[order[i : i + BATCH_SIZE]] for array in train_data)
            state, loss = train_step(state, *batch)
            losses.append(loss)
        mean_loss = np.mean(jax.device_get(losses))
        metric, seconds = evaluate(predict, state, test_data), time.perf_counter() - start
        print(f"epoch {epoch}: loss {mean_loss:.4f}, test AUC {metric:.4f}, {seconds:.1f} s")
    nnx.update(model, state.parameters, state.statistics)
    return model


def save(model: nnx.Module, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    state = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    save_file({".".join(map(str, name)): np.asarray(variable[...]) for name, variable in state}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("jit", "eager"), default="jit")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    options = parser.parse_args()
    model = train(options.mode, options.epochs, options.seed)
    if options.save:
        save(model, options.save)


if __name__ == "__main__":
    main()
