"""How JAX's people write a model: `nnx.Module`, layers made with `rngs`, `__call__`, channels-last."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay.frameworks.jax.rules.common import dtype_text
from assay.model import Model
from assay.write.body import Builder
from assay.write.parts import Index, LayerConstruct
from assay.write.parts import Path as ParameterPath
from assay.write.style import Parameter, Style
from assay.write.table import NativeWeight
from assay.write.text import literal_text
from assay.write.weights import Step

_IMPORTS = {
    r"\bNamedTuple\b": "from typing import NamedTuple",
    r"\bre\.": "import re",
    r"\bio\.": "import io",
    r"\bproduct\(": "from itertools import product",
    r"\bAny\b": "from typing import Any",
    r"\bCallable\b": "from collections.abc import Callable",
    r"\bSequence\b": "from collections.abc import Sequence",
    r"\bnp\.": "import numpy as np",
    r"\bmath\.": "import math",
    r"\bpartial\(": "from functools import partial",
    r"\bPath\(": "from pathlib import Path",
    r"\bjax\.": "import jax",
    r"\bjnp\.": "import jax.numpy as jnp",
    r"\blax\.": "from jax import lax",
    r"\bload_file\(": "from safetensors.numpy import load_file",
    r"\bnnx\.": "from flax import nnx",
    r"\boptax\.": "import optax",
}
# Layers that draw initial values or random masks.
_WITHOUT_RNGS = ("PReLU", "Bidirectional", "rngs.dropout.fork")


@dataclass
class JaxStyle(Style):
    """Classes of `nnx.Module`."""

    framework: str = "JAX, with Flax NNX"
    array: str = "jax.Array"
    has_sequential: bool = True
    nests: bool = True
    elements: str = ".layers"
    imports: dict[str, str] = field(default_factory=lambda: dict(_IMPORTS))
    reserved: frozenset[str] = frozenset({"train", "eval", "sow", "perturb", "set_attributes"})
    forward: str = "__call__"
    local_file: str | None = str(Path(__file__).with_name("local"))
    layers: frozenset[str] = frozenset({"Dropout"})

    def class_line(self, name: str, is_root: bool, is_dictionary: bool = False) -> str:
        return f"class {name}(nnx.Module):"

    def init_line(self, parameters: Sequence[Parameter]) -> str:
        listed = "".join(f"{parameter.name}: {parameter.type}, " for parameter in parameters)
        return f"def __init__(self, {listed}*, rngs: nnx.Rngs) -> None:"

    def init_start(self) -> list[str]:
        return []

    def forward_line(
        self, arguments: Sequence[str], returns: str, needs_training: bool, lists: Collection[str] = ()
    ) -> str:
        listed = "".join(f", {name}: {'list[jax.Array]' if name in lists else 'jax.Array'}" for name in arguments)
        return f"def __call__(self{listed}) -> {returns}:"

    def extra_arguments(self, construct: LayerConstruct | None, name: str | None) -> list[str]:
        return [] if construct is not None and construct.callee in _WITHOUT_RNGS else ["rngs=rngs"]

    def sequential(self, elements: list[str], name: str) -> tuple[str, list[str], str]:
        return "nnx.Sequential(", elements, ")"

    def module_list(self, elements: list[str]) -> tuple[str, list[str], str]:
        return "nnx.List([", elements, "])"

    def repeated(self, element: str, count: int | str, sequential: bool, variable: str = "_") -> str:
        inner = f"[{element} for {variable} in range({count})]"
        return f"nnx.Sequential(*{inner})" if sequential else f"nnx.List({inner})"

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight]:
        assert value.const_value is not None
        array = value.const_value.numpy()
        for step in steps:
            array = step.forward(array)
        shape = self.sizes(builder, array)
        dtype = "" if str(array.dtype) == "float32" else f", jnp.{array.dtype}"
        kind = "nnx.Param" if role == "parameter" else "nnx.Variable"
        return f"{kind}(jnp.zeros({shape}{dtype}))", NativeWeight(name, value, steps)

    def constant(self, value: ir.Value) -> str | None:
        """Strings, and a few whole numbers. Floats become variables: they change their type with the model."""
        assert value.const_value is not None and value.dtype is not None
        array = value.const_value.numpy()
        if value.dtype == ir.DataType.STRING:
            words = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1).tolist()]
            shape = "" if array.ndim == 1 else f".reshape{array.shape}"
            return f"np.array([{', '.join(literal_text(word) for word in words)}], object){shape}"
        if array.size > 16 or array.size == 0 or array.dtype in (np.float16, np.float32, np.float64):
            return None
        numbers = array.astype(float).tolist() if value.dtype.is_floating_point() else array.astype(object).tolist()
        if "nan" in str(numbers) or "inf" in str(numbers):
            return None
        kind = "" if value.dtype in (ir.DataType.INT64, ir.DataType.BOOL) else f", {dtype_text(value.dtype)}"
        return f"jnp.array({numbers}{kind})"

    def parameter_reference(self, name: str) -> str:
        return f"self.{name}[...]"

    def native_path(self, path: ParameterPath, leaf: str) -> str:
        parts: list[str] = []
        for part in path:
            if isinstance(part, Index):
                parts.extend(["layers"] if part.sequential else [])
                parts.append(str(part.number))
            else:
                parts.append(part)
        return ".".join(filter(None, [*parts, leaf]))

    def turned(self, text: str, order: Sequence[int]) -> str:
        return f"{text}.T" if tuple(order) == (1, 0) else f"{text}.transpose({', '.join(map(str, order))})"

    def header(self, model: Model) -> str:
        first, second = f"{model.name} in JAX, with Flax NNX.", "Arrays are channels-last."
        whole = f'"""{first} {second}"""'
        return whole if len(whole) <= self.line_length else f'"""{first}\n\n{second}\n"""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str], tied: bool = False) -> str:
        made = f"lambda: {class_name}(rngs=nnx.Rngs(params=0, dropout=0))"
        abstract = f"    model = nnx.eval_shape({made})"
        if len(abstract) > self.line_length:
            abstract = f"    model = nnx.eval_shape(\n        {made}\n    )"
        return f'''\
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> {class_name}:
    """The model with the weights of a safetensors file, in evaluation mode."""
    # Under eval_shape nothing is computed: the initial values would only be overwritten.
{abstract}
    arrays = load_file(weights)
    state = nnx.state(model, nnx.Not(nnx.RngState))
    loaded = nnx.map_state(lambda path, _: jnp.asarray(arrays[".".join(map(str, path))]), state)
    nnx.update(model, loaded)
    nnx.reseed(model, dropout=0)
    model.eval()
    return model
'''


STYLE = JaxStyle()
