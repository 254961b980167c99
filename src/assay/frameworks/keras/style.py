"""How Keras' people write a model: subclasses of `keras.Model` and `layers.Layer`, named layers, `call`, channels-last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from assay.graph.names import identifier
from assay.model import Model, shape_of
from assay.write.body import Builder
from assay.write.parts import Index, LayerConstruct
from assay.write.parts import Path as ParameterPath
from assay.write.style import Parameter, Style
from assay.write.table import NativeWeight
from assay.write.weights import Step

_IMPORTS = {
    r"\bmath\.": "import math",
    r"\bPath\(": "from pathlib import Path",
    r"\bkeras\.": "import keras",
    r"(?<!\w)layers\.": "from keras import layers",
    r"\bops\.": "from keras import ops",
    r"\bload_file\(": "from safetensors.numpy import load_file",
}
_RESERVED = {
    *(
        "input",
        "output",
        "inputs",
        "outputs",
        "layers",
        "weights",
        "variables",
        "losses",
        "metrics",
        "name",
        "dtype",
        "path",
    ),
    *(
        "optimizer",
        "loss",
        "build",
        "built",
        "call",
        "compile",
        "fit",
        "evaluate",
        "predict",
        "summary",
        "trainable",
        "training",
    ),
    *("activity_regularizer", "supports_masking", "autocast", "quantize", "loss_tracker", "state", "stateless_call"),
}


def package_name(model: Model) -> str:
    """The name of the model and the package of its serialised classes: `mnist_cnn`."""
    return identifier(model.name).lower()


@dataclass
class KerasStyle(Style):
    """Subclassed models that serialise."""

    framework: str = "Keras 3"
    has_sequential: bool = True
    imports: dict[str, str] = field(default_factory=lambda: dict(_IMPORTS))
    reserved: frozenset[str] = frozenset(_RESERVED)
    forward: str = "call"
    local_file: str | None = str(Path(__file__).with_name("local.py"))
    layers: frozenset[str] = frozenset({"Dropout", "MaxPool", "AveragePool"})

    def class_line(self, name: str, is_root: bool) -> str:
        return f"class {name}({'keras.Model' if is_root else 'layers.Layer'}):"

    def before_class(self, model: Model, name: str) -> list[str]:
        return [f'@keras.saving.register_keras_serializable(package="{package_name(model)}")']

    def init_line(self, parameters: Sequence[Parameter]) -> str:
        return f"def __init__(self, {''.join(f'{parameter.name}, ' for parameter in parameters)}**kwargs):"

    def init_start(self) -> list[str]:
        return ["super().__init__(**kwargs)"]

    def after_init(self, parameters: Sequence[Parameter]) -> list[str]:
        if not parameters:
            return []
        listed = ", ".join(f'"{parameter.name}": self.{parameter.name}' for parameter in parameters)
        return ["", "def get_config(self):", f"    return {{**super().get_config(), {listed}}}"]

    def forward_line(self, arguments: Sequence[str], returns: int, needs_training: bool) -> str:
        listed = "".join(f", {name}" for name in arguments)
        return f"def call(self{listed}{', training=None' if needs_training else ''}):"

    def module_call(self, reference: str, operands: Sequence[str], needs_training: bool) -> str:
        listed = [*operands, *(["training=training"] if needs_training else [])]
        return f"{reference}({', '.join(listed)})"

    def extra_arguments(self, construct: LayerConstruct | None, name: str | None) -> list[str]:
        return [f'name="{name}"'] if name is not None else []

    def sequential(self, elements: list[str], name: str) -> tuple[str, list[str], str]:
        return "keras.Sequential([", elements, f'], name="{name}")'

    def repeated(self, element: str, count: int, sequential: bool) -> str:
        numbered = re.sub(r'"(\w+)_\{\}"', r'f"\1_{i}"', element)
        listed = f"[{numbered} for i in range({count})]"
        found = re.search(r'"(\w+)_\{\}"', element)
        return f'keras.Sequential({listed}, name="{found.group(1)}")' if sequential and found else listed

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight]:
        assert value.const_value is not None
        array = value.const_value.numpy()
        for step in steps:
            array = step.forward(array)
        shape = f"({', '.join(str(size) for size in array.shape)}{',' if array.ndim == 1 else ''})"
        dtype = "" if str(array.dtype) == "float32" else f', dtype="{array.dtype}"'
        fixed = "" if role == "parameter" else ", trainable=False"
        return f'self.add_weight(shape={shape}{dtype}{fixed}, name="{name}")', NativeWeight(name, value, steps)

    def root_path(self, model: Model) -> str:
        return f"{package_name(model)}/"

    def native_path(self, path: ParameterPath, leaf: str) -> str:
        parts: list[str] = []
        stem = ""
        for part in path:
            if isinstance(part, Index):
                if not part.sequential:
                    parts.pop()  # a list has no name of its own; a Sequential has
                parts.append(f"{stem}_{part.number}")
            else:
                stem = part
                parts.append(part)
        return "/".join(filter(None, [*parts, leaf]))

    def header(self, model: Model) -> str:
        what = f'"""{model.name} in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND).'
        line = f'{what} Arrays are channels-last."""'
        return line if len(line) <= self.line_length else f'{what}\n\nArrays are channels-last.\n"""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str]) -> str:
        inputs = ", ".join(_symbolic(value) for value in model.graph.inputs)
        return f'''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = {class_name}(name="{package_name(model)}")
    model({inputs})  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model
'''


def _symbolic(value: ir.Value) -> str:
    sizes = [str(size) if isinstance(size, int) else "None" for size in shape_of(value)[1:]]
    dtype = str(value.dtype).lower()
    more = "" if dtype in ("float", "float32") else f', dtype="{"int32" if dtype == "int64" else dtype}"'
    return f"keras.Input(({', '.join(sizes)}{',' if len(sizes) == 1 else ''}){more})"


STYLE = KerasStyle()
