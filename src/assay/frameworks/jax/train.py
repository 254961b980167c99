"""The source of a JAX package's `train.py`: Flax NNX for the model, Optax for the maths, one compiled step.

The text is put together from what the plan needs: no constant, import or function that it does not use.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.errors import UnsupportedError
from assay.frameworks.base import TrainingPlan
from assay.nn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from assay.nn.optimizers import SGD, Adam, AdamW, Constant, Cosine, Optimizer, RMSprop, Schedule, Step, Warmup
from assay.write.results import access

LINE_LENGTH = 120
# What train.py calls its own things; an input or target of the same name gets an underscore.
_OWN_NAMES = """
    argparse array auc batch batches Callable data Data epoch epochs evaluate forward gradients graphdef i jax jnp
    learning_rate load load_data load_file logits loss loss_function losses main make_optimizer make_predict make_state
    make_train_step math mean_loss metric mode model network nnx np optax optimizer optimizer_state order parameters
    Path predict predictions random save save_file seconds seed start state statistics step test time train train_step TrainState
    updates
"""


@dataclass(frozen=True)
class _Names:
    """Identifiers of the text, all different."""

    inputs: tuple[str, ...]
    target: str
    output: str  # what the model returns
    first: str  # behind a call of the model: the output that the loss reads

    @property
    def all(self) -> str:
        return ", ".join((*self.inputs, self.target))

    @property
    def typed(self) -> list[str]:
        return [f"{name}: jax.Array" for name in (*self.inputs, self.target)]


def write_training(plan: TrainingPlan) -> str:
    """The text of `train.py` for this plan.

    Raises `UnsupportedError` if the metric means nothing for the loss.
    """
    names = _names(plan)
    loss, loss_constants = _loss(plan.training.loss, names)
    schedule, rate, rate_constants = _schedule(plan.training.optimizer.schedule)
    optimizer, optimizer_constants = _optimizer(plan.training.optimizer, rate, bool(schedule))
    metric = _metric(plan, names)
    constants: dict[str, float | int] = {
        "LEARNING_RATE": plan.training.optimizer.learning_rate,
        **optimizer_constants,
        **rate_constants,
        **loss_constants,
        "BATCH_SIZE": plan.training.batch_size,
        "EPOCHS": plan.training.epochs,
        "SEED": plan.training.seed,
    }
    functions = [
        _load_data(names),
        loss,
        *([schedule] if schedule else []),
        optimizer,
        _MAKE_STATE,
        _train_step(names),
        _predict(names),
        *metric.functions,
        _train(metric),
        _SAVE,
        _MAIN,
    ]
    return "\n\n\n".join([_header(plan, constants, metric), _STATE, *functions, _LAST]) + "\n"


def _names(plan: TrainingPlan) -> _Names:
    taken = set(_OWN_NAMES.split())

    def distinct(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    inputs = tuple(distinct(name) for name in plan.inputs)
    target = plan.target if plan.target not in taken else f"target_{plan.target}"
    classifies = isinstance(plan.training.loss, (CrossEntropy, BinaryCrossEntropy))
    return _Names(inputs, distinct(target), "logits" if classifies else "predictions", access(plan.structure, 0))


def _header(plan: TrainingPlan, constants: dict[str, float | int], metric: _Metric) -> str:
    lines = [
        f'"""Trains {plan.model_name} with JAX, Flax NNX and Optax on the data beside this file.',
        "",
        "python train.py [--mode jit|eager] [--epochs N] [--seed N] [--save FILE]",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import argparse",
        *(["import math"] if metric.needs_math or isinstance(plan.training.optimizer, Adam) else []),
        "import time",
        "from collections.abc import Callable",
        "from pathlib import Path",
        "from typing import Any, NamedTuple",
        "",
        "import jax",
        "import jax.numpy as jnp",
        "import numpy as np",
        "import optax",
        "from flax import nnx",
        "from safetensors.numpy import load_file, save_file",
        "",
        "from model import load",
        "",
        *(f"{name} = {value!r}" for name, value in constants.items()),
        "",
        'DATA = Path(__file__).with_name("data.safetensors")',
        "Data = tuple[np.ndarray, ...]  # the inputs, then the targets",
    ]
    return "\n".join(lines)


