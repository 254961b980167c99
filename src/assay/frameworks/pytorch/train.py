"""The source of a PyTorch package's `train.py`: autograd, torch.optim, and torch.compile for the mode of that name.

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
    argparse area_under_curve batch batches below Callable clip_gradients compute_loss data epoch epochs evaluate F
    factor figure gradient gradients LambdaLR load load_data load_file logits loss loss_of losses main make_optimizer
    make_train_step math mode model negative norm not_above optimizer Optimizer options order parser parts Path
    positive predictions progress save save_file scale scheduler scores seconds split start step Tensor test time torch train update
    WEIGHTS wrong
"""

Constants = dict[str, float | int]


@dataclass(frozen=True)
class _Names:
    """Identifiers of the text, all different."""

    inputs: tuple[str, ...]
    target: str
    output: str  # what the model returns
    output_rank: int
    model: str  # its class
    first: str  # behind a call of the model: the output that the loss reads

    @property
    def arguments(self) -> str:
        return ", ".join((*self.inputs, self.target))

    @property
    def typed(self) -> list[str]:
        return [f"{name}: Tensor" for name in (*self.inputs, self.target)]


@dataclass(frozen=True)
class _Rule:
    """The optimizer's own rule: how it is made, what is imported for it, and the constants that it reads."""

    call: str
    title: str
    constants: Constants
    is_fused: bool  # one native kernel per parameter, which leaves torch.compile nothing to gain
    comments: tuple[str, ...] = ()


def write_training(plan: TrainingPlan) -> str:
    """The text of `train.py` for this plan.

    Raises `UnsupportedError` for a loss, an optimizer or a schedule that is not of `assay.nn`, and for a metric that
    means nothing for the loss.
    """
    names = _names(plan)
    optimizer = plan.training.optimizer
    loss, loss_constants = _loss(plan.training.loss, names)
    schedule, schedule_constants = _schedule(optimizer.schedule)
    rule = _rule(optimizer, bool(schedule))
    constants: Constants = {
        "LEARNING_RATE": optimizer.learning_rate,
        **rule.constants,
        **({} if optimizer.clip is None else {"CLIP_NORM": optimizer.clip}),
        **schedule_constants,
        **loss_constants,
        "BATCH_SIZE": plan.training.batch_size,
        "EPOCHS": plan.training.epochs,
        "SEED": plan.training.seed,
    }
    title, metric = _metric(plan, names)
    functions = [
        _load_data(names),
        _compute_loss(names, loss),
        *([schedule] if schedule else []),
        _make_optimizer(names, rule),
        *([_CLIP] if optimizer.clip is not None else []),
        _make_train_step(names, rule, bool(schedule), optimizer.clip is not None),
        *metric,
        _train(names, title),
        _SAVE % names.model,
        _MAIN,
    ]
    body = "\n\n\n".join([*functions, _LAST]) + "\n"
    return f"{_header(plan, rule, body)}\n\n{_constants(constants)}\n\n\n{body}"


def _names(plan: TrainingPlan) -> _Names:
    taken = {*_OWN_NAMES.split(), plan.class_name}

    def distinct(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    inputs = tuple(distinct(name) for name in plan.inputs)
    target = distinct(plan.target if plan.target not in taken else f"target_{plan.target}")
    classifies = isinstance(plan.training.loss, (CrossEntropy, BinaryCrossEntropy))
    output = "logits" if classifies else "predictions"
    return _Names(inputs, target, output, len(plan.output_shape), plan.class_name, access(plan.structure, 0))


def _header(plan: TrainingPlan, rule: _Rule, body: str) -> str:
    optimizer_class = rule.call.partition("(")[0]
    imported = ", ".join(sorted([optimizer_class, "Optimizer"], key=lambda name: (not name.isupper(), name)))
    lines = [
        f'"""Trains {plan.model_name} with PyTorch on the data beside this file.',
        "",
        "python train.py [--mode eager|compile] [--epochs N] [--seed N] [--save FILE]",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import argparse",
        *(["import math"] if "math." in body else []),
        "import time",
        "from collections.abc import Callable",
        "from pathlib import Path",
        "",
        "import torch",
        *(["import torch.nn.functional as F"] if "F." in body else []),
        "from safetensors.torch import load_file, save_file",
        "from torch import Tensor",
        f"from torch.optim import {imported}",
        *(["from torch.optim.lr_scheduler import LambdaLR"] if "LambdaLR(" in body else []),
        "",
        f"from model import {', '.join(sorted(['WEIGHTS', plan.class_name], key=_by_kind))}, load",
    ]
    return "\n".join(lines)


def _by_kind(name: str) -> tuple[bool, str]:
    """The order in which sorted imports have names: those in capitals first."""
    return not name.isupper(), name


def _constants(constants: Constants) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in constants.items())


