"""The built-in workloads: a model, its training, real data, and the metric that a sound training reaches."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.errors import unknown

if TYPE_CHECKING:
    from assay.model import Model
    from assay.nn.optimizers import Training
    from assay.workloads.data import Dataset

DEFAULT = "digits-cnn"


@dataclass(frozen=True)
class Workload:
    """One built-in workload. `goal` is what the metric reaches on the test set after all epochs, with margin."""

    name: str
    title: str
    description: str
    goal: float
    dataset: str  # a function of assay.workloads.data
    inputs: tuple[str, tuple[int, ...], str]  # name, shape without the batch axis, type
    target: str
    network: str  # a class of assay.workloads.models
    training: Callable[[], Training]

    def data(self) -> Dataset:
        """The data set; raises `DataError` with the command that installs what is missing."""
        loader: Callable[[], Dataset] = getattr(importlib.import_module("assay.workloads.data"), self.dataset)
        return loader()

    def model(self, seed: int = 0) -> Model:
        """The model with its training, initialised from `seed`."""
        from assay import nn

        network = getattr(importlib.import_module("assay.workloads.models"), self.network)
        inputs = [nn.Input(*self.inputs)]
        training = replace(self.training(), seed=seed)
        model = nn.build(network(), inputs, name=self.name, training=training, target=self.target, seed=seed)
        return replace(model, dataset=self.name)


def _digits() -> Training:
    from assay import nn

    return nn.Training(nn.CrossEntropy(), nn.Adam(1e-3, schedule=nn.Cosine(330, warmup=30)), batch_size=64, epochs=15)


def _mnist() -> Training:
    from assay import nn

    optimizer = nn.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, schedule=nn.Cosine(496, warmup=20))
    return nn.Training(nn.CrossEntropy(), optimizer, batch_size=64, epochs=8)


def _topics() -> Training:
    from assay import nn

    optimizer = nn.AdamW(3e-3, weight_decay=0.01, clip=1.0, schedule=nn.Cosine(1532, warmup=100))
    return nn.Training(nn.CrossEntropy(), optimizer, batch_size=16, epochs=4, metric="bits-per-character")


def _vowels() -> Training:
    from assay import nn

    optimizer = nn.RMSprop(3e-3, rho=0.9, epsilon=1e-8, schedule=nn.Cosine(360, warmup=18))
    return nn.Training(nn.CrossEntropy(), optimizer, batch_size=30, epochs=40)


def _outcomes() -> Training:
    from assay import nn

    optimizer = nn.AdamW(1e-3, weight_decay=0.01)
    return nn.Training(nn.BinaryCrossEntropy(), optimizer, batch_size=128, epochs=20, metric="auc")


WORKLOADS = {
    item.name: item
    for item in (
        Workload(
            "digits-cnn",
            "8×8 digits, convolutional network",
            "two convolutions and two linear layers on scikit-learn's handwritten digits",
            0.98,
            "digits",
            ("images", (8, 8), "float32"),
            "labels",
            "DigitsCNN",
            _digits,
        ),
        Workload(
            "mnist-cnn",
            "28×28 digits, residual network",
            "residual blocks with batch normalisation and dropout on 5,000 MNIST digits",
            0.97,
            "mnist",
            ("images", (28, 28), "float32"),
            "labels",
            "MnistCNN",
            _mnist,
        ),
        Workload(
            "topics-lm",
            "characters, transformer language model",
            "four causal transformer blocks on the text of Python's own documentation",
            2.05,
            "topics",
            ("tokens", (64,), "int64"),
            "next_tokens",
            "TopicsLM",
            _topics,
        ),
        Workload(
            "vowels-rnn",
            "spoken vowels, bidirectional LSTM",
            "who is speaking, from the frames of one Japanese vowel",
            0.94,
            "vowels",
            ("frames", (29, 12), "float32"),
            "speakers",
            "VowelsRNN",
            _vowels,
        ),
        Workload(
            "outcome-mlp",
            "patient outcomes, multi-layer perceptron",
            "who of the patients in a clinical trial has an event, from a table of measurements",
            0.67,
            "outcomes",
            ("measurements", (21,), "float32"),
            "events",
            "OutcomeMLP",
            _outcomes,
        ),
    )
}


def find_workload(name: str) -> Workload:
    """The workload of this name, or an error with the nearest names."""
    if name not in WORKLOADS:
        raise unknown("workload", name, WORKLOADS)
    return WORKLOADS[name]