_STATE = '''\
class TrainState(NamedTuple):
    """All that a step changes, as plain dictionaries of arrays: jax.jit takes those apart without running Python."""

    parameters: dict[str, Any]
    statistics: dict[str, Any]  # what is not trained: batch statistics, the random streams of dropout
    optimizer: optax.OptState'''


def _load_data(names: _Names) -> str:
    def arrays(split: str) -> str:
        keys = [f"{split}_inputs_{index}" for index in range(len(names.inputs))] + [f"{split}_targets"]
        return _call(f"{split} = ", [f'data["{key}"]' for key in keys])

    return f'''\
def load_data(path: Path = DATA) -> tuple[Data, Data]:
    """({names.all}) for training and for testing."""
    data = load_file(path)
{arrays("train")}
{arrays("test")}
    return train, test'''


def _loss(loss: object, names: _Names) -> tuple[str, dict[str, float | int]]:
    """The function that takes the model's output and the targets to the mean loss, and its constants."""
    output, target = names.output, names.target
    constants: dict[str, float | int] = {}
    match loss:
        case CrossEntropy():
            title = "Softmax cross-entropy, averaged over all predicted positions."
            value = f"optax.softmax_cross_entropy_with_integer_labels({output}, {target}).mean()"
        case BinaryCrossEntropy():
            title = "Sigmoid cross-entropy, averaged over all elements."
            value = f"optax.sigmoid_binary_cross_entropy({output}, {target}).mean()"
        case MeanSquaredError():
            title = "Squared error, averaged over all elements."
            value = f"optax.squared_error({output}, {target}).mean()"
        case MeanAbsoluteError():
            title = "Absolute error, averaged over all elements."
            value = f"jnp.abs({output} - {target}).mean()"
        case Huber():
            title = "Huber loss, averaged over all elements."
            value = f"optax.huber_loss({output}, {target}, delta=HUBER_DELTA).mean()"
            constants["HUBER_DELTA"] = loss.delta
        case _:
            known = "CrossEntropy, BinaryCrossEntropy, MeanSquaredError, MeanAbsoluteError or Huber"
            raise UnsupportedError(f"JAX cannot train with the loss {loss!r}: expected {known} of assay.nn")
    head = f"def loss_function({output}: jax.Array, {target}: jax.Array) -> jax.Array:"
    return f'{head}\n    """{title}"""\n    return {value}', constants


