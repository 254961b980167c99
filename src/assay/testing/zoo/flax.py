"""The kinds of models that Flax shows in its examples, written anew with `flax.nnx`, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from assay.nn.losses import CrossEntropy, MeanSquaredError
from assay.testing.zoo.case import Batch, Case, Made

FRAMEWORK = "jax"
DISTRIBUTIONS = ("jax", "flax")
ENVIRONMENT: dict[str, str] = {"JAX_PLATFORMS": "cpu"}

VOCABULARY = 23


def cases() -> tuple[Case, ...]:
    return tuple(Case(name, make) for name, make in _CASES.items())


def _image(name: str, *shape: int) -> Made:
    from assay.testing.zoo import flax_vision

    return Made(getattr(flax_vision, name)(), np.zeros((2, *shape), np.float32))


def _text(name: str, steps: int, answer: type = CrossEntropy) -> Made:
    from assay.testing.zoo import flax_text

    example = np.zeros((2, steps), np.int32)
    return Made(getattr(flax_text, name)(VOCABULARY), example, answer(), _tokens(steps))


def _tokens(*steps: int) -> Batch:
    def batch(generator: np.random.Generator, examples: int) -> tuple[np.ndarray, ...]:
        return tuple(generator.integers(0, VOCABULARY, (examples, count)).astype(np.int32) for count in steps)

    return batch


def _pairs() -> Made:
    from assay.testing.zoo import flax_text

    example = (np.zeros((2, 7), np.int32), np.zeros((2, 5), np.int32))
    return Made(flax_text.seq2seq(VOCABULARY), example, CrossEntropy(), _tokens(7, 5))


def _translated() -> Made:
    from assay.testing.zoo import flax_text

    example = (np.zeros((2, 6), np.int32), np.zeros((2, 8), np.int32))
    return Made(flax_text.encoder_decoder(VOCABULARY), example, CrossEntropy(), _tokens(6, 8))


def _vector(name: str, *shape: int, loss: type = CrossEntropy) -> Made:
    from assay.testing.zoo import flax_general

    return Made(getattr(flax_general, name)(), np.zeros((2, *shape), np.float32), loss())


def _variational() -> Made:
    from assay.testing.zoo import flax_general

    example = (np.zeros((2, 12, 12, 1), np.float32), np.zeros((2, 4), np.float32))
    return Made(flax_general.variational(), example, MeanSquaredError())


def _graph() -> Made:
    from assay.testing.zoo import flax_general

    example = (np.zeros((2, 9, 5), np.float32), np.zeros((2, 9, 9), np.float32))
    return Made(flax_general.graph_network(), example)


_CASES: dict[str, Callable[[], Made]] = {
    "mnist-cnn": partial(_image, "mnist", 28, 28, 1),
    "resnet": partial(_image, "resnet", 32, 32, 3),
    "resnet-bottleneck": partial(_image, "resnet_bottleneck", 32, 32, 3),
    "vit": partial(_image, "vision_transformer", 16, 16, 3),
    "convnext": partial(_image, "convnext", 32, 32, 3),
    "mobilenet": partial(_image, "mobilenet", 32, 32, 3),
    "unet": partial(_image, "unet", 16, 16, 3),
    "mixer": partial(_image, "mixer", 16, 16, 3),
    "mlp": partial(_vector, "mlp", 12),
    "mlp-regression": partial(_vector, "regression", 6, loss=MeanSquaredError),
    "autoencoder": partial(_vector, "autoencoder", 16, loss=MeanSquaredError),
    "vae": _variational,
    "graph-network": _graph,
    "ppo-actor-critic": partial(_image, "actor_critic", 42, 42, 4),
    "language-model": partial(_text, "language_model", 12),
    "language-model-tied": partial(_text, "tied_language_model", 12),
    "gemma": partial(_text, "gemma", 12),
    "lstm-tagger": partial(_text, "tagger", 9),
    "gru-classifier": partial(_text, "gru_classifier", 9),
    "sentiment": partial(_text, "sentiment", 9),
    "text-cnn": partial(_text, "text_cnn", 12),
    "bert": partial(_text, "bert", 10),
    "seq2seq": _pairs,
    "translation": _translated,
}
