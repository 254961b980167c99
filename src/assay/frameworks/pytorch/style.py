"""How PyTorch's people write a model: `nn.Module`, layers in the constructor, `forward`, `state_dict`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from assay.frameworks.pytorch.constants import expression
from assay.frameworks.pytorch.rules import normalisation, spatial
from assay.frameworks.pytorch.rules.common import TYPES, is_integer
from assay.graph.calls import Call
from assay.model import KEPT, Model
from assay.write.body import Builder
from assay.write.style import Style
from assay.write.table import NativeWeight
from assay.write.text import literal_text
from assay.write.weights import Step

_IMPORTS = {
    r"\bNamedTuple\b": "from typing import NamedTuple",
    r"\bmath\.": "import math",
    r"\bnp\.": "import numpy as np",
    r"\bOrderedDict\b": "from collections import OrderedDict",
    r"\bCallable\b": "from collections.abc import Callable",
    r"\bSequence\b": "from collections.abc import Sequence",
    r"(?<!\.)\bprod\(": "from math import prod",
    r"\bAny\b": "from typing import Any",
    r"\bPath\(": "from pathlib import Path",
    r"\btorch\.": "import torch",
    r"\bF\.": "import torch.nn.functional as F",
    r"\bload_file\(": "from safetensors.torch import load_file",
    r"\bload_model\(": "from safetensors.torch import load_model",
    r"\bTensor\b": "from torch import Tensor",
    r"\bnn\.": "from torch import nn",
}


_CONSTANTS = """\
    arrays = load_file(weights)
    for name in arrays.keys() - model.state_dict().keys():  # constants, which are no part of the model's state
        model.get_buffer(name).copy_(arrays.pop(name))
"""
_OTHER_FLOATS = (ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_CHANNELS_LAST = """\
    # Convolutions over images are faster in this order in memory; shapes and weights stay as they are.
    model = model.to(memory_format=torch.channels_last)