def _schedule(schedule: Schedule) -> tuple[str, str, dict[str, float | int]]:
    """The function that makes the schedule ("" for a constant rate), the optimizer's argument, and the constants."""
    constants: dict[str, float | int]
    match schedule:
        case Constant() | Warmup(steps=0):
            return "", "LEARNING_RATE", {}
        case Cosine(warmup=0):
            title = "Half a cosine from LEARNING_RATE down to FINAL_FACTOR of it at TOTAL_STEPS."
            value = "optax.cosine_decay_schedule(LEARNING_RATE, decay_steps=TOTAL_STEPS, alpha=FINAL_FACTOR)"
            constants = {"TOTAL_STEPS": schedule.steps, "FINAL_FACTOR": schedule.final}
        case Cosine():
            title = "Linear warm-up to LEARNING_RATE, then half a cosine down to FINAL_FACTOR of it at TOTAL_STEPS."
            value = (
                "optax.warmup_cosine_decay_schedule(\n"
                "        init_value=LEARNING_RATE / (WARMUP_STEPS + 1),\n"
                "        peak_value=LEARNING_RATE,\n"
                "        warmup_steps=WARMUP_STEPS,\n"
                "        decay_steps=TOTAL_STEPS,\n"
                "        end_value=FINAL_FACTOR * LEARNING_RATE,\n"
                "    )"
            )
            constants = {
                "WARMUP_STEPS": schedule.warmup,
                "TOTAL_STEPS": schedule.steps,
                "FINAL_FACTOR": schedule.final,
            }
        case Step():
            title = "LEARNING_RATE, multiplied by DECAY_GAMMA after every DECAY_EVERY steps."
            value = "optax.exponential_decay(LEARNING_RATE, DECAY_EVERY, DECAY_GAMMA, staircase=True)"
            constants = {"DECAY_EVERY": schedule.every, "DECAY_GAMMA": schedule.gamma}
        case Warmup():
            title = "Linear warm-up over WARMUP_STEPS, then LEARNING_RATE."
            value = "optax.linear_schedule(LEARNING_RATE / (WARMUP_STEPS + 1), LEARNING_RATE, WARMUP_STEPS)"
            constants = {"WARMUP_STEPS": schedule.steps}
        case _:
            known = "Constant, Cosine, Step or Warmup"
            raise UnsupportedError(f"JAX cannot train with the schedule {schedule!r}: expected {known} of assay.nn")
    body = f"    return {value}"
    if "cosine_decay_schedule(LEARNING_RATE" not in value:
        body = (
            f"    schedule = {value}\n"
            "    # With the count as a float, because JAX divides integers in float32 even among float64.\n"
            "    return lambda count: schedule(jnp.asarray(count, float))"
        )
    return f'def learning_rate() -> optax.Schedule:\n    """{title}"""\n{body}', "learning_rate()", constants


def _optimizer(optimizer: Optimizer, rate: str, scheduled: bool) -> tuple[str, dict[str, float | int]]:
    """`make_optimizer`, and its constants."""
    steps: list[str] = []
    title, rules, constants = _rule(optimizer, rate)
    if optimizer.clip is not None:
        steps.append("optax.clip_by_global_norm(CLIP_NORM)")
        constants["CLIP_NORM"] = optimizer.clip
        title += ", on clipped gradients"
    if isinstance(optimizer, SGD) and optimizer.weight_decay:
        steps.append("optax.add_decayed_weights(WEIGHT_DECAY)")
        constants["WEIGHT_DECAY"] = optimizer.weight_decay
    steps.extend(rules)
    if scheduled:
        title += ", at a scheduled rate"
    head = f'def make_optimizer() -> optax.GradientTransformation:\n    """{title}."""\n'
    value = f"    return {steps[0]}" if len(steps) == 1 else _call("return optax.chain", steps)
    local = _SCALE_BY_ADAM if isinstance(optimizer, Adam) else ""
    return local + head + value, constants


_SCALE_BY_ADAM = '''\
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


'''


def _rule(optimizer: Optimizer, rate: str) -> tuple[str, list[str], dict[str, float | int]]:
    """The optimizer's name for a reader, the Optax transformations, and the constants."""
    match optimizer:
        case SGD():
            decays = " with weight decay" if optimizer.weight_decay else ""
            if not optimizer.momentum:
                return f"SGD{decays}", [f"optax.sgd({rate})"], {}
            kind, extra = ("Nesterov", ", nesterov=True") if optimizer.nesterov else ("classical", "")
            rule = f"optax.sgd({rate}, momentum=MOMENTUM{extra})"
            return (
                f"SGD with {kind} momentum{decays and ' and weight decay'}",
                [rule],
                {"MOMENTUM": optimizer.momentum},
            )
        case Adam():
            constants = {"BETA_1": optimizer.beta_1, "BETA_2": optimizer.beta_2, "EPSILON": optimizer.epsilon}
            if not isinstance(optimizer, AdamW):
                return "Adam", ["scale_by_adam()", f"optax.scale_by_learning_rate({rate})"], dict(constants)
            return (
                "AdamW: every parameter decays",
                [
                    "scale_by_adam()",
                    "optax.add_decayed_weights(WEIGHT_DECAY)",
                    f"optax.scale_by_learning_rate({rate})",
                ],
                constants | {"WEIGHT_DECAY": optimizer.weight_decay},
            )
        case RMSprop():
            rule = f"optax.rmsprop({rate}, decay=RHO, eps=EPSILON, eps_in_sqrt=False)"
            return "RMSprop, epsilon outside the root", [rule], {"RHO": optimizer.rho, "EPSILON": optimizer.epsilon}
        case _:
            known = "SGD, Adam, AdamW or RMSprop"
            raise UnsupportedError(f"JAX cannot train with the optimizer {optimizer!r}: expected {known} of assay.nn")


