"""Trains topics-lm with Keras on the data beside this file.

python train.py [--mode graph|jit|xla|eager] [--epochs N] [--seed N] [--save FILE]
"""

import argparse
import math
from pathlib import Path

import keras
from keras import ops
from safetensors.numpy import load_file, save_file

from model import load

LEARNING_RATE = 0.003
WARMUP_STEPS = 100
TOTAL_STEPS = 1532
FINAL_FACTOR = 0.0
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0
BATCH_SIZE = 16
EPOCHS = 4
SEED = 0

DATA = Path(__file__).with_name("data.safetensors")


@keras.saving.register_keras_serializable(package="topics_lm")
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
    """AdamW, its rate falling by a cosine after a warm-up, gradients clipped by global norm."""
    rate = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / (WARMUP_STEPS + 1),
        decay_steps=TOTAL_STEPS - WARMUP_STEPS,
        alpha=FINAL_FACTOR,
        warmup_target=LEARNING_RATE,
        warmup_steps=WARMUP_STEPS,
    )
    return AdamW(
        rate, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
    )


def compile_model(model, mode=None):
    """Makes forward pass, loss, backward pass and optimizer one step; `mode` None leaves it to Keras how to run it."""
    model.compile(
        optimizer=make_optimizer(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=mode == "eager",
        jit_compile="auto" if mode is None else mode in ("jit", "xla"),
    )


def evaluate(model, inputs, targets):
    """The mean cross-entropy in bits."""
    return model.evaluate(inputs, targets, batch_size=BATCH_SIZE, verbose=0) / math.log(2)


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
    print(f"test bits-per-character: {evaluate(model, test_inputs, test_targets):.4f}")
    if arguments.save:
        save(model, arguments.save)


if __name__ == "__main__":
    main()
