"""Writes `train.py` of a Keras package: constants, optimizer, `compile`, `fit`, and the metric on the test set.

The same text runs on every backend. Keras' own schedules say exactly what `assay.nn.optimizers` states; its optimizers
do not (where epsilon stands, what the learning rate multiplies, what weight decay means), so a written package brings
a small subclass that does, with a comment that says why.
"""

from __future__ import annotations

from collections.abc import Iterator

from assay.errors import ModelError
from assay.frameworks.base import TrainingPlan
from assay.nn import losses, optimizers
from assay.write.results import access

LINE_LENGTH = 120


def write_training(plan: TrainingPlan) -> str:
    """The source of `train.py` for this plan."""
    optimizer = plan.training.optimizer
    local = _optimizer_class(plan)
    sections = [
        _imports(plan, uses_ops=bool(local)),
        "\n".join(f"{name} = {value}" for name, value in _constants(plan)),
        'DATA = Path(__file__).with_name("data.safetensors")',
        *([_class_source(plan, local)] if local else []),
        _load_data(plan),
        _make_optimizer(optimizer, local),
        _compile_model(plan),
        *([_make_trainer(plan)] if _needs_trainer(plan) else []),
        *_evaluate(plan),
        _SAVE,
        _main(plan),
    ]
    head, constants, data, *functions = sections
    return head + "\n\n" + constants + "\n\n" + data + "\n\n\n" + "\n\n\n".join(functions) + "\n\n\n" + _LAST_LINES


_LAST_LINES = """if __name__ == "__main__":
    main()
"""


def _several_inputs(plan: TrainingPlan) -> bool:
    return len(plan.inputs) > 1


def _needs_trainer(plan: TrainingPlan) -> bool:
    """Whether `fit` wants a model around the one that is written: for a list of inputs, or for one of its outputs."""
    return _several_inputs(plan) or plan.structure.kind != "array"


def _imports(plan: TrainingPlan, uses_ops: bool) -> str:
    metric = plan.training.metric
    needs_math = metric == "bits-per-character" or isinstance(plan.training.optimizer, optimizers.Adam)
    standard = ["import argparse", *(["import math"] if needs_math else [])]
    third_party = [
        "import keras",
        *(["import numpy as np"] if metric in ("accuracy", "auc", "r2") else []),
        *(["from keras import ops"] if uses_ops else []),
        "from safetensors.numpy import load_file, save_file",
    ]
    return "\n".join(
        [
            f'"""Trains {plan.model_name} with Keras on the data beside this file.',
            "",
            "python train.py [--mode graph|jit|xla|eager] [--epochs N] [--seed N] [--save FILE]",
            '"""',
            "",
            *standard,
            "from pathlib import Path",
            "",
            *third_party,
            "",
            "from model import load",
        ]
    )


# ---------------------------------------------------------------------------------------------------------- constants


def _constants(plan: TrainingPlan) -> Iterator[tuple[str, str]]:
    """The hyper-parameters that the source reads, in the order in which it reads them."""
    training, optimizer = plan.training, plan.training.optimizer
    yield "LEARNING_RATE", _literal(float(optimizer.learning_rate))
    yield from _schedule_constants(optimizer.schedule)
    if isinstance(optimizer, optimizers.Adam):
        yield "BETA_1", _literal(optimizer.beta_1)
        yield "BETA_2", _literal(optimizer.beta_2)
        yield "EPSILON", _literal(optimizer.epsilon)
        if isinstance(optimizer, optimizers.AdamW):
            yield "WEIGHT_DECAY", _literal(optimizer.weight_decay)
    elif isinstance(optimizer, optimizers.RMSprop):
        yield "RHO", _literal(optimizer.rho)
        yield "EPSILON", _literal(optimizer.epsilon)
    elif isinstance(optimizer, optimizers.SGD):
        if optimizer.momentum:
            yield "MOMENTUM", _literal(float(optimizer.momentum))
        if optimizer.weight_decay:
            yield "WEIGHT_DECAY", _literal(optimizer.weight_decay)
    else:
        raise ModelError(f"Keras has no {type(optimizer).__name__} here; known: SGD, Adam, AdamW, RMSprop")
    if optimizer.clip is not None:
        yield "CLIP_NORM", _literal(float(optimizer.clip))
    if isinstance(training.loss, losses.Huber):
        yield "HUBER_DELTA", _literal(training.loss.delta)
    yield "BATCH_SIZE", str(training.batch_size)
    yield "EPOCHS", str(training.epochs)
    yield "SEED", str(training.seed)


