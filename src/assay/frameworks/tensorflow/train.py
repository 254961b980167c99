"""The source of a TensorFlow package's `train.py`: a `tf.GradientTape`, a small optimizer, one `tf.function`.

TensorFlow's own optimizers live in Keras, so the package holds the one that it needs; its maths is that of
`assay.nn.optimizers`. The text contains no constant, import or function that the plan does not use.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from assay.errors import UnsupportedError
from assay.frameworks.base import TrainingPlan
from assay.frameworks.tensorflow.optimizers import Constants, write_optimizer
from assay.nn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from assay.nn.optimizers import Constant, Cosine, Schedule, Step, Warmup
from assay.write.results import access

LINE_LENGTH = 120
# What train.py calls its own things; an input or target of the same name gets an underscore.
_OWN_NAMES = """
    above area_under_curve argparse arguments batch batches Callable compiled compute_loss counts data distance epoch
    evaluate examples float gradients len learning_rate linear load load_data load_file logits loss main make_optimizer
    make_train_step math mode model negatives np optimizer parser part Path place positive positives predict
    predictions print range ranks save save_file score scores Sequence start step tape test tf time took train tuple unexplained
    variation WEIGHTS zeros_like zip
"""


@dataclass(frozen=True)
class _Names:
    """Identifiers of the text, all different."""

    inputs: tuple[str, ...]
    target: str
    output: str  # what the model returns
    first: str  # behind a call of the model: the output that the loss reads

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.inputs, self.target)


@dataclass(frozen=True)
class _Metric:
    """How the metric is computed and printed."""

    title: str
    functions: tuple[str, ...]  # helpers, then `evaluate`


def write_training(plan: TrainingPlan) -> str:
    """The text of `train.py` for this plan.

    Raises `UnsupportedError` for a loss, optimizer or schedule that is not of `assay.nn`, and for a metric that means
    nothing with the loss.
    """
    names = _names(plan)
    optimizer = plan.training.optimizer
    loss, loss_constants = _loss(plan.training.loss, names)
    schedule, schedule_constants = _schedule(optimizer.schedule)
    rule, rule_constants = write_optimizer(optimizer, scheduled=bool(schedule))
    metric = _metric(plan, names)
    constants: Constants = {
        "LEARNING_RATE": optimizer.learning_rate,
        **rule_constants,
        **schedule_constants,
        **loss_constants,
        "BATCH_SIZE": plan.training.batch_size,
        "EPOCHS": plan.training.epochs,
        "SEED": plan.training.seed,
    }
    rule_name = type(optimizer).__name__
    parts = [
        _load_data(plan, names),
        loss,
        *([schedule] if schedule else []),
        rule,
        _MAKE_OPTIMIZER.format(model=plan.class_name, rule=rule_name),
        _COMPILED,
        _train_step(plan.class_name, rule_name, names),
        *metric.functions,
        _SAVE % plan.class_name,
        _MAIN % metric.title,
        'if __name__ == "__main__":\n    main()',
    ]
    body = "\n\n\n".join(parts) + "\n"
    return _header(plan, constants, body) + "\n\n\n" + body


def _names(plan: TrainingPlan) -> _Names:
    taken = set(_OWN_NAMES.split()) | {plan.class_name, type(plan.training.optimizer).__name__}

    def distinct(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    inputs = tuple(distinct(name) for name in plan.inputs)
    target = plan.target if plan.target not in taken else f"target_{plan.target}"
    classifies = isinstance(plan.training.loss, (CrossEntropy, BinaryCrossEntropy))
    return _Names(inputs, distinct(target), "logits" if classifies else "predictions", access(plan.structure, 0))


def _header(plan: TrainingPlan, constants: Constants, body: str) -> str:
    return "\n".join(
        [
            f'"""Trains {plan.model_name} with TensorFlow on the data beside this file.',
            "",
            "python train.py [--mode graph|eager|xla] [--epochs N] [--seed N] [--save FILE]",
            '"""',
            "",
            "from __future__ import annotations",
            "",
            "import argparse",
            *(["import math"] if "math." in body.replace("tf.math.", "") else []),
            "import time",
            "from collections.abc import Callable, Sequence",
            "from pathlib import Path",
            "",
            "import numpy as np",
            "import tensorflow as tf",
            "from safetensors.numpy import load_file, save_file",
            "",
            f"from model import {', '.join(sorted(['WEIGHTS', plan.class_name], key=_by_kind))}, load",
            "",
            *(f"{name} = {value!r}" for name, value in constants.items()),
        ]
    )