_MAKE_STATE = '''\
def make_state(model: nnx.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step. Its arrays are copies, because a compiled step gives its state's memory away."""
    _, *parts = nnx.split(model, nnx.Param, ...)
    parameters, statistics = (jax.tree.map(jnp.copy, nnx.to_pure_dict(part)) for part in parts)
    return TrainState(parameters, statistics, optimizer.init(parameters))'''


def _train_step(names: _Names) -> str:
    head = _signature("    def train_step", ["state: TrainState", *names.typed], "tuple[TrainState, jax.Array]")
    return f'''\
def make_train_step(
    model: nnx.Module, optimizer: optax.GradientTransformation, mode: str = "jit"
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """step(state, *inputs, {names.target}) → (new state, loss): forward, loss, backward and update as one."""
    model.train()
    graphdef = nnx.graphdef(model)

{head}
        def forward(parameters: dict[str, Any]) -> tuple[jax.Array, dict[str, Any]]:
            network = nnx.merge(graphdef, parameters, state.statistics, copy=True)
            loss = loss_function(network({", ".join(names.inputs)}){names.first}, {names.target})
            return loss, nnx.to_pure_dict(nnx.state(network, nnx.Not(nnx.Param)))

        (loss, statistics), gradients = jax.value_and_grad(forward, has_aux=True)(state.parameters)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        return TrainState(parameters, statistics, optimizer_state), loss

    return jax.jit(train_step, donate_argnums=0) if mode == "jit" else train_step'''


def _predict(names: _Names) -> str:
    arguments = [f"{name}: jax.Array" for name in names.inputs]
    head = _signature("    def predict", ["state: TrainState", *arguments], "jax.Array")
    return f'''\
def make_predict(model: nnx.Module, mode: str = "jit") -> Callable[..., jax.Array]:
    """predict(state, {", ".join(names.inputs)}) → {names.output} in evaluation mode."""
    model.eval()
    graphdef = nnx.graphdef(model)

{head}
        return nnx.merge(graphdef, state.parameters, state.statistics, copy=True)({", ".join(names.inputs)}){names.first}

    return jax.jit(predict) if mode == "jit" else predict'''


@dataclass(frozen=True)
class _Metric:
    """How a metric is computed and printed."""

    title: str  # as printed
    functions: tuple[str, ...]  # helpers, then `evaluate`
    needs_math: bool = False


_AUC = '''\
def area_under_curve(scores: np.ndarray, outcomes: np.ndarray) -> float:
    """The probability that a positive example scores above a negative one; ties count one half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = outcomes > 0.5
    positives, negatives = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))'''


