"""The speed of written code beside the code that the model was brought from, in the same framework and mode.

    python benchmarks/written_vs_source.py [--cases pytorch/resnet50:eager,…] [--rounds N] [--json FILE]

A process of its own for each case holds both: the model as its authors wrote it (torchvision, transformers,
keras.applications, the ResNet of Flax in assay.testing.zoo), and the package that assay writes from it. Both are trained by
the same lines, those of the package's train.py, at a rate so low that the weights stay what they were. Samples alternate,
and the order changes every round. Printed is the median over rounds of source time / written time (1.00: as fast; above:
faster) for a training step and for inference, with the range of the middle half; and the transposes inside the network of
the channels-last code of the convolutional models. FILE is written after each case, and what it already holds is not measured
again. Exit status 1 if a median is below the case's limit: 0.97, or 0.95 beside a framework's own model.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from written_vs_handwritten import STILL, _loop, _ratio

OPTIMIZER = f"sgd:learning_rate={STILL},momentum=0.9"


@dataclass(frozen=True)
class Timed:
    """Source and written code, each as step(batch index) and predict(batch index), with what waits for a value."""

    step: Callable[[Any], Any]
    predict: Callable[[Any], Any]
    wait: Callable[[Any], None]


@dataclass(frozen=True)
class Pair:
    """Both sides of a case, and the batches that both get: inputs, then targets."""

    source: Timed
    written: Timed
    batches: list[tuple[Any, ...]]
    transposes: int | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a case, in a process of its own
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measured(options.one, options.rounds)), flush=True)
        return
    rows = _read(options.json)
    for case in options.cases.split(","):
        if not any(row["case"] == case for row in rows):
            rows.extend(_in_process(case, options.rounds))
            _write(options.json, rows)
    missed = [row for row in rows if row["speed"] < row["limit"] or row.get("transposes")]
    print(
        f"lowest: {min((row['speed'] for row in rows), default=0.0):.2f}; {len(missed)} of {len(rows)} miss their limit"
    )
    raise SystemExit(1 if missed else 0)


def _read(path: Path | None) -> list[dict[str, Any]]:
    """The rows that a file holds already, without failures."""
    if path is None or not path.exists():
        return []
    return [row for row in json.loads(path.read_text())["rows"] if row["speed"] > 0]


def _write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    from assay.measure.environment import environment

    if path is not None:
        machine = environment(threads=1)
        facts = {"date": date.today().isoformat(), "machine": machine.summary(), "versions": dict(machine.versions)}
        path.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


def _in_process(case: str, rounds: int) -> list[dict[str, Any]]:
    from assay.measure.process import worker_environment

    more = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "JAX_PLATFORMS": "cpu"}
    environment = worker_environment(len(os.sched_getaffinity(0)), "benchmark", more)
    command = [sys.executable, __file__, "--one", case, "--rounds", str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    limit = CASES[case][1]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{case:<34} failed: {last}", flush=True)
        return [{"case": case, "task": None, "speed": 0.0, "limit": limit, "reason": last}]
    rows: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    for row in rows:
        low, high = row["middle_half"]
        moved = "" if row["transposes"] is None else f"; {row['transposes']} transposes inside"
        print(
            f"{case:<34} {row['task']:<6} {row['speed']:.2f} ({low:.2f}–{high:.2f}); "
            f"written {row['written_s'] * 1e3:.3g} ms{moved}",
            flush=True,
        )
    return rows


def _measured(case: str, rounds: int) -> list[dict[str, Any]]:
    make, limit = CASES[case]
    with tempfile.TemporaryDirectory() as temporary:
        pair = make(Path(temporary), case.rpartition(":")[2])
        rows = []
        for task in ("train", "infer"):
            source, written = (
                _loop(side.step if task == "train" else side.predict, side.wait, pair.batches)
                for side in (pair.source, pair.written)
            )
            found = _ratio(source, written, rounds)
            rows.append({"case": case, "task": task, "limit": limit, "transposes": pair.transposes, **found})
        return rows


def _package(source: Any, example: Any, target: str, folder: Path) -> Any:
    """The modules model and train of the package that is written from a live object."""
    import assay

    brought = assay.load(source, inputs=example, loss="cross-entropy", optimizer=OPTIMIZER)
    place = brought.write(target).save(folder / "package")
    sys.path.insert(0, str(place))
    return importlib.import_module("model"), importlib.import_module("train")


def _inner_transposes(text: str, call: str) -> int:
    """Layout transposes in a written model, without those of its own inputs and outputs (the root class, the last one)."""
    classes = re.split(r"(?m)^(?=class )", text)
    return sum(
        len(re.findall(re.escape(call) + r"\([^\n]*\((?:0, 2, 3, 1|0, 3, 1, 2)\)", part)) for part in classes[1:-1]
    )


# PyTorch ----------------------------------------------------------------------------------------------------------------


def _pytorch(make: Callable[[], Any], inputs: Callable[[Any], tuple[Any, ...]], classes: Callable[..., Any]) -> Any:
    def pair(folder: Path, mode: str) -> Pair:
        import torch

        torch.manual_seed(0)
        source = make()
        generator = torch.Generator().manual_seed(0)
        batches = [inputs(generator) for _ in range(4)]
        model, train = _package(source, batches[0], "pytorch", folder)
        batches = [(*batch, classes(generator, batch[0])) for batch in batches]
        return Pair(_torch_side(source, train, mode), _torch_side(model.load(), train, mode), batches)

    return pair


def _torch_side(module: Any, train: Any, mode: str) -> Timed:
    import torch

    step = train.make_train_step(module, train.make_optimizer(module), mode)
    call = torch.compile(module, dynamic=False) if mode == "compile" else module

    def trained(batch: tuple[Any, ...]) -> Any:
        if not module.training:
            module.train()
        return step(*batch)

    def predicted(batch: tuple[Any, ...]) -> Any:
        if module.training:
            module.eval()
        with torch.inference_mode():
            return call(*batch[:-1])

    return Timed(trained, predicted, lambda value: None)


def _torchvision(name: str, size: int, examples: int) -> Any:
    def make() -> Any:
        from assay.testing.zoo.torchvision import library

        return library().get_model(name, weights=None)

    def images(generator: Any) -> tuple[Any, ...]:
        import torch

        return (torch.randn(examples, 3, size, size, generator=generator),)

    return _pytorch(make, images, _labels(1000))


def _transformer(kind: str, options: Mapping[str, Any], words: int, examples: int, of_words: int | None) -> Any:
    """`of_words`: the classes of every word, or None for two of the whole sequence."""

    def make() -> Any:
        import torch

        from assay.testing.zoo.transformers import _library as library

        transformers = library()

        class Logits(torch.nn.Module):
            """The library's model, its answer's logits alone."""

            def __init__(self) -> None:
                super().__init__()
                found = getattr(transformers, kind)
                self.model = found(found.config_class(**options))

            def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
                return self.model(input_ids).logits

        return Logits()

    def sequences(generator: Any) -> tuple[Any, ...]:
        import torch

        return (torch.randint(3, 1000, (examples, words), generator=generator),)

    return _pytorch(make, sequences, _labels(of_words or 2, words if of_words else None))


def _labels(classes: int, words: int | None = None) -> Callable[[Any, Any], Any]:
    def labels(generator: Any, first: Any) -> Any:
        import torch

        return torch.randint(0, classes, (len(first), *([words] if words else [])), generator=generator)

    return labels


def _lstm() -> Any:
    def make() -> Any:
        from torch import nn

        class Classifier(nn.Module):
            """A text classifier: the last state of two layers of LSTM."""

            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(5000, 128)
                self.lstm = nn.LSTM(128, 256, num_layers=2, batch_first=True)
                self.head = nn.Linear(256, 10)

            def forward(self, tokens: Any) -> Any:
                states, _ = self.lstm(self.embedding(tokens))
                return self.head(states[:, -1])

        return Classifier()

    def sequences(generator: Any) -> tuple[Any, ...]:
        import torch

        return (torch.randint(0, 5000, (16, 64), generator=generator),)

    return _pytorch(make, sequences, _labels(10))


# Keras and JAX ----------------------------------------------------------------------------------------------------------


def _keras_resnet(folder: Path, mode: str) -> Pair:
    import keras

    from assay.frameworks.keras.backends import backend

    engine = backend()  # before anything is computed: it sets the threads
    source = keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3), classifier_activation=None)
    model, train = _package(source, None, "keras/tensorflow", folder)
    random = np.random.default_rng(0)
    batches = [
        (random.standard_normal((4, 96, 96, 3)).astype("float32"), random.integers(0, 1000, 4)) for _ in range(4)
    ]
    placed = [tuple(keras.ops.convert_to_tensor(array) for array in batch) for batch in batches]

    def side(network: Any) -> Timed:
        train.compile_model(network, mode)
        network.optimizer.build(network.trainable_variables)
        runner = engine.runner(network, mode)
        return Timed(lambda b: runner.train_step(b[:-1], b[-1]), lambda b: runner.predict(b[:-1]), runner.wait)

    text = (folder / "package" / "model.py").read_text(encoding="utf-8")
    return Pair(side(source), side(model.load()), placed, _inner_transposes(text, "ops.transpose"))


def _nnx_resnet(folder: Path, mode: str) -> Pair:
    import jax
    import jax.numpy as jnp

    from assay.testing.zoo import flax_vision

    source = flax_vision.resnet()
    model, train = _package(source, np.zeros((2, 32, 32, 3), np.float32), "jax", folder)
    random = np.random.default_rng(0)
    batches = [
        (
            jnp.asarray(random.standard_normal((32, 32, 32, 3)), jnp.float32),
            jnp.asarray(random.integers(0, 10, 32)),
        )
        for _ in range(4)
    ]

    def side(network: Any) -> Timed:
        optimizer = train.make_optimizer()
        state = [train.make_state(network, optimizer)]
        step, predict = train.make_train_step(network, optimizer, mode), train.make_predict(network, mode)

        def trained(batch: tuple[Any, ...]) -> Any:
            state[0], loss = step(state[0], *batch)
            return loss

        return Timed(trained, lambda batch: predict(state[0], *batch[:-1]), jax.block_until_ready)

    text = (folder / "package" / "model.py").read_text(encoding="utf-8")
    return Pair(side(source), side(model.load()), batches, _inner_transposes(text, "jnp.transpose"))


_GPT2 = {"use_cache": False}
_SOURCES: dict[str, Any] = {
    "resnet50": _torchvision("resnet50", 224, 4),
    "mobilenet_v3_large": _torchvision("mobilenet_v3_large", 224, 8),
    "vit_b_16": _torchvision("vit_b_16", 224, 1),
    "bert-base": _transformer("BertForSequenceClassification", {"vocab_size": 1000}, 64, 2, None),
    "gpt2": _transformer("GPT2LMHeadModel", {**_GPT2, "vocab_size": 1000}, 64, 2, 1000),
    "lstm": _lstm(),
}
CASES: dict[str, tuple[Callable[[Path, str], Pair], float]] = {
    **{f"pytorch/{name}:{mode}": (make, 0.97) for mode in ("eager", "compile") for name, make in _SOURCES.items()},
    "keras/resnet50:graph": (_keras_resnet, 0.95),
    "jax/resnet:jit": (_nnx_resnet, 0.95),
}


if __name__ == "__main__":
    main()