def _by_kind(name: str) -> tuple[bool, str]:
    """The order in which sorted imports have names: those in capitals first."""
    return not name.isupper(), name


def _load_data(plan: TrainingPlan, names: _Names) -> str:
    shapes = [f"{name} {_shape(shape)}" for name, shape in zip(names.inputs, plan.input_shapes, strict=True)]
    arrays = ", ".join([*shapes, f"{names.target} {_target_shape(plan)}"])
    keys = [f'data[f"{{part}}_inputs_{index}"]' for index in range(len(names.inputs))] + ['data[f"{part}_targets"]']
    result = f"    return {', '.join(keys)}"
    if len(result) > LINE_LENGTH:
        result = "\n".join(["    return (", *(f"        {key}," for key in keys), "    )"])
    return f"""\
def load_data(part: str) -> tuple[np.ndarray, ...]:
{_docstring(f'{arrays}; `part` is "train" or "test".')}
    data = load_file(Path(__file__).with_name("data.safetensors"))
{result}"""


def _shape(shape: tuple[int | str, ...]) -> str:
    sizes = ("examples", *shape[1:])
    return f"({', '.join(str(size) for size in sizes)}{',' if len(sizes) == 1 else ''})"


def _target_shape(plan: TrainingPlan) -> str:
    indices = isinstance(plan.training.loss, CrossEntropy)
    return _shape(plan.output_shape[:-1] if indices else plan.output_shape)


def _loss(loss: object, names: _Names) -> tuple[str, Constants]:
    """The function that takes the model's output and the targets to the mean loss, and its constants."""
    output, target = names.output, names.target
    constants: Constants = {}
    lines: list[str] = []
    match loss:
        case CrossEntropy():
            title = "Softmax cross-entropy, averaged over all positions."
            value = f"tf.nn.sparse_softmax_cross_entropy_with_logits({target}, {output})"
        case BinaryCrossEntropy():
            title = "Sigmoid cross-entropy, averaged over all elements."
            value = f"tf.nn.sigmoid_cross_entropy_with_logits({target}, {output})"
        case MeanSquaredError():
            title = "The squared error, averaged over all elements."
            value = f"tf.math.squared_difference({output}, {target})"
        case MeanAbsoluteError():
            title = "The absolute error, averaged over all elements."
            value = f"tf.abs({output} - {target})"
        case Huber():
            title = "Half the squared error, linear from HUBER_DELTA on, averaged over all elements."
            lines = [
                f"distance = tf.abs({output} - {target})",
                "linear = HUBER_DELTA * (distance - 0.5 * HUBER_DELTA)",
            ]
            value = "tf.where(distance <= HUBER_DELTA, 0.5 * tf.square(distance), linear)"
            constants = {"HUBER_DELTA": loss.delta}
        case _:
            known = "CrossEntropy, BinaryCrossEntropy, MeanSquaredError, MeanAbsoluteError or Huber"
            raise UnsupportedError(f"TensorFlow cannot train with the loss {loss!r}: expected {known} of assay.nn")
    head = f"def compute_loss({output}: tf.Tensor, {target}: tf.Tensor) -> tf.Tensor:"
    text = [head, f'"""{title}"""', *lines, f"return tf.reduce_mean({value})"]
    return "\n    ".join(text), constants