def _load_data(names: _Names) -> str:
    arrays = [f'data[f"{{part}}_inputs_{index}"]' for index in range(len(names.inputs))] + ['data[f"{part}_targets"]']
    result = ", ".join(["Tensor"] * len(arrays))
    return f'''\
def load_data(part: str) -> tuple[{result}]:
    """({names.arguments}) of one part of the data, "train" or "test"."""
    data = load_file(Path(__file__).with_name("data.safetensors"))
    return {", ".join(arrays)}'''


def _compute_loss(names: _Names, loss: str) -> str:
    head = _signature("def compute_loss", [f"model: {names.model}", *names.typed], "Tensor")
    return f"{head}\n    {names.output} = model({', '.join(names.inputs)}){names.first}\n    return {loss}"


def _loss(loss: object, names: _Names) -> tuple[str, Constants]:
    """The mean loss as an expression of the model's output and the targets, and its constants."""
    y, t = names.output, names.target
    match loss:
        case CrossEntropy() if names.output_rank == 2:
            return f"F.cross_entropy({y}, {t})", {}
        case CrossEntropy():  # cross_entropy wants the classes on the second axis; they are on the last
            return f"F.cross_entropy({y}.flatten(0, -2), {t}.flatten())", {}
        case BinaryCrossEntropy():
            return f"F.binary_cross_entropy_with_logits({y}, {t})", {}
        case MeanSquaredError():
            return f"F.mse_loss({y}, {t})", {}
        case MeanAbsoluteError():
            return f"F.l1_loss({y}, {t})", {}
        case Huber():
            return f"F.huber_loss({y}, {t}, delta=HUBER_DELTA)", {"HUBER_DELTA": loss.delta}
    known = "CrossEntropy, BinaryCrossEntropy, MeanSquaredError, MeanAbsoluteError or Huber"
    raise UnsupportedError(f"PyTorch cannot train with the loss {loss!r}: expected {known} of assay.nn")


def _schedule(schedule: Schedule) -> tuple[str, Constants]:
    """The function of the step that multiplies the learning rate ("" for a constant rate), and its constants."""
    constants: Constants
    match schedule:
        case Constant() | Warmup(steps=0):
            return "", {}
        case Cosine():
            title = "half a cosine from 1 down to FINAL_FACTOR at TOTAL_STEPS"
            steps, total, lines = "step", "TOTAL_STEPS", []
            constants = {"TOTAL_STEPS": schedule.steps, "FINAL_FACTOR": schedule.final}
            if schedule.warmup:
                title = "linear up to 1, then " + title
                steps, total = "(step - WARMUP_STEPS)", "(TOTAL_STEPS - WARMUP_STEPS)"
                lines = ["if step < WARMUP_STEPS:", "    return (step + 1) / (WARMUP_STEPS + 1)"]
                constants = {"WARMUP_STEPS": schedule.warmup, **constants}
            lines += [
                f"progress = min(1.0, {steps} / {total})",
                "return FINAL_FACTOR + (1 - FINAL_FACTOR) * 0.5 * (1 + math.cos(math.pi * progress))",
            ]
        case Step():
            title = "DECAY_GAMMA once more after every DECAY_EVERY steps"
            lines = ["return DECAY_GAMMA ** (step // DECAY_EVERY)"]
            constants = {"DECAY_EVERY": schedule.every, "DECAY_GAMMA": schedule.gamma}
        case Warmup():
            title, lines = "linear up to 1, then 1", ["return min(1.0, (step + 1) / (WARMUP_STEPS + 1))"]
            constants = {"WARMUP_STEPS": schedule.steps}
        case _:
            known = "Constant, Cosine, Step or Warmup"
            raise UnsupportedError(f"PyTorch cannot train with the schedule {schedule!r}: expected {known} of assay.nn")
    body = "\n".join(f"    {line}" for line in lines)
    return f'def factor(step: int) -> float:\n    """Of the learning rate: {title}."""\n{body}', constants


