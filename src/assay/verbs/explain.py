"""`explain`: every place of a model where a framework, left to itself, would do something else, and what is written instead.

What a framework does by itself stands in its folder (`defaults.toml`); what the model means is read off its graph here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import onnx_ir as ir

from assay.errors import AssayError
from assay.frameworks import find
from assay.frameworks.defaults import Default, defaults
from assay.graph.calls import Call, calls_of, has_unbiased_variance
from assay.model import Model, shape_of
from assay.nn.losses import CrossEntropy
from assay.nn.optimizers import SGD, Constant, Optimizer
from assay.write import Package, write

_TWO_PASSES = "two passes over the data"
_OWN_WEIGHTS = "the model's own, in weights.safetensors"
_EXAMPLES = 3  # paths that stand for all calls of a place


@dataclass(frozen=True)
class Place:
    """One decision in a model, and the frameworks that would take it otherwise."""

    of: str  # "BatchNormalization", "Adam"
    what: str  # "epsilon"
    meant: str  # what the model has
    where: tuple[str, ...]  # the modules, or nodes, that it is decided for; empty for the training
    differs: Mapping[str, Default]  # framework → what it does by itself
    written: Mapping[str, str] = field(default_factory=dict)  # framework → the line that says what is meant

    def examples(self) -> str:
        """The modules in few words."""
        shown = ", ".join(self.where[:_EXAMPLES])
        more = len(self.where) - _EXAMPLES
        return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True)
class Meaning:
    """Something that a model decides: what, and how."""

    of: str
    what: str
    meant: str
    node: str | None = None  # the graph's node, by which the written line is found
    weight: str | None = None  # one of the layer's weights, by which its constructor is found
    path: str = ""


def explain(model: Model, frameworks: Sequence[str]) -> tuple[Place, ...]:
    """The places of a model where one of the frameworks (`pytorch`, `keras` …) would differ by itself.

    Code that cannot be written in one of them is left out; `write` says why.
    """
    groups: dict[tuple[str, str, str], list[Meaning]] = {}
    for meaning in (*_of_graph(model), *_of_training(model)):
        groups.setdefault((meaning.of, meaning.what, meaning.meant), []).append(meaning)
    packages = _packages(model, frameworks)
    found = []
    for (of, what, meant), meanings in groups.items():
        differs = {
            name: default
            for name in frameworks
            for default in defaults(name)
            if (default.of, default.what) == (of, what) and default.text() != meant
        }
        if differs:
            written = {name: line for name in differs if (line := _written(packages.get(name), meanings[0]))}
            where = tuple(dict.fromkeys(meaning.path for meaning in meanings if meaning.path))
            found.append(Place(of, what, meant, where, differs, written))
    return tuple(found)


# What the model means -------------------------------------------------------------------------------------------------


def _of_graph(model: Model) -> Iterator[Meaning]:
    for call in calls_of(model):
        path = "/".join(name for name, _ in call.scope[-1:]) or (call.nodes[0].name or call.kind)
        weight = next((value.name for value in call.weights.values()), None)
        for of, what, meant in _of_call(call):
            yield Meaning(of, what, meant, call.nodes[0].name, weight, path)
    if model.weights():
        yield Meaning("Weights", "initial weights", _OWN_WEIGHTS)


def _of_call(call: Call) -> Iterator[tuple[str, str, str]]:
    kind = call.kind.removeprefix("Functional")
    if kind in _NORMALISATIONS:
        yield kind, "epsilon", f"{call.attributes.get('epsilon', 1e-5):g}"
        yield kind, "formula of the variance", _TWO_PASSES
    if kind == "BatchNormalization":
        yield kind, "share of the running statistics that is kept", f"{call.attributes.get('momentum', 0.9):g}"
        form = "unbiased" if has_unbiased_variance(call) else "biased"
        yield kind, "running variance", f"averages the {form} variance of the batch"
    if (meaning := _MEANINGS.get(kind)) is not None:
        yield from ((kind.replace("Reshape", "Flatten"), what, meant) for what, meant in meaning(call))
    if kind.startswith("Recurrent"):
        yield "Recurrent", "first axis", "batch"


_NORMALISATIONS = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")


def _padding(call: Call) -> list[tuple[str, str]]:
    """`none`, `same` where the output is as long as the input / stride, or the numbers."""
    pads = list(call.attributes.get("pads") or [])
    if not any(pads):
        return [("padding", "none")]
    rank = len(pads) // 2
    kernel = call.attributes.get("kernel_shape") or list(shape_of(call.weights["weight"])[2:])
    dilations = call.attributes.get("dilations") or [1] * rank
    strides = call.attributes.get("strides") or [1] * rank
    wanted = [dilation * (int(size) - 1) for size, dilation in zip(kernel, dilations, strict=True)]
    even = all(
        pads[axis] == total // 2 and pads[axis + rank] == total - total // 2 for axis, total in enumerate(wanted)
    )
    return [("padding", "same" if even and set(strides) == {1} else f"{tuple(pads[:rank])} at both ends")]


def _flattened(call: Call) -> list[tuple[str, str]]:
    """The order matters where an image of more than one place becomes a row."""
    before = shape_of(call.x) if call.x.shape is not None else ()
    after = shape_of(call.y) if call.y.shape is not None else ()
    several = len(before) > 2 and len(after) == 2 and any(size != 1 for size in before[2:]) and before[1] != 1
    return [("order", "channels before places")] if several and _is_image(call.x) else []


def _is_image(value: ir.Value) -> bool:
    """Whether a value has come out of something with channels, a few steps back."""
    for _ in range(6):
        producer = value.producer()
        if producer is None:
            return False
        if producer.op_type in ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization"):
            return True
        first = next((item for item in producer.inputs if item is not None), None)
        if first is None:
            return False
        value = first
    return False


def _nearest(call: Call) -> list[tuple[str, str]]:
    if call.attributes.get("mode", "nearest") != "nearest":
        return []
    by_half = call.attributes.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    return [("nearest neighbour", "by half pixels" if by_half else "floor(i · scale), without half pixels")]


def _biases(call: Call) -> list[tuple[str, str]]:
    one = call.attributes.get("single_bias") or ("second_bias" not in call.weights and call.kind == "RecurrentLSTM")
    return [("biases", "one for each gate" if one else "two for each gate")]


_MEANINGS: Mapping[str, Callable[[Call], list[tuple[str, str]]]] = {
    "Conv": _padding,
    "ConvTranspose": lambda call: [("kernel", "flipped, as the gradient of a convolution")],
    "AveragePool": lambda call: (
        [("padding in the average", f"{call.attributes.get('count_include_pad', 0)}")]
        if any(call.attributes.get("pads") or [])
        else []
    ),
    "Gelu": lambda call: [("formula", call.attributes.get("approximate", "none"))],
    "LeakyRelu": lambda call: [("slope", f"{call.attributes.get('alpha', 0.01):g}")],
    "RecurrentLSTM": _biases,
    "RecurrentGRU": _biases,
    "Resize": _nearest,
    "Embedding": lambda call: [("initial weights", _OWN_WEIGHTS)],
    "Flatten": _flattened,
    "Reshape": _flattened,
}


def _of_training(model: Model) -> Iterator[Meaning]:
    if model.training is None:
        return
    optimizer = model.training.optimizer
    for name in _family(optimizer):
        for item in fields(optimizer):
            yield Meaning(name, _FIELDS.get(item.name, item.name), f"{getattr(optimizer, item.name)}")
    if isinstance(optimizer, SGD) and optimizer.momentum and not isinstance(optimizer.schedule, Constant):
        meant = "the rate multiplies the momentum when it is used"
        yield Meaning("SGD", "momentum under a changing rate", meant)
    if "Adam" in _family(optimizer):
        yield Meaning("Adam", "place of epsilon", "after the bias correction")
    if "RMSprop" in _family(optimizer):
        yield Meaning("RMSprop", "place of epsilon", "outside the root")
    if optimizer.clip is not None:
        yield Meaning("Clip", "clipping by global norm", "exact")
    if isinstance(model.training.loss, CrossEntropy):
        yield Meaning("CrossEntropy", "input of the loss", "logits, averaged over the batch")


_FIELDS = {"weight_decay": "weight decay"}


def _family(optimizer: Optimizer) -> list[str]:
    """The optimizer's name and those of what it is a kind of: AdamW is an Adam."""
    return [kind.__name__ for kind in type(optimizer).__mro__ if kind.__name__ not in ("object", "Optimizer")]