"""


def _name_of_place(names: Sequence[str]) -> str:
    """`layer1`, `layer2` … as an f-string of the place `i`, from 0 on."""
    stem = names[0].rstrip("0123456789")
    first = int(names[0].removeprefix(stem))
    return f'f"{stem}{{{f"i + {first}" if first else "i"}}}"'


@dataclass
class PyTorchStyle(Style):
    """Classes of `nn.Module`."""

    framework: str = "PyTorch"
    array: str = "Tensor"
    has_sequential: bool = True
    ties: bool = True
    saves_attributes: bool = True
    names_elements: bool = True
    nests: bool = True
    imports: dict[str, str] = field(default_factory=lambda: dict(_IMPORTS))
    reserved: frozenset[str] = frozenset(
        {
            "forward",
            "train",
            "eval",
            "training",
            "parameters",
            "buffers",
            "modules",
            "children",
            "half",
            "float",
            "double",
            "to",
            "type",
            "T",
        }
    )
    local_file: str | None = str(Path(__file__).with_name("local"))
    constants: bool = False  # whether the file of weights has more than the state of the model
    layers: frozenset[str] = frozenset({"Dropout", "MaxPool", "AveragePool", "Relu"})

    def is_layer(self, call: Call) -> bool:
        """What is a layer with something around it, such as uneven padding, cannot stand in a container."""
        if not super().is_layer(call):
            return False
        if call.kind in ("Conv", "ConvTranspose", "MaxPool", "AveragePool"):
            return spatial.is_one_layer(call)
        if call.kind == "Dropout":
            return len(call.outputs) == 1 and call.computed(1) is None and call.computed(2) is None
        if call.kind in ("PRelu", "Linear"):
            return not is_integer(call.x) and (call.kind == "Linear" or normalisation.is_one_slope(call))
        return normalisation.is_one_layer(call)

    def class_line(self, name: str, is_root: bool, is_dictionary: bool = False) -> str:
        return f"class {name}({'nn.ModuleDict' if is_dictionary else 'nn.Module'}):"

    def forward_line(
        self, arguments: Sequence[str], returns: str, needs_training: bool, lists: Collection[str] = ()
    ) -> str:
        listed = "".join(f", {name}: {'list[Tensor]' if name in lists else 'Tensor'}" for name in arguments)
        return f"def forward(self{listed}) -> {returns}:"

    def sequential(self, elements: list[str], name: str) -> tuple[str, list[str], str]:
        return "nn.Sequential(", elements, ")"

    def named_sequential(self, names: Sequence[str]) -> tuple[str, list[str], str]:
        return "nn.Sequential(OrderedDict([", [f"({json.dumps(name)}, " for name in names], "]))"

    def module_list(self, elements: list[str]) -> tuple[str, list[str], str]:
        return "nn.ModuleList([", elements, "])"

    def dictionary(self) -> str:
        return "nn.ModuleDict"

    def repeated(self, element: str, count: int | str, sequential: bool, variable: str = "_") -> str:
        inner = f"[{element} for {variable} in range({count})]"
        return f"nn.Sequential(*{inner})" if sequential else f"nn.ModuleList({inner})"

    def numbered(self, names: Sequence[str], element: str, count: str) -> list[str]:
        return [f"for i in range({count}):", f"    self.add_module({_name_of_place(names)}, {element})"]

    def named_repeated(self, names: Sequence[str], element: str, count: str) -> str:
        return f"nn.Sequential(OrderedDict(({_name_of_place(names)}, {element}) for i in range({count})))"

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight | None]:
        assert value.const_value is not None
        array = value.const_value.numpy()
        for step in steps:
            array = step.forward(array)
        shape = self.sizes(builder, array)[1:-1].removesuffix(",") or "()"
        dtype = "" if value.dtype in (None, ir.DataType.FLOAT) else f", dtype={TYPES[value.dtype]}"
        weight = NativeWeight(name, value, steps)
        if role == "parameter":
            return f"nn.Parameter(torch.zeros({shape}{dtype}))", weight
        if role == "constant" and KEPT not in value.metadata_props and (text := expression(array)) is not None:
            return f"nn.Buffer({text}, persistent=False)", None
        self.constants |= role == "constant" and KEPT not in value.metadata_props
        fixed = ", persistent=False" if role == "constant" and KEPT not in value.metadata_props else ""
        return f"nn.Buffer(torch.zeros({shape}{dtype}){fixed})", weight

    def holder(self, parameters: Mapping[str, str]) -> str | None:
        return f"nn.ParameterDict({{{', '.join(f'{json.dumps(name)}: {text}' for name, text in parameters.items())}}})"

    def constant(self, value: ir.Value) -> str | None:
        assert value.const_value is not None
        if value.dtype == ir.DataType.STRING:
            array = value.const_value.numpy()
            texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1)]
            shaped = f".reshape({array.shape})" if array.ndim != 1 else ""
            return f"np.array({literal_text(texts)}, dtype=object){shaped}"
        if value.dtype in (ir.DataType.INT64, ir.DataType.BOOL) and value.const_value.numpy().ndim == 0:
            return f"torch.tensor({value.const_value.numpy().item()})"
        return None

    def turned(self, text: str, order: Sequence[int]) -> str:
        return f"{text}.T" if tuple(order) == (1, 0) else f"{text}.permute({', '.join(map(str, order))})"

    def header(self, model: Model) -> str:
        return f'"""{model.name} in PyTorch."""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str], tied: bool = False) -> str:
        images = any(node.op_type in _CONVOLUTIONS and _rank(node.outputs[0]) == 4 for node in model.graph)
        images &= all(_rank(value) != 5 for value in model.graph.initializers.values())  # torch refuses those the order
        kinds = {value.dtype for value in model.graph.initializers.values() if model.role(value) != "constant"}
        # Layers are made in float32; weights of another type take their place.
        assign = ", assign=True" if any(kind in _OTHER_FLOATS for kind in kinds) else ""
        filled = f"    model.load_state_dict(load_file(weights){assign})\n"
        if tied:  # a file of safetensors holds a shared parameter once
            filled = "    load_model(model, weights)\n"
        if self.constants:
            strict = ", strict=False" if tied else ""
            filled = _CONSTANTS + f"    model.load_state_dict(arrays{assign}{strict})\n"
        self.constants = False
        return f'''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> {class_name}:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = {class_name}()
{filled}{_CHANNELS_LAST if images else ""}    return model.eval()
'''


def _rank(value: ir.Value) -> int:
    return 0 if value.shape is None else len(value.shape)


STYLE = PyTorchStyle()
