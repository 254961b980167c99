"""PyTorch modules and `.pt2` files as models, by `torch.export` without decompositions.

What training needs is still in such a graph: batch normalisation with its arguments, dropout, whole layers, and for every
call the modules around it. (`torch.onnx.export` is made for inference: it loses them.)
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import re
import traceback
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from assay.errors import ModelError
from assay.frameworks.base import InputSpec
from assay.frameworks.drafting import example_arguments, record_structure
from assay.frameworks.pytorch.bring_dropped import shown
from assay.frameworks.pytorch.bring_graph import Source, Translation, forward_arguments, innermost, user_line
from assay.frameworks.pytorch.bring_ops.common import Graph, NeedsStaticBatch, Weight
from assay.frameworks.pytorch.bring_regions import nodes_in_line
from assay.graph.passes.fold import fold
from assay.model import ALIASES, KEPT, NOTES, ROLE, Model
from assay.structure import with_named_tuples

_STATISTICS = ("running_mean", "running_var")
# Modules that do nothing by themselves, or are opened by the module around them.
_SILENT = (
    *(torch.nn.Identity, torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.Sequential, torch.nn.ParameterList),
    torch.nn.modules.linear.NonDynamicallyQuantizableLinear,
)


_TARGET = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.\w+|torch\.sym_\w+|math\.\w+")
_WORD = re.compile(r"\b(?![suz]\d+\b)[A-Za-z_]\w*")  # what is not the name of a size
_SIZES = {
    "Symbol",
    "Integer",
    "Max",
    "Min",
    "Mod",
    "PythonMod",
    "FloorDiv",
    "CleanDiv",
    "Eq",
    "Ne",
    "True",
    "False",
} | {
    *("positive", "integer", "nonnegative", "int_oo", "oo", "Pow", "Add", "Mul"),
}


def bring(found: Any, inputs: Any, name: str) -> Model:
    """The model of a module, called with an example of its inputs, or of an exported program.

    `inputs`: a tensor or array, a tuple of them, a dict by argument name, or `InputSpec`s. The size of the first axis
    (the batch) stays open where the module allows it; what is lost is said in `Model.notes`.
    """
    if isinstance(found, ExportedProgram):
        return _model(found, None, name, [])
    if inputs is None:
        arguments = ", ".join(forward_arguments(found)) or "its inputs"
        raise ModelError(
            f"{type(found).__name__} is a PyTorch module: give an example of {arguments}, as --input 1x3x224x224 "
            "(--input 1x128:int64 for integers; once for each input), as inputs= of assay.load, "
            "or let the callable return (module, inputs)"
        )
    args, kwargs = example_arguments(inputs, _tensors)
    with _in_evaluation(found), shown(found), _quietly():
        return _dynamic(found, args, kwargs, name)


def load_file(path: Path, name: str) -> Model:
    """The model in a `.pt2` file; files that hold pickled objects are refused, for a pickle can run code."""
    _refuse_pickles(path)
    try:
        with _quietly():
            program = torch.export.load(str(path))
    except Exception as error:  # torch's reader has errors of many kinds
        raise ModelError(f"{path} is not an exported program that torch can read: {_first_line(error)}") from error
    return bring(program, None, name)


def _refuse_pickles(path: Path) -> None:
    """A data file must not run code: no pickled objects, no functions but torch's operators, no names in sizes but sizes'."""
    try:
        with zipfile.ZipFile(path) as archive:
            read = {name: archive.read(name) for name in archive.namelist() if name.endswith((".json", ".pt"))}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is not an exported program (.pt2) that can be read: {_first_line(error)}") from error
    for name, content in read.items():
        if name.endswith(".pt"):
            try:  # torch's own reader falls back to running the pickle
                torch.load(io.BytesIO(content), weights_only=True)
            except Exception as error:
                raise ModelError(
                    f"{path} holds {name!r} as a pickle of more than tensors: nothing of it is read"
                ) from error
            continue
        try:
            items = list(_items("", json.loads(content)))
        except ValueError as error:
            raise ModelError(f"{path} is not an exported program (.pt2) that can be read: {name} is no JSON") from error
        for key, value in items:
            if key == "use_pickle" and value:
                raise ModelError(
                    f"{path} holds an object of {name!r} as a pickle, which could run code: nothing is read"
                )
            if key == "target" and isinstance(value, str) and not _TARGET.fullmatch(value):
                raise ModelError(f"{path} calls {value!r}, which is no operator of torch: nothing is read")
            if key == "expr_str" and not set(_WORD.findall(str(value))) <= _SIZES:
                raise ModelError(f"{path} gives {value!r} as a size, which could run code: nothing is read")


def _items(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of a nest."""
    yield key, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _items(str(name), item)
    elif isinstance(value, list):
        for item in value:
            yield from _items("", item)


