"""Made-up comparisons with realistic figures: many contestants, failures of every kind, one framework only."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.show import facts
from assay.show.facts import Comparison

# (contestant, train step ms, inference batch 1 ms, inference batch N ms, import s, build s, first step s, memory MB)
FIGURES = (
    ("tensorflow:graph", 6.71, 0.31, 1.9, 3.1, 0.21, 0.84, 212),
    ("pytorch:eager", 7.05, 0.11, 1.6, 1.1, 0.02, 0.05, 96),
    ("pytorch:compile", 7.12, 0.09, 1.4, 1.1, 0.02, 23.4, 341),
    ("tensorflow:xla", 9.2, 0.21, 2.2, 3.1, 0.21, 1.9, 260),
    ("jax:jit", 9.84, 0.024, 2.4, 1.0, 0.35, 1.3, 180),
    ("keras/tensorflow:graph", 10.1, 0.37, 2.0, 3.3, 0.3, 1.2, 240),
    ("keras/jax:jit", 11.3, 0.12, 2.6, 1.9, 0.4, 1.7, 221),
    ("tensorflow:eager", 14.6, 0.52, 2.3, 3.1, 0.2, 0.1, 205),
    ("keras/torch:eager", 15.2, 0.84, 2.9, 2.4, 0.2, 0.12, 150),
    ("keras/tensorflow:eager", 28.4, 2.1, 4.4, 3.3, 0.3, 0.2, 231),
    ("keras/jax:eager", 61.0, 1.9, 7.0, 1.9, 0.4, 0.6, 199),
    ("jax:eager", 72.8, 1.02, 8.3, 1.0, 0.3, 0.9, 190),
    ("plugin:graph", 80.1, 0.7, 9.1, 0.8, 0.1, 0.4, 130),
    ("other/plugin:eager", 95.0, 0.9, 12.0, 0.7, 0.1, 0.1, 120),
)
DEFAULT_MODES = ("pytorch:eager", "tensorflow:graph", "keras/tensorflow:graph", "jax:jit")
FOURTEEN = tuple(row[0] for row in FIGURES)
ALL = FOURTEEN[:12]
TITLES = {
    "pytorch": "PyTorch",
    "tensorflow": "TensorFlow",
    "keras/tensorflow": "Keras on TensorFlow",
    "keras/jax": "Keras on JAX",
    "keras/torch": "Keras on PyTorch",
    "jax": "JAX",
    "plugin": "Plug-in",
    "other/plugin": "Other plug-in",
}
MODEL = '''"""digits-cnn in {title}, written by assay."""

from pathlib import Path

import {package}


class DigitsCNN:
    """images (batch, 8, 8) -> logits (batch, 10)."""

    def __init__(self):
        # Two convolutions, then two dense layers.
        self.conv1 = {package}.conv(1, 32, kernel=3, padding=1)
        self.conv2 = {package}.conv(32, 64, kernel=3, padding=1)
        self.dense = {package}.dense(1024, 128)

    def __call__(self, images):
        x = images[..., None]                        # (batch, 8, 8, 1)
        x = {package}.relu(self.conv1(x))            # (batch, 8, 8, 32)
        x = {package}.relu(self.conv2(x))            # (batch, 8, 8, 64)
        return self.dense(x.reshape(len(x), -1))     # a line so long that it has to scroll on a phone


def load(weights=Path(__file__).with_name("weights.safetensors")):
    return DigitsCNN()
'''
TRAIN = '''"""Trains digits-cnn in {title}."""

import argparse

from model import load

LEARNING_RATE = 1e-3
BATCH_SIZE = 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    print(load(), parser.parse_args())


if __name__ == "__main__":
    main()
'''


def _workload() -> facts.Workload:
    return facts.Workload(
        name="digits-cnn",
        title="Handwritten digits, small convolutional network",
        description="Two convolutions and two dense layers that read 8×8 images of digits.",
        parameters=151_306,
        inputs=(facts.TensorShape("images", ("batch", 8, 8), "float32"),),
        target=facts.TensorShape("labels", ("batch",), "int64"),
        loss="cross-entropy",
        optimizer="Adam, learning rate 0.001",
        metric="accuracy",
        batch_size=64,
        train_examples=1437,
        test_examples=360,
        data_source="scikit-learn's digits (UCI optical recognition of handwritten digits, CC BY 4.0)",
        seed=0,
    )


def _environment() -> facts.Environment:
    return facts.Environment(
        operating_system="Linux 6.1",
        python="CPython 3.11.9",
        machine="x86_64",
        cpu="AMD EPYC 7B13",
        cpus=4,
        allowed=(0, 1),
        used=(),
        governor=None,
        cpu_quota=2.0,
        memory_bytes=16_000_000_000,
        available_bytes=14_100_000_000,
        steal_ticks=120,
        virtual=True,
        device="cpu",
        threads=2,
        load=0.4,
        versions={
            "torch": "2.13.0",
            "tensorflow-cpu": "2.21.0",
            "keras": "3.15.1",
            "jax": "0.10.0",
            "flax": "0.12.1",
            "numpy": "2.3.0",
        },
        flags={"TF32": "off", "OMP_NUM_THREADS": "2"},
        notes=("the processors are shared with other machines (steal time 1.2 %)",),
    )


def _proof(name: str) -> facts.Proof:
    error = 10 ** random.Random(name).uniform(-14, -12)
    checks = tuple(
        facts.Check(kind, "equal", count, tensor, error * (i + 1) / 5, 1e-10)
        for i, (kind, count, tensor) in enumerate(
            [
                ("outputs", 1, "logits"),
                ("loss", 1, "loss"),
                ("gradients", 9, "conv1.weight"),
                ("steps", 8, "dense.weight"),
            ]
        )
    )
    checks += (facts.Check("statistics", "not-run", 0, None, None, None, "the model has no batch normalisation"),)
    return facts.Proof(name, "equal", facts.Worst("steps", "dense.weight", checks[3].error or 0.0), None, checks)


def _measurement(name: str, task: str, batch: int, milliseconds: float, first: float, memory: int) -> facts.Measurement:
    chance = random.Random(f"{name}{task}{batch}")
    samples = tuple(milliseconds * 1e-3 * chance.lognormvariate(0, 0.02) for _ in range(20))
    ordered = sorted(samples)
    median = ordered[10]
    return facts.Measurement(
        contestant=name,
        task="train" if task == "train" else "infer",
        batch_size=batch,
        status="ok",
        median_s=median,
        interval_s=(ordered[5], ordered[14]),
        samples_per_s=batch / median,
        first_call_s=first,
        peak_memory_bytes=memory * 1_000_000,
        samples_s=samples,
        calls=(max(1, round(50 / milliseconds)),) * 20,
        blocks=tuple(range(20)),
        processes=(0,) * 20,
        series="flat",
    )


def _training(names: tuple[str, ...]) -> facts.TrainingEquality:
    truth = tuple(2.3 * 0.94**step + 0.1 + 0.05 * ((step * 7) % 5) / 5 for step in range(50))
    curves = []
    for name in names:
        chance = random.Random(f"curve {name}")
        losses = tuple(loss * (1 + chance.uniform(-1, 1) * 2e-7 * (1 + step / 5)) for step, loss in enumerate(truth))
        distance = max(abs(a - b) / b for a, b in zip(losses, truth, strict=True))
        curves.append(facts.Curve(name, "equal", losses, distance, 0.969 + 0.003 * chance.random()))
    return facts.TrainingEquality(50, truth, "tensorflow:graph", "pytorch:eager", 5e-6, tuple(curves), "accuracy", 0.95)


def _verdict(measurements: tuple[facts.Measurement, ...]) -> facts.Verdict:
    tasks = []
    for task, batch in dict.fromkeys((m.task, m.batch_size) for m in measurements):
        found = [m for m in measurements if (m.task, m.batch_size) == (task, batch) and m.median_s is not None]
        found.sort(key=lambda m: m.median_s or 0.0)
        best = found[0].median_s or 1.0
        ranking = []
        for i, m in enumerate(found):
            ratio = (m.median_s or 0.0) / best
            relation = "fastest" if i == 0 else "not-resolved" if ratio < 1.06 else "slower"
            ranking.append(
                facts.Standing(m.contestant, m.median_s or 0.0, ratio, (ratio * 0.98, ratio * 1.02), relation)  # type: ignore[arg-type]
            )
        settled = len(ranking) < 2 or ranking[1].relation == "slower"
        first = ranking[0].contestant
        what = f"{'training step' if task == 'train' else 'inference'} (batch {batch})"
        statement = f"{what}: {first} is fastest with {best * 1e3:.3g} ms"
        if not settled:
            statement = f"{what}: no winner, {first} and {ranking[1].contestant} cannot be told apart"
        pairs = tuple(
            facts.Pair(other.contestant, first, other.ratio, other.ratio_interval, "slower", 20)
            for other in ranking[1:]
            if other.relation == "slower"
        )
        winner = first if settled else None
        tasks.append(facts.TaskVerdict(task, batch, tuple(ranking), winner, statement, 0.03, pairs))
    best_name = tasks[0].ranking[0].contestant
    recommendation = facts.Recommendation(
        "overall",
        best_name,
        f"take {best_name}",
        (
            "over all 3 tasks (geometric mean) it is as fast as the next and needs less memory",
            "a fresh process reaches its first step in 4.2 s; pytorch:compile needs 24.5 s",
        ),
        (
            "if only inference (batch 1) matters: jax:jit is 12.9 times as fast there",
            "for fewer than about 9,000 training steps pytorch:eager is done sooner: it starts 2.98 s earlier",
        ),
    )
    by_purpose = tuple(
        facts.Recommendation(
            purpose, task.winner, task.statement, (), ("more processes per contestant",) if task.winner is None else ()
        )
        for purpose, task in zip(("training", "inference latency", "inference throughput"), tasks, strict=True)
    )
    notes = (
        "the processors are shared with other machines (steal time 1.2 %)",
        "the order of the contestants was drawn anew in every round",
    )
    return facts.Verdict("given", None, True, tuple(tasks), (recommendation, *by_purpose), notes)


def build(names: tuple[str, ...] = ALL) -> Comparison:
    """A comparison in which everything went well."""
    rows = [row for row in FIGURES if row[0] in names]
    measurements = tuple(
        _measurement(name, task, batch, milliseconds, first, memory)
        for name, train, one, many, _, _, first, memory in rows
        for task, batch, milliseconds in (("train", 64, train), ("infer", 1, one), ("infer", 64, many))
    )
    targets = list(dict.fromkeys(name.rpartition(":")[0] for name in names))
    code = tuple(
        facts.WrittenCode(
            target,
            TITLES[target],
            (
                facts.SourceFile("model.py", MODEL.format(title=TITLES[target], package=target.replace("/", "_"))),
                facts.SourceFile("train.py", TRAIN.format(title=TITLES[target])),
            ),
            17,
            12,
        )
        for target in targets
    )
    return Comparison(
        assay="0.1.0",
        format=facts.FORMAT,
        date="2025-11-22T12:47:05+00:00",
        command="assay compare digits-cnn --effort quick --seed 0",
        effort=facts.Effort("quick", "indicative, one process per contestant", 1, 0.03),
        elapsed_s=84.2,
        interrupted=None,
        workload=_workload(),
        environment=_environment(),
        contestants=tuple(names),
        missing=(),
        proofs=tuple(_proof(name) for name in names),
        measurements=measurements,
        cold_starts=tuple(facts.ColdStart(r[0], r[4], r[5], r[6], r[6] / 2, "cold") for r in rows),
        code=code,
        training=_training(tuple(names)),
        verdict=_verdict(measurements),
    )


def without_figures(comparison: Comparison, name: str, proof: facts.Proof) -> Comparison:
    """The comparison in which `name` got no further than this proof."""
    training = comparison.training
    assert training is not None
    measurements = tuple(m for m in comparison.measurements if m.contestant != name)
    return replace(
        comparison,
        proofs=tuple(proof if p.contestant == name else p for p in comparison.proofs),
        measurements=measurements,
        cold_starts=tuple(s for s in comparison.cold_starts if s.contestant != name),
        training=replace(training, curves=tuple(c for c in training.curves if c.contestant != name)),
        verdict=_verdict(measurements),
    )


def build_with_failures() -> Comparison:
    """All contestants; no compiler, a wrong gradient, a crashed worker, a missing framework, an allowance."""
    found = build()
    no_compiler = facts.Proof(
        "pytorch:compile", "not-run", reason="no C++ compiler was found, and torch.compile needs one: install g++"
    )
    found = without_figures(found, "pytorch:compile", no_compiler)
    checks = (
        facts.Check("outputs", "equal", 1, "logits", 2e-14, 1e-10),
        facts.Check("gradients", "different", 9, "conv1.weight", 3.2e-2, 1e-10),
    )
    wrong = facts.Proof(
        "keras/torch:eager",
        "different",
        facts.Worst("gradients", "conv1.weight", 3.2e-2),
        "Conv2D(padding='same') pads the other side on this backend",
        checks,
        facts.Divergence(
            "conv2/Conv",
            "Conv",
            0.031,
            "model.py",
            20,
            "        x = keras_torch.relu(self.conv2(x))            # (batch, 8, 8, 64)",
            "x = pytorch.relu(self.conv2(x))",
            "conv2 (Conv2d)",
            0.25,
            0.28125,
            (0, 3),
            "net.py:20: x = relu(self.conv2(x))",
        ),
    )
    found = without_figures(found, "keras/torch:eager", wrong)
    allowed = replace(
        _proof("keras/jax:jit"),
        worst=facts.Worst("steps", "norm.gamma", 2.1e-7),
        allowances=("LayerNormalization computes in float32 on this backend: proven to 1e-06",),
    )
    crash = "the worker was killed by signal 9 (out of memory?) in round 3"
    measurements = tuple(
        replace(
            m,
            status="failed",
            reason=crash,
            median_s=None,
            interval_s=None,
            samples_per_s=None,
            samples_s=(),
            blocks=(),
        )
        if m.contestant == "tensorflow:xla" and m.task == "infer"
        else m
        for m in found.measurements
    )
    measurements = tuple(replace(m, processes=m.processes[: len(m.samples_s)]) for m in measurements)
    return replace(
        found,
        proofs=tuple(allowed if p.contestant == "keras/jax:jit" else p for p in found.proofs),
        measurements=measurements,
        missing=(facts.Missing("mindspore", "mindspore is not installed", "pip install 'assay[mindspore]'"),),
        verdict=_verdict(measurements),
    )


HOSTILE = "</script><img src=x onerror=alert(1)>[bold]\x1b[31m\u202eevil\n{{7*7}}&amp;'\"`"


def build_hostile() -> Comparison:
    """Every text that could come from a model or a file is an attack on whoever prints it."""
    found = build(DEFAULT_MODES)
    name = f"jax:{HOSTILE}"
    source = facts.SourceFile("model.py", f"x = '''{HOSTILE}'''\n# <!--<script>\n" + "é" * 3)
    return replace(
        found,
        workload=replace(found.workload, name=HOSTILE, title=HOSTILE, description=HOSTILE, data_source=HOSTILE),
        command=HOSTILE,
        contestants=(*found.contestants, name),
        proofs=(
            *found.proofs,
            facts.Proof(name, "different", facts.Worst("gradients", HOSTILE, float("nan")), HOSTILE),
        ),
        missing=(facts.Missing(HOSTILE, HOSTILE, HOSTILE),),
        code=(facts.WrittenCode(HOSTILE, HOSTILE, (source,), 1, None), *found.code),
        environment=replace(found.environment, cpu=HOSTILE, versions={HOSTILE: HOSTILE}, notes=(HOSTILE,)),
        verdict=replace(
            found.verdict,
            recommendations=(
                facts.Recommendation("overall", HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,)),
                facts.Recommendation(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,)),
            ),
            notes=(HOSTILE,),
        ),
    )


def build_interrupted() -> Comparison:
    """Ctrl-C before anything was proven."""
    found = build(DEFAULT_MODES)
    return replace(
        found,
        interrupted="stopped by Ctrl-C after 4.1 s",
        proofs=(),
        measurements=(),
        cold_starts=(),
        code=(),
        training=None,
        verdict=facts.Verdict(),
    )


SAMPLES: dict[str, Callable[[], Comparison]] = {
    "default modes": lambda: build(DEFAULT_MODES),
    "all": build,
    "fourteen": lambda: build(FOURTEEN),
    "failures": build_with_failures,
    "one framework": lambda: build(("jax:jit",)),
    "hostile": build_hostile,
    "interrupted": build_interrupted,
}


@pytest.fixture(params=sorted(SAMPLES))
def any_comparison(request: pytest.FixtureRequest) -> Comparison:
    """Each made-up comparison in turn."""
    return SAMPLES[request.param]()


@pytest.fixture
def sample() -> Callable[[str], Comparison]:
    """A made-up comparison by its name in `SAMPLES`."""
    return lambda name: SAMPLES[name]()