def _metric(plan: TrainingPlan, names: _Names) -> _Metric:
    output, target = names.output, names.target
    loss = plan.training.loss
    helpers: tuple[str, ...] = ()
    needs_math = False
    match plan.training.metric:
        case "accuracy" if isinstance(loss, CrossEntropy):
            title, meaning = "accuracy", f"Accuracy: how often the largest logit is that of {target}."
            value = f"float(({output}.argmax(axis=-1) == {target}).mean())"
        case "accuracy" if isinstance(loss, BinaryCrossEntropy):
            title, meaning = "accuracy", "Accuracy: how often the likelier outcome is the true one."
            value = f"float((({output} > 0) == ({target} > 0.5)).mean())"
        case "auc" if isinstance(loss, BinaryCrossEntropy):
            title, meaning, helpers = "AUC", "The area under the receiver operating characteristic.", (_AUC,)
            value = f"area_under_curve({output}.ravel(), {target}.ravel())"
        case "bits-per-character" if isinstance(loss, CrossEntropy):
            title, meaning = "bits per character", "Bits per character: the loss in base 2."
            value, needs_math = f"float(loss_function({output}, {target})) / math.log(2)", True
        case "r2" if isinstance(loss, (MeanSquaredError, MeanAbsoluteError, Huber)):
            title, meaning = "R²", f"R²: the share of the variance of {target} that is explained."
            value = f"float(1 - (({target} - {output}) ** 2).sum() / (({target} - {target}.mean(axis=0)) ** 2).sum())"
        case "loss":
            title, meaning, value = "loss", "The mean loss.", f"float(loss_function({output}, {target}))"
        case metric:
            raise UnsupportedError(
                f"the metric {metric!r} means nothing with the loss {type(loss).__name__}: choose accuracy for a"
                " cross-entropy, auc for BinaryCrossEntropy, bits-per-character for CrossEntropy, r2 for a regression"
                " loss, or loss"
            )
    evaluate = f'''\
def evaluate(predict: Callable[..., jax.Array], state: TrainState, test: Data) -> float:
    """{meaning}"""
    *inputs, {target} = test
    batches = range(0, len({target}), BATCH_SIZE)
    {output} = np.concatenate([predict(state, *(array[i : i + BATCH_SIZE] for array in inputs)) for i in batches])
    return {value}'''
    return _Metric(title, (*helpers, evaluate), needs_math)


def _train(metric: _Metric) -> str:
    return f'''\
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
        print(f"epoch {{epoch}}: loss {{mean_loss:.4f}}, test {metric.title} {{metric:.4f}}, {{seconds:.1f}} s")
    nnx.update(model, state.parameters, state.statistics)
    return model'''


_SAVE = '''\
def save(model: nnx.Module, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    state = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    save_file({".".join(map(str, name)): np.asarray(variable[...]) for name, variable in state}, path)'''

_MAIN = """\
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("jit", "eager"), default="jit")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    options = parser.parse_args()
    model = train(options.mode, options.epochs, options.seed)
    if options.save:
        save(model, options.save)"""

_LAST = """\
if __name__ == "__main__":
    main()"""


def _call(head: str, arguments: list[str]) -> str:
    """`head(a, b)` in the body of a function, broken as a formatter would if it is too long."""
    indent = " " * 4
    line = f"{indent}{head}({', '.join(arguments)})"
    if len(line) <= LINE_LENGTH:
        return line
    inner = f"{indent * 2}{', '.join(arguments)}"
    if head.endswith("chain") or len(inner) > LINE_LENGTH:
        inner = ",\n".join(f"{indent * 2}{argument}" for argument in arguments) + ","
    return f"{indent}{head}(\n{inner}\n{indent})"


def _signature(head: str, arguments: list[str], returns: str) -> str:
    """`head(arguments) -> returns:`, broken as a formatter would if it is too long."""
    indent = " " * (len(head) - len(head.lstrip()))
    line = f"{head}({', '.join(arguments)}) -> {returns}:"
    if len(line) <= LINE_LENGTH:
        return line
    inner = f"{indent}    {', '.join(arguments)}"
    if len(inner) > LINE_LENGTH:
        inner = ",\n".join(f"{indent}    {argument}" for argument in arguments) + ","
    return f"{head}(\n{inner}\n{indent}) -> {returns}:"
