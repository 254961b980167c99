"""Trains outcome-mlp with Keras on the data beside this file.

python train.py [--mode graph|jit|xla|eager] [--epochs N] [--seed N] [--save FILE]
"""

import argparse
import math
from pathlib import Path

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from model import load

LEARNING_RATE = 0.001
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
BATCH_SIZE = 128
EPOCHS = 20
SEED = 0

DATA = Path(__file__).with_name("data.safetensors")


@keras.saving.register_keras_serializable(package="outcome_mlp")
class AdamW(keras.optimizers.AdamW):
    """AdamW that adds epsilon after the bias correction; Keras' own adds it before."""

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m = ops.convert_to_tensor(self._momentums[index])
        v = ops.convert_to_tensor(self._velocities[index])
        step = ops.cast(self.iterations, variable.dtype) + 1
        correction_1 = -ops.expm1(step * math.log(self.beta_1))  # 1 - beta_1**step, to the last digit
        correction_2 = -ops.expm1(step * math.log(self.beta_2))
        rate = ops.cast(learning_rate, variable.dtype) / correction_1

        m = self.beta_1 * m + (1 - self.beta_1) * gradient
        v = self.beta_2 * v + (1 - self.beta_2) * gradient * gradient
        self.assign(self._momentums[index], m)
        self.assign(self._velocities[index], v)
        self.assign_sub(variable, rate * m / (ops.sqrt(v / correction_2) + self.epsilon))

    def apply(self, grads, trainable_variables=None):
        # TensorFlow gives an embedding's gradient in slices; their squares and norm are not those of their sum.
        grads = [ops.reshape(grad, grad.shape) if hasattr(grad, "dense_shape") else grad for grad in grads]
        super().apply(grads, trainable_variables)


def load_data():
    """Inputs and targets to train on, inputs and targets to test on."""
    arrays = load_file(DATA)
    return arrays["train_inputs_0"], arrays["train_targets"], arrays["test_inputs_0"], arrays["test_targets"]


def make_optimizer():
    """AdamW."""
    return AdamW(LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON, weight_decay=WEIGHT_DECAY)


def compile_model(model, mode=None):
    """Makes forward pass, loss, backward pass and optimizer one step; `mode` None leaves it to Keras how to run it."""
    model.compile(
        optimizer=make_optimizer(),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        run_eagerly=mode == "eager",
        jit_compile="auto" if mode is None else mode in ("jit", "xla"),
    )


def area_under_curve(scores, labels):
    """The chance that a positive case scores above a negative one; ties count half (Mann and Whitney, 1947)."""
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    positives = int(np.sum(labels == 1))
    negatives = labels.size - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def evaluate(model, inputs, targets):
    """The area under the receiver operating characteristic."""
    outputs = model.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
    return area_under_curve(outputs.ravel(), targets.ravel())


def save(model, path):
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    save_file({variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=["graph", "jit", "xla", "eager"], help="default: what Keras chooses")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    train_inputs, train_targets, test_inputs, test_targets = load_data()
    model = load()
    compile_model(model, arguments.mode)
    model.fit(train_inputs, train_targets, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=2)
    print(f"test auc: {evaluate(model, test_inputs, test_targets):.4f}")
    if arguments.save:
        save(model, arguments.save)


if __name__ == "__main__":
    main()