def _schedule(schedule: Schedule) -> tuple[str, Constants]:
    """The function from the number of steps taken to the learning rate ("" if it is constant), and its constants.

    It is computed in float64, a few scalars per step, and rounded once where it is used.
    """
    constants: Constants
    lines: list[str]
    match schedule:
        case Constant() | Warmup(steps=0):
            return "", {}
        case Cosine():
            constants = {"TOTAL_STEPS": schedule.steps, "FINAL_FACTOR": schedule.final}
            title = "Half a cosine down to FINAL_FACTOR of LEARNING_RATE at TOTAL_STEPS."
            progress, value = "step / TOTAL_STEPS", "factor"
            lines = []
            if schedule.warmup:
                title = f"A linear warm-up, then {title[0].lower()}{title[1:]}"
                progress = "(step - WARMUP_STEPS) / (TOTAL_STEPS - WARMUP_STEPS)"
                value = "tf.where(step < WARMUP_STEPS, (step + 1) / (WARMUP_STEPS + 1), factor)"
                constants = {"WARMUP_STEPS": schedule.warmup, **constants}
            lines = [
                f"progress = tf.minimum({progress}, 1)",
                "factor = FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + tf.cos(math.pi * progress))",
            ]
        case Step():
            title = "LEARNING_RATE, multiplied by DECAY_GAMMA after every DECAY_EVERY steps."
            lines, value = [], "DECAY_GAMMA ** (step // DECAY_EVERY)"
            constants = {"DECAY_EVERY": schedule.every, "DECAY_GAMMA": schedule.gamma}
        case Warmup():
            title = "A linear warm-up to LEARNING_RATE, which then stays."
            lines, value = [], "tf.minimum((step + 1) / (WARMUP_STEPS + 1), 1)"
            constants = {"WARMUP_STEPS": schedule.steps}
        case _:
            known = "Constant, Cosine, Step or Warmup"
            raise UnsupportedError(
                f"TensorFlow cannot train with the schedule {schedule!r}: expected {known} of assay.nn"
            )
    head = "def learning_rate(step: tf.Tensor) -> tf.Tensor:"
    text = [head, f'"""{title}"""', *lines, f"return LEARNING_RATE * {value}"]
    return "\n    ".join(text), constants


_MAKE_OPTIMIZER = """\
def make_optimizer(model: {model}) -> {rule}:
    return {rule}(model.trainable_variables)"""

_COMPILED = '''\
def compiled(function: Callable[..., tf.Tensor], mode: str) -> Callable[..., tf.Tensor]:
    """`function` as one TensorFlow graph, compiled by XLA, or as it is ("eager")."""
    if mode == "eager":
        return function
    # No AutoGraph: no Python here depends on values, and tracing takes half the time without it.
    return tf.function(function, jit_compile=mode == "xla", autograph=False)'''


def _train_step(class_name: str, rule_name: str, names: _Names) -> str:
    arguments = [f"model: {class_name}", f"optimizer: {rule_name}", 'mode: str = "graph"']
    typed = [f"{name}: tf.Tensor" for name in names.every]
    meaning = f"step({', '.join(names.every)}) → loss: forward, loss, backward and update, compiled as one."
    return f"""\
{_signature("def make_train_step", arguments, "Callable[..., tf.Tensor]")}
{_docstring(meaning)}

{_signature("    def step", typed, "tf.Tensor")}
        with tf.GradientTape() as tape:
            {names.output} = model({", ".join(names.inputs)}, training=True){names.first}
            loss = compute_loss({names.output}, {names.target})
        gradients = tape.gradient(loss, optimizer.parameters, unconnected_gradients="zero")
        optimizer.apply(gradients)
        return loss

    return compiled(step, mode)"""


_AUC = '''\
def area_under_curve(scores: np.ndarray, outcomes: np.ndarray) -> float:
    """The probability that a positive example scores above a negative one; ties count one half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = outcomes > 0.5
    positives, negatives = positive.sum(), (~positive).sum()
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))'''


