"""Trains vowels-rnn with TensorFlow on the data beside this file.

python train.py [--mode graph|eager|xla] [--epochs N] [--seed N] [--save FILE]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from model import WEIGHTS, VowelsRNN, load

LEARNING_RATE = 0.003
RHO = 0.9
EPSILON = 1e-08
WARMUP_STEPS = 18
TOTAL_STEPS = 360
FINAL_FACTOR = 0.0
BATCH_SIZE = 30
EPOCHS = 40
SEED = 0


def load_data(part: str) -> tuple[np.ndarray, ...]:
    """frames (examples, 29, 12), speakers (examples,); `part` is "train" or "test"."""
    data = load_file(Path(__file__).with_name("data.safetensors"))
    return data[f"{part}_inputs_0"], data[f"{part}_targets"]


def compute_loss(logits: tf.Tensor, speakers: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, averaged over all positions."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(speakers, logits))


def learning_rate(step: tf.Tensor) -> tf.Tensor:
    """A linear warm-up, then half a cosine down to FINAL_FACTOR of LEARNING_RATE at TOTAL_STEPS."""
    progress = tf.minimum((step - WARMUP_STEPS) / (TOTAL_STEPS - WARMUP_STEPS), 1)
    factor = FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + tf.cos(math.pi * progress))
    return LEARNING_RATE * tf.where(step < WARMUP_STEPS, (step + 1) / (WARMUP_STEPS + 1), factor)


def zeros_like(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """What an optimizer keeps beside each variable, before the first step."""
    return [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]


class RMSprop(tf.Module):
    """RMSprop, with epsilon outside the root."""

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        super().__init__()
        self.parameters = list(variables)
        self.squares = zeros_like(variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        gradients = [tf.convert_to_tensor(g) for g in gradients]  # an embedding's are sparse
        rate = tf.cast(learning_rate(tf.cast(self.step, tf.float64)), gradients[0].dtype)
        together = zip(self.parameters, self.squares, gradients, strict=True)
        for parameter, square, gradient in together:
            new_square = square + (1 - RHO) * (tf.square(gradient) - square)
            square.assign(new_square)
            parameter.assign_sub(rate * gradient / (tf.sqrt(new_square) + EPSILON))
        self.step.assign_add(1)


def make_optimizer(model: VowelsRNN) -> RMSprop:
    return RMSprop(model.trainable_variables)


def compiled(function: Callable[..., tf.Tensor], mode: str) -> Callable[..., tf.Tensor]:
    """`function` as one TensorFlow graph, compiled by XLA, or as it is ("eager")."""
    if mode == "eager":
        return function
    # No AutoGraph: no Python here depends on values, and tracing takes half the time without it.
    return tf.function(function, jit_compile=mode == "xla", autograph=False)


def make_train_step(model: VowelsRNN, optimizer: RMSprop, mode: str = "graph") -> Callable[..., tf.Tensor]:
    """step(frames, speakers) → loss: forward, loss, backward and update, compiled as one."""

    def step(frames: tf.Tensor, speakers: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(frames, training=True)
            loss = compute_loss(logits, speakers)
        gradients = tape.gradient(loss, optimizer.parameters, unconnected_gradients="zero")
        optimizer.apply(gradients)
        return loss

    return compiled(step, mode)


def evaluate(predict: Callable[..., tf.Tensor], frames: np.ndarray, speakers: np.ndarray) -> float:
    """Accuracy: how often the largest logit is that of speakers."""
    examples = tf.data.Dataset.from_tensor_slices((frames,))
    logits = np.concatenate([predict(*batch) for batch in examples.batch(BATCH_SIZE)])
    return float((logits.argmax(-1) == speakers).mean())


def save(model: VowelsRNN, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    arrays = {}
    for name in load_file(WEIGHTS):
        variable = model
        for part in name.split("."):
            variable = variable[int(part)] if part.isdigit() else getattr(variable, part)
        arrays[name] = variable.numpy()
    save_file(arrays, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("graph", "eager", "xla"), default="graph")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    arguments = parser.parse_args()

    tf.random.set_seed(arguments.seed)
    train, test = load_data("train"), load_data("test")
    model = load()
    step = make_train_step(model, make_optimizer(model), arguments.mode)
    predict = compiled(model, arguments.mode)
    examples = tf.data.Dataset.from_tensor_slices(train)
    examples = examples.shuffle(len(examples), arguments.seed)
    batches = examples.batch(BATCH_SIZE, drop_remainder=True)
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        loss = np.mean([step(*batch) for batch in batches])
        score = evaluate(predict, *test)
        took = time.perf_counter() - start
        print(f"epoch {epoch}: loss {loss:.4f}, test accuracy {score:.4f}, {took:.1f} s")
    if arguments.save:
        save(model, arguments.save)


if __name__ == "__main__":
    main()
