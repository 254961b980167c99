"""The README of a written package."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from assay.frameworks import find, installed_versions
from assay.frameworks import target as find_target
from assay.model import shape_of
from assay.write.package import Package
from assay.write.results import expression


def readme(package: Package, proofs: Sequence[str], said: str, has_data: bool) -> str:
    """What the package is, how it is used, and what was proven about it. `proofs`: a line for each mode."""
    model, chosen = package.model, find_target(package.target)
    framework = find(chosen.framework)
    title = framework.title + (f" (on {chosen.backend})" if chosen.backend else "")
    inputs = "\n".join(f"- `{v.name}`: {_shape(v)}, {str(v.dtype).lower()}" for v in model.graph.inputs)
    outputs = "\n".join(f"- `{v.name}`: {_shape(v)}, {str(v.dtype).lower()}" for v in model.graph.outputs)
    needs = ", ".join(f"{name} {version}" for name, version in installed_versions(framework.distributions).items())
    prefix = f"KERAS_BACKEND={chosen.backend} " if chosen.backend else ""
    files = [
        "- `model.py`: the model; `load()` returns it with its weights",
        "- `weights.safetensors`: the weights, by the framework's own names",
    ]
    if "train.py" in package.files:
        files.insert(1, "- `train.py`: the loss, the optimizer, the training step and the loop")
    if has_data:
        files.append("- `data.safetensors`: the training and test data")
    files.append("- `assay.json`: inputs, outputs, and how the weights map to the graph's")
    trains = has_data and "train.py" in package.files
    run = f"\n\nTrain:\n\n    {prefix}python train.py --save trained.safetensors" if trains else ""
    run += "\n\n`assay carry` takes trained weights back into the model that this was written from." if trains else ""
    lines = "\n".join(f"- {line}" for line in proofs)
    return (
        f"""# {model.name} in {title}

Written by assay. It needs {title.split(" (")[0]}, NumPy and safetensors{f" (written with {needs})" if needs else ""}, and nothing else.

{chr(10).join(files)}

Load:

    from model import load
    model = load(){run}

Inputs:

{inputs}

Outputs{_form(package)}:

{outputs}

## Proof

{said[:1].upper()}{said[1:]}.

{lines}
""".rstrip()
        + "\n"
    )


def _form(package: Package) -> str:
    """How the outputs lie in what the model returns, by the names listed."""
    structure = package.gives
    if len(structure.places()) == 1 and structure.is_flat:
        return ""
    if structure.is_flat:
        return ", a tuple in this order"
    return f", in `{expression(structure, [value.name or '' for value in package.model.graph.outputs])}`"


def _shape(value: ir.Value) -> str:
    return "any shape" if value.shape is None else f"({', '.join(str(size) for size in shape_of(value))})"