def _schedule_constants(schedule: optimizers.Schedule) -> Iterator[tuple[str, str]]:
    if isinstance(schedule, optimizers.Cosine):
        if schedule.warmup:
            yield "WARMUP_STEPS", str(schedule.warmup)
        yield "TOTAL_STEPS", str(schedule.steps)
        yield "FINAL_FACTOR", _literal(float(schedule.final))
    elif isinstance(schedule, optimizers.Step):
        yield "DECAY_EVERY", str(schedule.every)
        yield "DECAY_GAMMA", _literal(schedule.gamma)
    elif isinstance(schedule, optimizers.Warmup):
        yield "WARMUP_STEPS", str(schedule.steps)
    elif not isinstance(schedule, optimizers.Constant):
        raise ModelError(f"no schedule {type(schedule).__name__} here; known: Constant, Cosine, Step, Warmup")


def _literal(value: float) -> str:
    """`1e-8` rather than `1e-08`."""
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


# ---------------------------------------------------------------------------------------------------------- optimizer

_ADAM_STEP = """
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
"""

_RMSPROP_STEP = """
    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        v = ops.convert_to_tensor(self._velocities[index])
        rate = ops.cast(learning_rate, variable.dtype)

        v = self.rho * v + (1 - self.rho) * gradient * gradient
        self.assign(self._velocities[index], v)
        self.assign_sub(variable, rate * gradient / (ops.sqrt(v) + self.epsilon))
"""

_APPLY = """
    def apply(self, grads, trainable_variables=None):
        # TensorFlow gives an embedding's gradient in slices; their squares and norm are not those of their sum.
        grads = [ops.reshape(grad, grad.shape) if hasattr(grad, "dense_shape") else grad for grad in grads]
        super().apply(grads, trainable_variables)
"""

_SGD_L2 = """
    def __init__(self, learning_rate, l2, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.l2 = l2

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
"""


def _optimizer_class(plan: TrainingPlan) -> str:
    """The name of the optimizer class that the package brings; empty where Keras' own says the same."""
    optimizer = plan.training.optimizer
    if isinstance(optimizer, optimizers.SGD) and not _sgd_differs(optimizer) and optimizer.clip is None:
        return ""
    return type(optimizer).__name__


def _sgd_differs(optimizer: optimizers.SGD) -> bool:
    """Whether Keras' own SGD means something else: under a constant rate its momentum is the same."""
    moving = bool(optimizer.momentum) and not isinstance(optimizer.schedule, optimizers.Constant)
    return moving or bool(optimizer.weight_decay)


def _class_source(plan: TrainingPlan, name: str) -> str:
    optimizer = plan.training.optimizer
    if isinstance(optimizer, optimizers.Adam):
        doc, body = f"{name} that adds epsilon after the bias correction; Keras' own adds it before.", _ADAM_STEP
    elif isinstance(optimizer, optimizers.RMSprop):
        doc, body = "RMSprop that adds epsilon to the root; Keras' own adds it under the root.", _RMSPROP_STEP
    else:
        assert isinstance(optimizer, optimizers.SGD)
        doc, body = _sgd_source(optimizer)
    body += _APPLY
    return (
        f'@keras.saving.register_keras_serializable(package="{_package(plan)}")\n'
        f"class {name}(keras.optimizers.{name}):\n"
        f'    """{doc}"""\n' + body.rstrip("\n")
    )


def _package(plan: TrainingPlan) -> str:
    return plan.model_name.replace("-", "_")


def _sgd_source(optimizer: optimizers.SGD) -> tuple[str, str]:
    """Docstring and methods of SGD where Keras' own differs in momentum, in weight decay or in clipping slices."""
    if not _sgd_differs(optimizer):
        return "SGD that clips an embedding's gradient by its true norm on TensorFlow, too.", ""
    reasons, lines = [], ["", "    def update_step(self, gradient, variable, learning_rate):"]
    if optimizer.momentum:
        reasons.append("multiplies the momentum by the rate when it is used (Keras' own: when it is gathered)")
        lines.append("        index = self._get_variable_index(variable)")
    lines += [
        "        rate = ops.cast(learning_rate, variable.dtype)",
        "",
    ]
    if optimizer.weight_decay:
        reasons.append("adds weight decay to the gradient (Keras' own: to the step)")
        lines.append("        gradient = gradient + self.l2 * ops.convert_to_tensor(variable)")
    step = "gradient"
    if optimizer.momentum:
        lines.append("        velocity = self.momentum * ops.convert_to_tensor(self.momentums[index]) + gradient")
        lines.append("        self.assign(self.momentums[index], velocity)")
        step = "(gradient + self.momentum * velocity)" if optimizer.nesterov else "velocity"
    lines.append(f"        self.assign_sub(variable, rate * {step})")
    doc = "SGD that " + ",\n    and ".join(reasons) + "." + ("\n    " if len(reasons) > 1 else "")
    return doc, (_SGD_L2 if optimizer.weight_decay else "") + "\n".join(lines) + "\n"


