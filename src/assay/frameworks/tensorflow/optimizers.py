"""The source of the small optimizer that a TensorFlow package's `train.py` holds.

TensorFlow's own optimizers live in Keras. Its kernels `ResourceApplyMomentum` and `ResourceApplyAdam` do not: they take
one pass over a parameter where single operations take ten. (RMSprop's own kernel puts epsilon inside the root. Adam's
with beta_1 = 0 is RMSprop too, but for small parameters slower than the single operations.)
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.errors import UnsupportedError
from assay.nn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

Constants = dict[str, float | int]


def write_optimizer(optimizer: Optimizer, scheduled: bool) -> tuple[str, Constants]:
    """The class of the optimizer, and its constants; `scheduled` if `learning_rate(step)` gives the rate."""
    match optimizer:
        case SGD():
            rule = _sgd(optimizer, scheduled)
        case Adam():
            rule = _adam(optimizer, scheduled)
        case RMSprop():
            rule = _rmsprop(optimizer, scheduled)
        case _:
            known = "SGD, Adam, AdamW or RMSprop"
            raise UnsupportedError(
                f"TensorFlow cannot train with the optimizer {optimizer!r}: expected {known} of assay.nn"
            )
    if optimizer.clip is not None:
        rule.constants["CLIP_NORM"] = optimizer.clip
    return rule.text(type(optimizer).__name__, optimizer.clip is not None), rule.constants


_DENSE = "[tf.convert_to_tensor(g) for g in gradients]  # an embedding's are sparse"


@dataclass(frozen=True)
class _Rule:
    """An optimizer's class in pieces."""

    title: str
    slots: tuple[tuple[str, str], ...]  # what is kept for every parameter: (plural, singular)
    counts_steps: bool
    before: tuple[str, ...]  # lines of `apply` before the loop over the parameters
    update: tuple[str, ...]  # lines for one parameter
    constants: Constants

    def text(self, name: str, clipped: bool) -> str:
        kept = [f"self.{plural} = zeros_like(variables)" for plural, _ in self.slots]
        if self.counts_steps:
            kept.append("self.step = tf.Variable(0, dtype=tf.int64, trainable=False)")
        clip = ["gradients, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)"] if clipped else []
        loop = ", ".join(["parameter", *(singular for _, singular in self.slots), "gradient"])
        over = ", ".join(["self.parameters", *(f"self.{plural}" for plural, _ in self.slots), "gradients"])
        blocks = {
            f"class {name}(tf.Module):": (f'"""{self.title}."""',),
            "\n    def __init__(self, variables: Sequence[tf.Variable]) -> None:": (
                "    super().__init__()",
                "    self.parameters = list(variables)",
                *(f"    {line}" for line in kept),
            ),
            "\n    def apply(self, gradients: Sequence[tf.Tensor]) -> None:": (
                f"    gradients = {_DENSE}",
                *(f"    {line}" for line in (*clip, *self.before)),
                f"    together = zip({over}, strict=True)",
                f"    for {loop} in together:",
                *(f"        {line}" for line in self.update),
                *(["    self.step.assign_add(1)"] if self.counts_steps else []),
            ),
        }
        text = "\n".join(line for head, lines in blocks.items() for line in (head, *(f"    {line}" for line in lines)))
        return f"{_ZEROS_LIKE}\n\n\n{text}" if self.slots else text


_ZEROS_LIKE = '''\
def zeros_like(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """What an optimizer keeps beside each variable, before the first step."""
    return [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]'''


def _rate_line(scheduled: bool) -> str:
    """How `rate` comes about where nothing but the schedule changes it."""
    if not scheduled:
        return "rate = tf.constant(LEARNING_RATE, gradients[0].dtype)"
    return "rate = tf.cast(learning_rate(tf.cast(self.step, tf.float64)), gradients[0].dtype)"