def _rule(optimizer: Optimizer, is_scheduled: bool) -> _Rule:
    # The rate as a tensor: torch.compile would compile again for every new float.
    rate = "torch.tensor(LEARNING_RATE, dtype=torch.float64)" if is_scheduled else "LEARNING_RATE"
    match optimizer:
        case SGD():
            constants: Constants = {}
            arguments = ["lr=LEARNING_RATE"]
            if optimizer.momentum:
                constants["MOMENTUM"] = optimizer.momentum
                arguments += ["momentum=MOMENTUM", *(["nesterov=True"] if optimizer.nesterov else [])]
            if optimizer.weight_decay:
                constants["WEIGHT_DECAY"] = optimizer.weight_decay
                arguments.append("weight_decay=WEIGHT_DECAY")
            return _Rule(f"SGD(model.parameters(), {', '.join(arguments)}, fused=True)", "SGD", constants, True)
        case Adam():
            constants = {"BETA_1": optimizer.beta_1, "BETA_2": optimizer.beta_2, "EPSILON": optimizer.epsilon}
            arguments = ["lr=LEARNING_RATE", "betas=(BETA_1, BETA_2)", "eps=EPSILON"]
            name = "Adam"
            if isinstance(optimizer, AdamW):
                name = "AdamW"
                constants["WEIGHT_DECAY"] = optimizer.weight_decay
                arguments.append("weight_decay=WEIGHT_DECAY")
            return _Rule(f"{name}(model.parameters(), {', '.join(arguments)}, fused=True)", name, constants, True)
        case RMSprop():
            constants = {"RHO": optimizer.rho, "EPSILON": optimizer.epsilon}
            call = f"RMSprop(model.parameters(), lr={rate}, alpha=RHO, eps=EPSILON)"
            comments = ("The rate as a tensor: torch.compile would compile again for each new float.",)
            return _Rule(call, "RMSprop", constants, False, comments if is_scheduled else ())
    known = "SGD, Adam, AdamW or RMSprop"
    raise UnsupportedError(f"PyTorch cannot train with the optimizer {optimizer!r}: expected {known} of assay.nn")


def _make_optimizer(names: _Names, rule: _Rule) -> str:
    comments = "".join(f"    # {comment}\n" for comment in rule.comments)
    callee, _, rest = rule.call.partition("(")
    value = _call(f"return {callee}", rest.removesuffix(")"))
    return f"def make_optimizer(model: {names.model}) -> Optimizer:\n{comments}{value}"


_CLIP = '''\
def clip_gradients(parameters: list[Tensor]) -> None:
    """Scales all gradients alike, so that their common norm is CLIP_NORM at most (clip_grad_norm_ adds 1e-6 to it)."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    scale = (CLIP_NORM / torch.nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)'''


def _make_train_step(names: _Names, rule: _Rule, is_scheduled: bool, clips: bool) -> str:
    """What is compiled is what gains by it: forward, loss and backward, and an optimizer that has no fused kernel.

    Fused optimizers and clipping are a few native kernels already; compiled, they were slower (0.70 ms instead of 0.43
    for clipping the 52 parameters of topics-lm, 1.03 instead of 0.62 for its AdamW) and took half a minute to compile.
    """
    head = _signature(
        "def make_train_step",
        [f"model: {names.model}", "optimizer: Optimizer", 'mode: str = "eager"'],
        "Callable[..., Tensor]",
    )
    parts = ["forward", "loss", "backward", *(["clipping"] if clips else []), "optimizer"]
    parts += ["learning rate"] if is_scheduled else []
    lines = [
        head,
        f'    """step({names.arguments}) → loss: {", ".join(parts[:-1])} and {parts[-1]}."""',
        *(["    scheduler = LambdaLR(optimizer, factor)"] if is_scheduled else []),
        *(["    parameters = list(model.parameters())"] if clips else []),
        *_modes(rule),
        "",
        _signature("    def step", names.typed, "Tensor"),
        "        optimizer.zero_grad()",
        f"        loss = loss_of(model, {names.arguments})",
        "        loss.backward()",
        *(["        clip_gradients(parameters)"] if clips else []),
        "        optimizer.step()" if rule.is_fused else "        update()",
        *(["        scheduler.step()"] if is_scheduled else []),
        "        return loss.detach()",
        "",
        "    return step",
    ]
    return "\n".join(lines)


def _modes(rule: _Rule) -> list[str]:
    """What is compiled, and what runs as it is."""
    plain = {"loss_of": "compute_loss"} if rule.is_fused else {"loss_of": "compute_loss", "update": "optimizer.step"}
    return [
        f"    {', '.join(plain)} = {', '.join(plain.values())}",
        '    if mode == "compile":',
        "        # Or torch 2.13 may compile wrong gradients of max_pool2d (github.com/pytorch/pytorch/issues/185509).",
        "        torch.use_deterministic_algorithms(True)",
        "        torch.utils.deterministic.fill_uninitialized_memory = False",
        # Every batch has the same size: dynamic=False keeps torch.compile from writing one program for all sizes.
        *(f"        {name} = torch.compile({function}, dynamic=False)" for name, function in plain.items()),
    ]