# What is written ------------------------------------------------------------------------------------------------------


def _packages(model: Model, frameworks: Sequence[str]) -> dict[str, Package]:
    found = {}
    for name in frameworks:
        try:
            found[name] = write(model, find(name).targets[0].name)
        except AssayError:
            continue
    return found


def _written(package: Package | None, meaning: Meaning) -> str | None:
    """The line of the written code that makes the layer, or that calls the function; of train.py for what trains."""
    if package is None:
        return None
    if meaning.node is None:
        return _training_line(package.files.get("train.py", ""), meaning)
    lines = package.files["model.py"].splitlines()
    number = next((line for line, nodes in package.lines.items() if meaning.node in nodes), None)
    if number is None:
        return None
    native = next((item.native for item in package.weights if item.source == meaning.weight), None)
    for attribute in reversed(re.split(r"[./]", native or "")[:-1]):  # the layer's own name, or the container's
        for line in reversed(lines[: number - 1]):
            if line.strip().startswith(f"self.{attribute} ="):
                return line.strip()
    return lines[number - 1].partition("  #")[0].strip()


def _training_line(text: str, meaning: Meaning) -> str | None:
    wanted = {
        "epsilon": r"^EPSILON =.*",
        "rho": r"^RHO =.*",
        "weight decay": r"^WEIGHT_DECAY =.*",
        "input of the loss": r".*(?:cross_entropy|CrossEntropy|crossentropy|Crossentropy)\w*\(.*",
        "clipping by global norm": r'^(?!.*""")(?!CLIP_NORM).*CLIP_NORM.*',
    }.get(meaning.what, rf"^class {meaning.of}\(.*|.*\b{meaning.of}\w*\(.*|.*\b{meaning.of.lower()}\w*\(.*")
    found = re.search(wanted, text, re.MULTILINE)
    return found.group(0).strip() if found else None