def _sgd(optimizer: SGD, scheduled: bool) -> _Rule:
    title = "Gradient descent"
    update: list[str] = []
    constants: Constants = {}
    if optimizer.weight_decay:
        constants["WEIGHT_DECAY"] = optimizer.weight_decay
        update.append("gradient += WEIGHT_DECAY * parameter")
    if not optimizer.momentum:
        title += " with weight decay" if optimizer.weight_decay else ""
        update.append("parameter.assign_sub(rate * gradient)")
        return _Rule(title, (), scheduled, (_rate_line(scheduled),), tuple(update), constants)
    kind = "Nesterov momentum" if optimizer.nesterov else "momentum"
    title += f" with {kind}{' and weight decay' if optimizer.weight_decay else ''}"
    constants = {"MOMENTUM": optimizer.momentum, **constants}
    used = "gradient + MOMENTUM * velocity" if optimizer.nesterov else "velocity"
    update += [
        "# One kernel: velocity = MOMENTUM * velocity + gradient,",
        f"# parameter -= rate * {f'({used})' if optimizer.nesterov else used}.",
        "tf.raw_ops.ResourceApplyMomentum(",
        "    var=parameter.handle,",
        "    accum=velocity.handle,",
        "    lr=rate,",
        "    grad=gradient,",
        "    momentum=MOMENTUM,",
        *(["    use_nesterov=True,"] if optimizer.nesterov else []),
        ")",
    ]
    slots = (("velocities", "velocity"),)
    return _Rule(title, slots, scheduled, (_rate_line(scheduled),), tuple(update), constants)


def _adam(optimizer: Adam, scheduled: bool) -> _Rule:
    constants: Constants = {
        "BETA_1": optimizer.beta_1,
        "BETA_2": optimizer.beta_2,
        "EPSILON": optimizer.epsilon,
    }
    rate = "rate" if scheduled else "LEARNING_RATE"
    before = [
        "step, dtype = tf.cast(self.step, tf.float64), gradients[0].dtype",
        *(["rate = learning_rate(step)"] if scheduled else []),
        "# With the betas as the kernel rounds them: 1 - 0.999 in float32 is 1e-5 off, so the correction must be too.",
        "beta_1, beta_2 = tf.unstack(tf.cast(tf.constant((BETA_1, BETA_2), dtype), tf.float64))",
        "correction = tf.sqrt(1 - beta_2 ** (step + 1))",
        "# The kernel adds epsilon before the bias correction: scaled by it, it is as if added after.",
        f"adam_rate = tf.cast({rate} * correction / (1 - beta_1 ** (step + 1)), dtype)",
        "epsilon = tf.cast(EPSILON * correction, dtype)",
    ]
    update = [
        "tf.raw_ops.ResourceApplyAdam(",
        "    var=parameter.handle,",
        "    m=mean.handle,",
        "    v=square.handle,",
        "    beta1_power=tf.zeros((), dtype),  # the bias correction is in adam_rate",
        "    beta2_power=0.0,",
        "    lr=adam_rate,",
        "    beta1=BETA_1,",
        "    beta2=BETA_2,",
        "    epsilon=epsilon,",
        "    grad=gradient,",
        ")",
    ]
    title = "Adam"
    if isinstance(optimizer, AdamW):
        title = "Adam with decoupled weight decay of every parameter"
        constants["WEIGHT_DECAY"] = optimizer.weight_decay
        decay = f"{rate} * WEIGHT_DECAY"
        if scheduled:
            before.append(f"decay = tf.cast({decay}, dtype)")
            decay = "decay"
        update.insert(0, f"parameter.assign_sub({decay} * parameter)")
    slots = (("means", "mean"), ("squares", "square"))
    return _Rule(title, slots, True, tuple(before), tuple(update), constants)


def _rmsprop(optimizer: RMSprop, scheduled: bool) -> _Rule:
    update = (
        "new_square = square + (1 - RHO) * (tf.square(gradient) - square)",
        "square.assign(new_square)",
        "parameter.assign_sub(rate * gradient / (tf.sqrt(new_square) + EPSILON))",
    )
    constants: Constants = {"RHO": optimizer.rho, "EPSILON": optimizer.epsilon}
    title = "RMSprop, with epsilon outside the root"
    return _Rule(title, (("squares", "square"),), scheduled, (_rate_line(scheduled),), update, constants)