_AUC = '''\
def area_under_curve(scores: Tensor, outcomes: Tensor) -> Tensor:
    """How often a positive example scores above a negative one; ties count one half."""
    positive, negative = scores[outcomes > 0.5], scores[outcomes < 0.5].sort().values
    below = torch.searchsorted(negative, positive)
    not_above = torch.searchsorted(negative, positive, right=True)
    return (below + not_above).double().mean() / (2 * len(negative))'''


def _metric(plan: TrainingPlan, names: _Names) -> tuple[str, list[str]]:
    """How the metric is called when printed; the functions that compute it, `evaluate` the last."""
    y, t, loss = names.output, names.target, plan.training.loss
    helpers: list[str] = []
    match plan.training.metric:
        case "accuracy" if isinstance(loss, CrossEntropy):
            title, meaning = "accuracy", f"Accuracy: how often the largest logit is that of {t}."
            value = f"({y}.argmax(dim=-1) == {t}).double().mean().item()"
        case "accuracy" if isinstance(loss, BinaryCrossEntropy):
            title, meaning = "accuracy", "Accuracy: how often the likelier outcome is the true one."
            value = f"(({y} > 0) == ({t} > 0.5)).double().mean().item()"
        case "auc" if isinstance(loss, BinaryCrossEntropy):
            title, meaning, helpers = "AUC", "The area under the receiver operating characteristic.", [_AUC]
            value = f"area_under_curve({y}.flatten(), {t}.flatten()).item()"
        case "bits-per-character" if isinstance(loss, CrossEntropy):
            title, meaning = "bits per character", "Bits per character: the loss in base 2."
            value = f"{_loss(loss, names)[0]}.item() / math.log(2)"
        case "r2" if isinstance(loss, (MeanSquaredError, MeanAbsoluteError, Huber)):
            title, meaning = "R²", f"R²: the share of the variance of {t} that is explained."
            value = f"1 - (F.mse_loss({y}, {t}) / {t}.var(correction=0)).item()"
        case "loss":
            title, meaning, value = "loss", "The mean loss.", f"{_loss(loss, names)[0]}.item()"
        case metric:
            raise UnsupportedError(
                f"the metric {metric!r} means nothing with the loss {type(loss).__name__}: choose accuracy for a"
                " cross-entropy, auc for BinaryCrossEntropy, bits-per-character for CrossEntropy, r2 for a regression"
                " loss, or loss"
            )
    return title, [*helpers, _evaluate(names, meaning, value)]


def _evaluate(names: _Names, meaning: str, value: str) -> str:
    head = _signature("def evaluate", [f"model: {names.model}", *names.typed], "float")
    if len(names.inputs) == 1:
        batches, call = f"{names.inputs[0]}.split(BATCH_SIZE)", "model(batch)"
    else:
        batches = f"zip({', '.join(f'{name}.split(BATCH_SIZE)' for name in names.inputs)}, strict=True)"
        call = "model(*batch)"
    call += names.first
    return f'''\
@torch.inference_mode()
{head}
    """{meaning}"""
    model.eval()
    {names.output} = torch.cat([{call} for batch in {batches}])
    return {value}'''


def _train(names: _Names, title: str) -> str:
    return f'''\
def train(mode: str = "eager", epochs: int = EPOCHS, seed: int = SEED) -> {names.model}:
    """Trains from the weights beside this file and returns the trained model."""
    torch.manual_seed(seed)
    data, test = load_data("train"), load_data("test")
    model = load()
    step = make_train_step(model, make_optimizer(model), mode)
    for epoch in range(1, epochs + 1):
        start, losses = time.perf_counter(), []
        model.train()
        order = torch.randperm(len(data[-1]))
        for i in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = order[i : i + BATCH_SIZE]
            losses.append(step(*(part[batch] for part in data)))
        loss, figure = torch.stack(losses).mean(), evaluate(model, *test)
        seconds = time.perf_counter() - start
        print(f"epoch {{epoch}}: loss {{loss:.4f}}, test {title} {{figure:.4f}}, {{seconds:.1f}} s", flush=True)
    return model'''


_SAVE = '''\
def save(model: %s, path: Path) -> None:
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    state = model.state_dict()
    save_file({name: state.get(name, array).contiguous() for name, array in load_file(WEIGHTS).items()}, path)'''

_MAIN = """\
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
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


def _call(head: str, arguments: str) -> str:
    """`head(arguments)` in the body of a function, broken as a formatter would if it is too long."""
    line = f"    {head}({arguments})"
    if len(line) <= LINE_LENGTH:
        return line
    return f"    {head}(\n        {arguments}\n    )"


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
