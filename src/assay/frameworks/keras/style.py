"""How Keras' people write a model: subclasses of `keras.Model` and `layers.Layer`, named layers, `call`, channels-last."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay.frameworks.keras.rules.common import type_name
from assay.graph.names import identifier
from assay.model import Model, shape_of
from assay.write.body import Builder
from assay.write.parts import Index, LayerConstruct
from assay.write.parts import Path as ParameterPath
from assay.write.style import Parameter, Style
from assay.write.table import NativeWeight
from assay.write.weights import Step

_IMPORTS = {
    r"\bitertools\.": "import itertools",
    r"(?<!\.)\bmath\.": "import math",
    r"\bml_dtypes\b": "import ml_dtypes",
    r"(?<![\w.])np\.": "import numpy as np",
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

_WITHOUT_WEIGHTS = tuple(
    f"layers.{name}" for name in ("MaxPool", "AveragePool", "ZeroPadding", "Cropping", "Dropout", "Activation", "ReLU")
)


def package_name(model: Model) -> str:
    """The name of the model and the package of its serialised classes: `mnist_cnn`."""
    return identifier(model.name).lower()


@dataclass
class KerasStyle(Style):
    """Subclassed models that serialise."""

    framework: str = "Keras 3"
    array: str = ""
    has_records: bool = False  # compile() takes losses by the keys of a dict
    has_sequential: bool = True
    elements: str = ".layers"
    elements_of_one: int = 2  # layers have names, so that a padding may stand before its convolution
    imports: dict[str, str] = field(default_factory=lambda: dict(_IMPORTS))
    reserved: frozenset[str] = frozenset(_RESERVED)
    forward: str = "call"
    local_file: str | None = str(Path(__file__).with_name("local"))
    layers: frozenset[str] = frozenset({"Dropout", "MaxPool", "AveragePool"})
    builds: bool = False  # whether layers make their variables when they are first called
    texts: bool = False  # whether the model takes strings
    casts: bool = True  # whether layers may take every float to Keras' own type, as they do unless told otherwise

    def class_line(self, name: str, is_root: bool, is_dictionary: bool = False) -> str:
        return f"class {name}({'keras.Model' if is_root else 'layers.Layer'}):"

    def before_class(self, model: Model, name: str) -> list[str]:
        self.casts = _one_float(model)
        self.texts = any(value.dtype == ir.DataType.STRING for value in model.graph.inputs)
        return [f'@keras.saving.register_keras_serializable(package="{package_name(model)}")']

    def init_line(self, parameters: Sequence[Parameter]) -> str:
        return f"def __init__(self, {''.join(f'{parameter.name}, ' for parameter in parameters)}**kwargs):"

    def init_start(self) -> list[str]:
        return ["super().__init__(**kwargs)" if self.casts else "super().__init__(autocast=False, **kwargs)"]

    def after_init(self, parameters: Sequence[Parameter]) -> list[str]:
        if not parameters:
            return []
        listed = ", ".join(f'"{parameter.name}": self.{parameter.name}' for parameter in parameters)
        return ["", "def get_config(self):", f"    return {{**super().get_config(), {listed}}}"]

    def forward_line(
        self, arguments: Sequence[str], returns: str, needs_training: bool, lists: Collection[str] = ()
    ) -> str:
        if self.texts:  # which Keras knows on TensorFlow only
            return f"def __call__({', '.join(['self', *arguments])}):"
        if not arguments:  # Keras calls no layer without any
            return "def call(self, _=None):"
        listed = "".join(f", {name}" for name in arguments)
        return f"def call(self{listed}{', training=None' if needs_training else ''}):"

    def build_line(self, arguments: Sequence[str]) -> str:
        return f"def build(self, input_shape{'' if arguments else '=None'}):"

    def method_line(self, name: str, arguments: Sequence[str], returns: str) -> str:
        return f"def {name}({', '.join(['self', *arguments])}):"

    def module_call(self, reference: str, operands: Sequence[str], needs_training: bool) -> str:
        listed = [*(operands or ["None"]), *(["training=training"] if needs_training else [])]
        return f"{reference}({', '.join(listed)})"

    def extra_arguments(self, construct: LayerConstruct | None, name: str | None) -> list[str]:
        if construct is not None and not construct.callee.startswith(_WITHOUT_WEIGHTS):
            self.builds = True
        return [f'name="{name}"'] if name is not None else []

    def sequential(self, elements: list[str], name: str) -> tuple[str, list[str], str]:
        return "keras.Sequential([", elements, f'], name="{name}")'

    def repeated(self, element: str, count: int | str, sequential: bool, variable: str = "_") -> str:
        found = _NUMBERED.search(element)
        place = "j" if found is not None and found.group(2) else "i"  # of a list of lists
        name = rf'f"\1_{{{place}}}\2"'
        listed = f"[{_NUMBERED.sub(name, element)} for {place} in range({count})]"
        return f'keras.Sequential({listed}, name="{found.group(1)}")' if sequential and found else listed

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight]:
        assert value.const_value is not None
        array = value.const_value.numpy()
        for step in steps:
            array = step.forward(array)
        shape = self.sizes(builder, array)
        dtype = "" if str(array.dtype) == "float32" else f', dtype="{array.dtype}"'
        fixed = "" if role == "parameter" else ", trainable=False"
        self.builds |= bool(builder.frame.path)
        return f'self.add_weight(shape={shape}{dtype}{fixed}, name="{name}")', NativeWeight(name, value, steps)

    def constant(self, value: ir.Value) -> str | None:
        assert value.const_value is not None
        array = value.const_value.numpy()
        if array.dtype.kind in "OSU":
            listed = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1)]
            return f"np.array({np.array(listed, object).reshape(array.shape).tolist()!r}, dtype=object)"
        kind = type_name(value.dtype)
        if kind == "uint8" and value.dtype not in (ir.DataType.UINT8, ir.DataType.UINT4, ir.DataType.UINT2):
            array = array.view(np.uint8)  # small floats are kept as their bit patterns
        listed = array.astype(np.float64 if "float" in kind else array.dtype).tolist()
        short = array.size <= 8 if "float" not in kind else array.size == 1 and kind != "float32"
        if not short or "inf" in str(listed) or "nan" in str(listed):
            return None
        return f'ops.convert_to_tensor({listed}, dtype="{kind}")'

    def root_path(self, model: Model) -> str:
        return f"{package_name(model)}/"

    def native_path(self, path: ParameterPath, leaf: str) -> str:
        parts: list[str] = []
        stem = ""
        for part in path:
            if isinstance(part, Index):
                if not part.sequential:
                    parts.pop()  # a list has no name of its own; a Sequential has
                stem = f"{stem}_{part.number}"
                parts.append(stem)
            else:
                stem = part
                parts.append(part)
        return "/".join(filter(None, [*parts, leaf]))

    def turned(self, text: str, order: Sequence[int]) -> str:
        return f"ops.transpose({text})" if tuple(order) == (1, 0) else f"ops.transpose({text}, {tuple(order)})"

    def header(self, model: Model) -> str:
        what = f'"""{model.name} in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND).'
        line = f'{what} Arrays are channels-last."""'
        if len(line) <= self.line_length:
            return line
        if len(what) <= self.line_length:
            return f'{what}\n\nArrays are channels-last.\n"""'
        return f'"""{model.name} in Keras 3.\n\nFor TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last.\n"""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str], tied: bool = False) -> str:
        build = ""
        if self.builds:
            inputs = ", ".join(_symbolic(value) for value in model.graph.inputs)
            build = f"    model({inputs})  # creates the variables\n"
        self.builds = False
        made = f'    model = {class_name}(name="{package_name(model)}")'
        if len(made) > self.line_length:
            made = f'    model = {class_name}(\n        name="{package_name(model)}"\n    )'
        return f'''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
{made}
{build}    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model
'''


# A name of an element of a list, its place still open; `{}` further left are the places of lists around that.
_NUMBERED = re.compile(r'f?"([\w{}]+)_\{\}((?:_\{i\})?)"')


def _one_float(model: Model) -> bool:
    """Whether float32 is the only floating type that reaches the model or its parameters."""
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        values.extend(node.outputs)
    other = {ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
    return not any(value.dtype in other for value in values)


def _symbolic(value: ir.Value) -> str:
    shape = shape_of(value)
    dtype = type_name(value.dtype)
    more = "" if dtype == "float32" else f', dtype="{dtype}"'
    if shape and not isinstance(shape[0], int):
        sizes = [str(size) if isinstance(size, int) else "None" for size in shape[1:]]
        return f"keras.Input(({', '.join(sizes)}{',' if len(sizes) == 1 else ''}){more})"
    sizes = [str(size) if isinstance(size, int) else "None" for size in shape]
    return f"keras.Input(batch_shape=({', '.join(sizes)}{',' if len(sizes) == 1 else ''}){more})"


STYLE = KerasStyle()