def _make_optimizer(optimizer: optimizers.Optimizer, local: str) -> str:
    class_name = local or f"keras.optimizers.{type(optimizer).__name__}"
    arguments = []
    if isinstance(optimizer, optimizers.Adam):
        arguments = ["beta_1=BETA_1", "beta_2=BETA_2", "epsilon=EPSILON"]
        if isinstance(optimizer, optimizers.AdamW):
            arguments.append("weight_decay=WEIGHT_DECAY")
    elif isinstance(optimizer, optimizers.RMSprop):
        arguments = ["rho=RHO", "epsilon=EPSILON"]
    elif isinstance(optimizer, optimizers.SGD):
        arguments = ["l2=WEIGHT_DECAY"] if optimizer.weight_decay else []
        arguments += ["momentum=MOMENTUM"] if optimizer.momentum else []
        arguments += ["nesterov=True"] if optimizer.momentum and optimizer.nesterov else []
    if optimizer.clip is not None:
        arguments.append("global_clipnorm=CLIP_NORM")
    rate, lines = _schedule(optimizer.schedule)
    call = _call(f"return {class_name}", [rate, *arguments])
    return "\n".join(["def make_optimizer():", f'    """{_optimizer_words(optimizer)}."""', *lines, *call])


def _call(beginning: str, arguments: list[str]) -> list[str]:
    """A call in a function's body, broken over lines where it is long, as a formatter breaks it."""
    inside = ", ".join(arguments)
    if len(inside) + len(beginning) + 6 <= LINE_LENGTH:
        return [f"    {beginning}({inside})"]
    if len(inside) + 8 <= LINE_LENGTH:
        return [f"    {beginning}(", f"        {inside}", "    )"]
    return [f"    {beginning}(", *(f"        {argument}," for argument in arguments), "    )"]


def _optimizer_words(optimizer: optimizers.Optimizer) -> str:
    """What the optimizer is, in words for a docstring."""
    words = type(optimizer).__name__
    if isinstance(optimizer, optimizers.SGD) and optimizer.momentum:
        words += " with Nesterov momentum" if optimizer.nesterov else " with momentum"
    schedule = optimizer.schedule
    if isinstance(schedule, optimizers.Cosine):
        words += ", its rate falling by a cosine" + (" after a warm-up" if schedule.warmup else "")
    elif isinstance(schedule, optimizers.Step):
        words += ", its rate falling in steps"
    elif isinstance(schedule, optimizers.Warmup):
        words += " whose rate is warmed up linearly"
    if optimizer.clip is not None:
        words += ", gradients clipped by global norm"
    return words


def _schedule(schedule: optimizers.Schedule) -> tuple[str, list[str]]:
    """The expression that gives the rate, and the lines before it."""
    first = "LEARNING_RATE"
    if isinstance(schedule, optimizers.Cosine) and schedule.warmup:
        name, first = "CosineDecay", "LEARNING_RATE / (WARMUP_STEPS + 1)"
        arguments = ["decay_steps=TOTAL_STEPS - WARMUP_STEPS", "alpha=FINAL_FACTOR"]
        arguments += ["warmup_target=LEARNING_RATE", "warmup_steps=WARMUP_STEPS"]
    elif isinstance(schedule, optimizers.Cosine):
        name, arguments = "CosineDecay", ["decay_steps=TOTAL_STEPS", "alpha=FINAL_FACTOR"]
    elif isinstance(schedule, optimizers.Step):
        name, arguments = "ExponentialDecay", ["decay_steps=DECAY_EVERY", "decay_rate=DECAY_GAMMA", "staircase=True"]
    elif isinstance(schedule, optimizers.Warmup):
        name, first = "PolynomialDecay", "LEARNING_RATE / (WARMUP_STEPS + 1)"
        arguments = ["decay_steps=WARMUP_STEPS", "end_learning_rate=LEARNING_RATE"]
    else:
        return first, []
    return "rate", _call(f"rate = keras.optimizers.schedules.{name}", [first, *arguments])


# ---------------------------------------------------------------------------------------------- data, loss and metric


def _load_data(plan: TrainingPlan) -> str:
    if _several_inputs(plan):
        count = len(plan.inputs)
        train = f'[arrays[f"train_inputs_{{i}}"] for i in range({count})]'
        test = f'[arrays[f"test_inputs_{{i}}"] for i in range({count})]'
        body = [
            f"    train_inputs = {train}",
            f"    test_inputs = {test}",
            '    return train_inputs, arrays["train_targets"], test_inputs, arrays["test_targets"]',
        ]
    else:
        names = ("train_inputs_0", "train_targets", "test_inputs_0", "test_targets")
        body = ["    return " + ", ".join(f'arrays["{name}"]' for name in names)]
    return "\n".join(
        [
            "def load_data():",
            '    """Inputs and targets to train on, inputs and targets to test on."""',
            "    arrays = load_file(DATA)",
            *body,
        ]
    )