# The frameworks left to themselves ------------------------------------------------------------------------------------


def out_of_the_box(model: Model, framework: str) -> tuple[Model, tuple[str, ...]]:
    """The model as a framework's own defaults would have it, and what was changed.

    Only numbers and formulas that leave every shape as it is: epsilons, momenta, slopes, the constants of the optimizer.
    """
    copied = replace(model, ir=model.ir.clone(), _modules={})
    own = {(item.of, item.attribute): item.value for item in defaults(framework) if item.attribute is not None}
    changes: dict[str, int] = {}
    for call in calls_of(copied):
        kind = call.kind.removeprefix("Functional")
        for (of, attribute), value in own.items():
            if of != kind or attribute is None or _same(call.attributes.get(attribute), value):
                continue
            _set(call.nodes[0], attribute, value)
            text = f"{of}: {attribute} {value:g}" if isinstance(value, float) else f"{of}: {attribute} {value}"
            changes[text] = changes.get(text, 0) + 1
    training = copied.training
    if training is not None:
        names = _family(training.optimizer)
        changed: dict[str, Any] = {
            attribute: value
            for (of, attribute), value in own.items()
            if of in names and attribute is not None and getattr(training.optimizer, attribute) != value
        }
        optimizer = replace(training.optimizer, **changed)
        copied = replace(copied, training=replace(training, optimizer=optimizer))
        changes.update({f"{names[0]}: {name} {value:g}": 1 for name, value in changed.items()})
    said = tuple(f"{text} ({count} times)" if count > 1 else text for text, count in changes.items())
    return copied, said


def _same(ours: object, own: float | str) -> bool:
    return ours == own or (
        isinstance(ours, (int, float)) and isinstance(own, (int, float)) and f"{ours:g}" == f"{own:g}"
    )


def _set(node: ir.Node, name: str, value: float | str) -> None:
    match value:
        case str():
            node.attributes[name] = ir.AttrString(name, value)
        case int():
            node.attributes[name] = ir.AttrInt64(name, value)
        case float():
            node.attributes[name] = ir.AttrFloat32(name, value)