# Exporting ------------------------------------------------------------------------------------------------------------


def _dynamic(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Model:
    """The model with an open batch size; where that fails, with the example's."""
    try:
        larger_args, larger_kwargs = _enlarged(args), _enlarged(kwargs)
        program = _export(module, larger_args, larger_kwargs, _open_batch(larger_args, larger_kwargs))
        if _fixed_inputs(program):
            raise NeedsStaticBatch
        return _model(program, module, name, [])
    except (NeedsStaticBatch, _NotExported) as error:
        reason = "" if isinstance(error, NeedsStaticBatch) else f" ({_first_line(error)})"
        size = _batch_of((args, kwargs))
        note = f"the size of the batch is fixed at {size}, the example's: the module does not leave it open{reason}"
    try:
        return _model(_export(module, args, kwargs, None), module, name, [note])
    except _NotExported as error:
        raise ModelError(str(error)) from error.__cause__


class _NotExported(Exception):
    """torch.export refused; the message says where and why."""


def _export(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any) -> ExportedProgram:
    # torch takes a dataclass for a nest only where somebody has registered it.
    opened = module.register_forward_hook(lambda _, __, result: with_named_tuples(result))
    try:
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the module's own code runs in there, and may raise anything
        raise _NotExported(_explained(module, error)) from error
    finally:
        opened.remove()


def _explained(module: torch.nn.Module, error: Exception) -> str:
    """What to say of an error while the module was followed: file and line of the user's code, and what to change."""
    frames = [(frame.filename, str(frame.lineno)) for frame in traceback.extract_tb(error.__traceback__)]
    own = [place for place in frames if "/torch/" not in place[0] and "/assay/frameworks/" not in place[0]]
    own = [place for place in own if not place[0].endswith(("contextlib.py", "/inspect.py"))]
    where = innermost(own) if own else f"{type(module).__name__}.forward"
    if "DataDependent" in type(error).__name__ or "data-dependent" in str(error):
        return (
            f"{where}: which way the code goes here depends on the numbers in a tensor, so no one graph holds the model; "
            "choose with torch.where, or take the decision out of forward"
        )
    return f"{where}: {type(error).__name__}: {_first_line(error)}"


def _open_batch(args: Any, kwargs: Any) -> Any:
    """Every input whose first axis is as long as the first input's has an open first axis."""
    size = _batch_of((args, kwargs))

    def shape(value: Any) -> Any:
        return {0: Dim.AUTO} if torch.is_tensor(value) and value.dim() and value.shape[0] == size else None

    listed = [pytree.tree_map(shape, item) for item in args]
    return (*listed, *(pytree.tree_map(shape, item) for item in kwargs.values()))


def _enlarged(values: Any) -> Any:
    """An example of one becomes an example of two: torch takes a size of one for a fixed size."""

    def twice(value: Any) -> Any:
        if torch.is_tensor(value) and value.dim() and value.shape[0] == 1:
            return torch.cat([value, value])
        return value

    return pytree.tree_map(twice, values)


def _batch_of(values: Any) -> int:
    tensors = [item for item in pytree.tree_leaves(values) if torch.is_tensor(item) and item.dim()]
    return int(tensors[0].shape[0]) if tensors else 1


def _fixed_inputs(program: ExportedProgram) -> bool:
    """Whether torch has fixed the size of the batch after all."""
    wanted = set(program.graph_signature.user_inputs)
    shapes = [
        node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted
    ]
    return all(isinstance(shape[0], int) for shape in shapes if len(shape))


@contextlib.contextmanager
def _in_evaluation(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode; afterwards each part of it is as it was."""
    modes = {part: part.training for part in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # one operator of its own, that nothing could be made of
        module.eval()
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes.items():
            part.training = training


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What torch logs and prints while it follows a module is no business of the user's."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# Inputs ---------------------------------------------------------------------------------------------------------------


def _tensors(value: Any) -> Any:
    if isinstance(value, InputSpec):
        kind = getattr(torch, value.dtype, None)
        if not isinstance(kind, torch.dtype):
            raise ModelError(f"{value.dtype!r} is no type that torch knows: float32, int64, bool …")
        return torch.randn(value.shape, dtype=kind) if kind.is_floating_point else torch.zeros(value.shape, dtype=kind)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value


# From a program to a model --------------------------------------------------------------------------------------------


def _model(program: ExportedProgram, module: torch.nn.Module | None, name: str, notes: Sequence[str]) -> Model:
    graph = Graph.empty(name)
    graph.notes.extend(notes)
    weights = _weights(program, module, graph)
    regions: dict[str, list[str]] = {}
    nodes = nodes_in_line(program, lambda what, node: regions.setdefault(what, []).append(user_line(node)))
    source = Source(
        nodes,
        weights,
        [item for item in program.graph_signature.user_inputs if isinstance(item, str)],
        _outputs(program),
        _classes(program, module),
        {
            name: program.constants[path]
            for name, path in program.graph_signature.inputs_to_lifted_tensor_constants.items()
            if not program.constants[path].is_floating_point()
        },
        _symbols(program),
        {
            path: (part.num_heads, part.batch_first)
            for path, part in (() if module is None else module.named_modules())
            if isinstance(part, torch.nn.MultiheadAttention)
        },
    )
    Translation(source, graph, missing=regions).run()
    record_structure(graph, _nest(program))
    _say_what_is_lost(program, module, graph)
    if graph.notes:
        graph.graph.metadata_props[NOTES] = json.dumps(graph.notes)
    model = Model(name, ir.Model(graph.graph, ir_version=11, producer_name="assay"))
    fold(model, exact=True)  # what depends on known sizes alone, such as the mask of the future
    if module is not None:
        _keep_names(model, module)
    return model


def _keep_names(model: Model, module: torch.nn.Module) -> None:
    """What a strict `load_state_dict` asks for beyond the graph: other names of a parameter, and parameters of modules that
    are written which evaluation does not use."""
    initializers = model.graph.initializers
    names: dict[int, list[str]] = {}
    held = dict(module.named_parameters(remove_duplicate=False))
    for name, parameter in held.items():
        names.setdefault(id(parameter), []).append(name)
    for group in names.values():
        known = next((name for name in group if name in initializers), None)
        if known is not None and len(group) > 1:
            initializers[known].metadata_props[ALIASES] = json.dumps([name for name in group if name != known])
        elif known is None and group[0].rpartition(".")[0] in model.modules:
            array = held[group[0]].detach().cpu().numpy()
            value = ir.Value(name=group[0], const_value=ir.tensor(array, name=group[0]), shape=ir.Shape(array.shape))
            value.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            value.metadata_props.update({ROLE: "constant", KEPT: "parameter"})
            initializers[group[0]] = value


def _weights(program: ExportedProgram, module: torch.nn.Module | None, graph: Graph) -> dict[str, Weight]:
    """Parameters, buffers and constants by placeholder, under the names that the module's state_dict has for them."""
    signature = program.graph_signature
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    frozen = _frozen(module)
    found = {}
    for node in program.graph.nodes:
        if node.op != "placeholder" or node.name not in named:
            continue
        path = named[node.name]
        tensor = program.state_dict[path] if path in program.state_dict else program.constants[path]
        trained = node.name in signature.inputs_to_parameters and path not in frozen
        role = "parameter" if trained else "constant"
        if path.rpartition(".")[2] in _STATISTICS and tensor.is_floating_point():
            role = "statistic"
        if tensor.dtype == torch.bfloat16 or tensor.is_complex():
            raise ModelError(f"{path} is of type {tensor.dtype}: bring the model in float32 (module.float())")
        array = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
        kept = path in frozen or (path in signature.buffers and path not in signature.non_persistent_buffers)
        found[node.name] = Weight(path, array, role, len(node.users), kept)
    return found


def _frozen(module: torch.nn.Module | None) -> set[str]:
    """The parameters that training leaves as they are. Of a module with all of them frozen, none: it was made ready to
    predict, and would have nothing to train."""
    if module is None:
        return set()
    every = dict(module.named_parameters(remove_duplicate=False))
    found = {name for name, parameter in every.items() if not parameter.requires_grad}
    return set() if len(found) == len(every) else found


def _outputs(program: ExportedProgram) -> list[tuple[str, Any]]:
    """The tensors that the model gives, flat, with the names that dicts and dataclasses give them."""
    tensors = [item for item in _results(program) if isinstance(item, torch.fx.Node)]
    names = dict(_named("", _nest(program)))
    return [(names.get(place, ""), item) for place, item in enumerate(tensors)]


def _nest(program: ExportedProgram) -> Any:
    """What the module gives, with the places of the tensors among them where these are."""
    places = itertools.count()
    leaves = [next(places) if isinstance(item, torch.fx.Node) else None for item in _results(program)]
    return pytree.tree_unflatten(leaves, program.call_spec.out_spec)


def _results(program: ExportedProgram) -> list[Any]:
    """Nodes, and what is no tensor."""
    node = next(item for item in program.graph.nodes if item.op == "output")
    return list(node.args[0])


def _named(name: str, value: Any) -> Iterator[tuple[int, str]]:
    """Place → name, from a structure of places."""
    if isinstance(value, Mapping):
        parts: Any = value.items()
    elif is_dataclass(value):
        parts = vars(value).items()
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = zip(value._fields, value, strict=True)
    elif isinstance(value, (tuple, list)):
        parts = [(str(place) if name else "", item) for place, item in enumerate(value)]
    else:
        if isinstance(value, int):
            yield value, name
        return
    for key, item in parts:
        yield from _named("_".join(part for part in (name, str(key)) if part), item)


def _classes(program: ExportedProgram, module: torch.nn.Module | None) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Module path → what its class is called, and the arguments of its forward method."""
    if module is None:
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for node in program.graph.nodes:
            for path, kind in (node.meta.get("nn_module_stack") or {}).values():
                found[path.partition("@")[0]] = (str(kind).rpartition(".")[2], ())
        return found
    return {path: (_class_name(part), forward_arguments(part)) for path, part in module.named_modules()}


def _class_name(module: torch.nn.Module) -> str:
    """The class; one that is nothing but a chain of its parts is a Sequential, whatever it is called."""
    chain = type(module).forward is torch.nn.Sequential.forward
    if isinstance(module, (torch.nn.LSTM, torch.nn.GRU)) and module.num_layers > 1:
        return f"Stacked{type(module).__name__}"
    return "Sequential" if chain else type(module).__name__


def _symbols(program: ExportedProgram) -> dict[str, str]:
    """torch's names of open sizes → ours. The first axis of the inputs is the batch."""
    found: dict[str, str] = {}
    wanted = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted and hasattr(node.meta["val"], "shape"):
            for axis, size in enumerate(node.meta["val"].shape):
                if not isinstance(size, int):
                    found.setdefault(str(size), "batch" if axis == 0 else f"{node.name}_{axis}")
    return found


def _say_what_is_lost(program: ExportedProgram, module: torch.nn.Module | None, graph: Graph) -> None:
    """Notes what the module has and a graph of its evaluation does not show."""
    if module is None:
        return
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    graph.notes.extend(f"{' and '.join(shared)} are one parameter" for shared in names.values() if len(shared) > 1)
    stacks = [node.meta["nn_module_stack"] for node in program.graph.nodes if node.meta.get("nn_module_stack")]
    used = {list(stack.values())[-1][0].partition("@")[0] for stack in stacks}
    lost: dict[str, list[str]] = {}
    if frozen := _frozen(module):
        lost["requires no gradient, and is a buffer in the written code, which is not trained either"] = sorted(frozen)
    absent: list[str] = []  # modules with weights of which evaluation uses none, such as an auxiliary classifier
    for path, part in module.named_modules():
        if any(path.startswith(f"{other}.") for other in absent):
            continue
        own = [f"{path}.{name}" for name, _ in part.named_parameters()]
        reached = any(other == path or other.startswith(f"{path}.") for other in used)
        if path and own and not reached and not any(name in graph.graph.initializers for name in own):
            absent.append(path)
            graph.notes.append(
                f"{path}: {type(part).__name__} takes no part in evaluation; neither it nor its weights are brought"
            )
            continue
        if isinstance(part, torch.nn.MultiheadAttention) and part.dropout and path in used:
            lost.setdefault(
                f"dropout of {part.dropout} on the weights of attention is not written for training", []
            ).append(path)
        held = any(f"{path}.{name}" in graph.graph.initializers for name, _ in part.named_parameters(recurse=False))
        silent = held or isinstance(part, _SILENT)  # weights that another module's forward uses are there
        if path not in used and not any(True for _ in part.children()) and not silent:
            what = f"{type(part).__name__} does nothing in evaluation and is not brought"
            lost.setdefault(what, []).append(path)
    for what, paths in lost.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        graph.notes.append(f"{paths[0]}{more}: {what}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


__all__ = ["bring", "load_file"]