def _loss(loss: object) -> str:
    match loss:
        case losses.CrossEntropy():
            return "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
        case losses.BinaryCrossEntropy():
            return "keras.losses.BinaryCrossentropy(from_logits=True)"
        case losses.MeanSquaredError():
            return "keras.losses.MeanSquaredError()"
        case losses.MeanAbsoluteError():
            return "keras.losses.MeanAbsoluteError()"
        case losses.Huber():
            return "keras.losses.Huber(HUBER_DELTA)"
    raise ModelError(f"Keras has no loss {type(loss).__name__} here; known: the classes of assay.nn.losses")


def _compile_model(plan: TrainingPlan) -> str:
    return f'''def compile_model(model, mode=None):
    """Makes forward pass, loss, backward pass and optimizer one step; `mode` None leaves it to Keras how to run it."""
    model.compile(
        optimizer=make_optimizer(),
        loss={_loss(plan.training.loss)},
        run_eagerly=mode == "eager",
        jit_compile="auto" if mode is None else mode in ("jit", "xla"),
    )'''


def _make_trainer(plan: TrainingPlan) -> str:
    read = access(plan.structure, 0)
    alone = ", and gives the output that the loss reads" if read else ""
    if _several_inputs(plan):
        return f'''def make_trainer(model, inputs):
    """A functional model over `model`, sharing its weights, that takes its inputs as one list{alone}."""
    placeholders = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in inputs]
    return keras.Model(placeholders, model(*placeholders){read})'''
    return f'''def make_trainer(model, inputs):
    """A functional model over `model`, sharing its weights, that gives the output which the loss reads alone."""
    placeholder = keras.Input(inputs.shape[1:], dtype=inputs.dtype.name)
    return keras.Model(placeholder, model(placeholder){read})'''


_AREA_UNDER_CURVE = '''def area_under_curve(scores, labels):
    """The chance that a positive case scores above a negative one; ties count half (Mann and Whitney, 1947)."""
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    positives = int(np.sum(labels == 1))
    negatives = labels.size - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))'''


def _evaluate(plan: TrainingPlan) -> list[str]:
    """The functions that compute the metric; the last is `evaluate`."""
    predict = "    outputs = model.predict(inputs, batch_size=BATCH_SIZE, verbose=0)"
    loss = "model.evaluate(inputs, targets, batch_size=BATCH_SIZE, verbose=0)"
    metric, before = plan.training.metric, []
    if metric == "accuracy":
        doc = "The share of the cases that are classified rightly."
        guess = "outputs.argmax(-1) == targets"
        if not isinstance(plan.training.loss, losses.CrossEntropy):
            guess = "(outputs > 0) == (targets > 0.5)"
        body = [predict, f"    return float(np.mean({guess}))"]
    elif metric == "auc":
        before = [_AREA_UNDER_CURVE]
        doc = "The area under the receiver operating characteristic."
        body = [predict, "    return area_under_curve(outputs.ravel(), targets.ravel())"]
    elif metric == "r2":
        doc = "The share of the targets' variance that is explained."
        body = [
            predict,
            "    return float(1 - np.sum((targets - outputs) ** 2) / np.sum((targets - targets.mean(0)) ** 2))",
        ]
    elif metric == "bits-per-character":
        doc = "The mean cross-entropy in bits."
        body = [f"    return {loss} / math.log(2)"]
    elif metric == "loss":
        doc = "The mean loss."
        body = [f"    return {loss}"]
    else:
        raise ModelError(f"unknown metric {metric!r}; known: accuracy, auc, bits-per-character, r2, loss")
    return [*before, "\n".join(["def evaluate(model, inputs, targets):", f'    """{doc}"""', *body])]


_SAVE = '''\
def save(model, path):
    """Keeps the weights as they are now, under the names in weights.safetensors."""
    save_file({variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}, path)'''


def _main(plan: TrainingPlan) -> str:
    model = "make_trainer(load(), train_inputs)" if _needs_trainer(plan) else "load()"
    return f"""def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=["graph", "jit", "xla", "eager"], help="default: what Keras chooses")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the trained weights in this safetensors file")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    train_inputs, train_targets, test_inputs, test_targets = load_data()
    model = {model}
    compile_model(model, arguments.mode)
    model.fit(train_inputs, train_targets, batch_size=BATCH_SIZE, epochs=arguments.epochs, verbose=2)
    print(f"test {plan.training.metric}: {{evaluate(model, test_inputs, test_targets):.4f}}")
    if arguments.save:
        save(model, arguments.save)"""