def _metric(plan: TrainingPlan, names: _Names) -> _Metric:
    output, target = names.output, names.target
    loss = plan.training.loss
    helpers: tuple[str, ...] = ()
    lines: list[str] = []
    match plan.training.metric:
        case "accuracy" if isinstance(loss, CrossEntropy):
            title, meaning = "accuracy", f"Accuracy: how often the largest logit is that of {target}."
            value = f"float(({output}.argmax(-1) == {target}).mean())"
        case "accuracy" if isinstance(loss, BinaryCrossEntropy):
            title, meaning = "accuracy", "Accuracy: how often the likelier outcome is the true one."
            value = f"float((({output} > 0) == ({target} > 0.5)).mean())"
        case "auc" if isinstance(loss, BinaryCrossEntropy):
            title, meaning, helpers = "AUC", "The area under the receiver operating characteristic.", (_AUC,)
            value = f"area_under_curve({output}.ravel(), {target}.ravel())"
        case "bits-per-character" if isinstance(loss, CrossEntropy):
            title, meaning = "bits per character", "Bits per character: the loss in base 2."
            value = f"float(compute_loss({output}, {target})) / math.log(2)"
        case "r2" if isinstance(loss, (MeanSquaredError, MeanAbsoluteError, Huber)):
            title, meaning = "R²", f"R²: the share of the variance of {target} that is explained."
            lines = [
                f"unexplained = np.square({target} - {output}).sum()",
                f"variation = np.square({target} - {target}.mean(0)).sum()",
            ]
            value = "float(1 - unexplained / variation)"
        case "loss":
            title, meaning, value = "loss", "The mean loss.", f"float(compute_loss({output}, {target}))"
        case metric:
            raise UnsupportedError(
                f"the metric {metric!r} means nothing with the loss {type(loss).__name__}: choose accuracy for a"
                " cross-entropy, auc for BinaryCrossEntropy, bits-per-character for CrossEntropy, r2 for a regression"
                " loss, or loss"
            )
    inputs = ", ".join(names.inputs) + ("," if len(names.inputs) == 1 else "")
    predict = f"predict(*batch){names.first}"
    arguments = ["predict: Callable[..., tf.Tensor]", *(f"{name}: np.ndarray" for name in names.every)]
    text = [
        _signature("def evaluate", arguments, "float"),
        _docstring(meaning),
        f"    examples = tf.data.Dataset.from_tensor_slices(({inputs}))",
        f"    {output} = np.concatenate([{predict} for batch in examples.batch(BATCH_SIZE)])",
        *(f"    {line}" for line in lines),
        f"    return {value}",
    ]
    return _Metric(title, (*helpers, "\n".join(text)))


_SAVE = '''\
def save(model: %s, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    arrays = {}
    for name in load_file(WEIGHTS):
        variable = model
        for part in name.split("."):
            variable = variable[int(part)] if part.isdigit() else getattr(variable, part)
        arrays[name] = variable.numpy()
    save_file(arrays, path)'''

_MAIN = """\
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
        print(f"epoch {epoch}: loss {loss:.4f}, test %s {score:.4f}, {took:.1f} s")
    if arguments.save:
        save(model, arguments.save)"""


def _docstring(text: str) -> str:
    """A function's docstring, broken where it is too long for one line."""
    lines = textwrap.wrap(text, LINE_LENGTH - 4 - 2 * len('"""'))
    if len(lines) == 1:
        return f'    """{text}"""'
    return "\n".join([f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """'])


def _signature(name: str, arguments: list[str], result: str) -> str:
    """The first line of a function, or its first lines where one would be too long."""
    line = f"{name}({', '.join(arguments)}) -> {result}:"
    if len(line) <= LINE_LENGTH:
        return line
    indent = " " * (len(name) - len(name.lstrip()))
    together = f"{indent}    {', '.join(arguments)}"
    inner = [together] if len(together) <= LINE_LENGTH else [f"{indent}    {argument}," for argument in arguments]
    return "\n".join([f"{name}(", *inner, f"{indent}) -> {result}:"])
