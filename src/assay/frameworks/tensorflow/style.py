"""How TensorFlow's people write a model without Keras: `tf.Module`, variables, `tf.nn`, `training` as an argument."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow.common import BIT_PATTERNS, CARRIERS, FLOATS
from assay.model import Model
from assay.write.body import Builder
from assay.write.style import Style
from assay.write.table import NativeWeight
from assay.write.text import literal_text
from assay.write.weights import Step

_IMPORTS = {
    r"\bNamedTuple\b": "from typing import NamedTuple",
    r"(?<!tf\.)\bmath\.": "import math",
    r"\bCallable\[": "from collections.abc import Callable",
    r"\bAny\b": "from typing import Any",
    r"\bml_dtypes\b": "import ml_dtypes",
    r"\bitertools\.": "import itertools",
    r"\bPath\(": "from pathlib import Path",
    r"\btf\.": "import tensorflow as tf",
    r"\bnp\.": "import numpy as np",
    r"\bload_file\(": "from safetensors.numpy import load_file",
    r"\bcontrol_flow_util\.": "from tensorflow.python.ops import control_flow_util",
}


@dataclass
class TensorFlowStyle(Style):
    """Classes of `tf.Module`."""

    framework: str = "TensorFlow"
    array: str = "tf.Tensor"
    has_sequential: bool = False
    forward: str = "__call__"
    imports: dict[str, str] = field(default_factory=lambda: dict(_IMPORTS))
    reserved: frozenset[str] = frozenset(
        {
            "name",
            "name_scope",
            "variables",
            "trainable_variables",
            "non_trainable_variables",
            "submodules",
            "with_name_scope",
        }
    )
    local_file: str | None = str(Path(__file__).with_name("local"))
    layers: frozenset[str] = frozenset({"Dropout"})
    root_takes_training: bool = True  # train.py calls the model with training=True, whether anything in it cares or not

    def class_line(self, name: str, is_root: bool, is_dictionary: bool = False) -> str:
        return f"class {name}(tf.Module):"

    def forward_line(
        self, arguments: Sequence[str], returns: str, needs_training: bool, lists: Collection[str] = ()
    ) -> str:
        listed = "".join(f", {name}: {'list[tf.Tensor]' if name in lists else 'tf.Tensor'}" for name in arguments)
        training = ", training: bool = False" if needs_training else ""
        return f"def __call__(self{listed}{training}) -> {returns}:"

    def module_call(self, reference: str, operands: Sequence[str], needs_training: bool) -> str:
        return f"{reference}({', '.join([*operands, *(['training=training'] if needs_training else [])])})"

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight]:
        assert value.const_value is not None
        array = value.const_value.numpy()
        for step in steps:
            array = step.forward(array)
        shape = self.sizes(builder, array)
        shape = shape[1:-2] if array.ndim == 1 else shape
        kind = str(array.dtype)
        zeros = f"tf.zeros({shape})" if kind == "float32" else f"tf.zeros({shape}, tf.{kind})"
        if role == "parameter":
            return f"tf.Variable({zeros})", NativeWeight(name, value, steps)
        return f"tf.Variable({zeros}, trainable=False)", NativeWeight(name, value, steps)

    def constant(self, value: ir.Value) -> str | None:
        """Small arrays of integers, and what TensorFlow has no type for; floats are variables, which change their type."""
        assert value.const_value is not None and value.dtype is not None
        array = value.const_value.numpy()
        if value.dtype == ir.DataType.STRING:
            listed = np.vectorize(lambda item: item.decode() if isinstance(item, bytes) else item, otypes=[object])
            return f"np.array({literal_text(listed(array).tolist() if array.size else array.tolist())}, dtype=object)"
        if value.dtype in BIT_PATTERNS:
            return f"tf.constant({_bits(array).tolist()}, tf.uint8)"
        kind = CARRIERS.get(value.dtype)
        if kind is None or value.dtype in FLOATS or (kind == str(array.dtype) and (array.size > 16 or array.ndim > 2)):
            return None
        if array.size == 0:
            return f"tf.zeros({array.shape}, tf.{kind})"
        listed_type = "" if kind in ("int32", "bool") else f", tf.{kind}"
        return f"tf.constant({literal_text(array.tolist())}{listed_type})"

    def turned(self, text: str, order: Sequence[int]) -> str:
        return f"tf.transpose({text})" if tuple(order) == (1, 0) else f"tf.transpose({text}, {tuple(order)})"

    def header(self, model: Model) -> str:
        return f'"""{model.name} in TensorFlow."""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str], tied: bool = False) -> str:
        return f'''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> {class_name}:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = {class_name}()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{{weights}} has {{len(arrays)}} arrays for {{len(model.variables)}} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model
'''


def _bits(array: np.ndarray) -> np.ndarray:
    """The bit patterns of small floats; those of 4 bits come unpacked, one to a byte."""
    return array if array.dtype == np.uint8 else array.view(np.uint8)


STYLE = TensorFlowStyle()
