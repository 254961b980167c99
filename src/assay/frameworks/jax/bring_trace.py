"""Following a Flax module: its jaxpr, in which layers of Flax stay whole and every operation knows its module.

While the module is followed, the calls of its parts are watched: each is a named scope, and a layer of Flax whose
arguments ONNX can express is recorded as one operation (`layer`) instead of its insides.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from flax import nnx

PATH = "_assay_path"  # on a module while it is followed: it survives the copies that nnx.jit and the like make
_CALL = "__call__"
_TOKEN = re.compile(r"assay(\d+)_")

layer = jax.extend.core.Primitive("layer")
layer.multiple_results = True


def _results(*_: Any, results: tuple[Any, ...], **__: Any) -> list[Any]:
    return list(results)


layer.def_abstract_eval(_results)


@dataclass(frozen=True)
class Recorded:
    """A call of a layer as one operation: its kind, its arrays, and its other arguments."""

    kind: str
    arrays: tuple[Any, ...]
    options: dict[str, Any]
    results: tuple[Any, ...] | None = None  # shapes and types; None: those that the layer itself gives
    tree: Any = None  # a function from the list of results to what the layer gives; None for a single result


Recorder = Callable[..., Recorded | None]


@dataclass
class Watch:
    """The module calls under way, and all that there have been."""

    entered: list[tuple[str, int]] = field(default_factory=list)  # by token: path, call number
    stack: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def call(self, path: str) -> Iterator[None]:
        """Everything inside belongs to one more call of the module at a path."""
        number = self.calls.get(path, 0)
        self.calls[path] = number + 1
        self.entered.append((path, number))
        self.stack.append(path)
        try:
            with jax.named_scope(f"assay{len(self.entered) - 1}_"):
                yield
        finally:
            self.stack.pop()

    def scopes(self, *names: str) -> tuple[tuple[str, int], ...]:
        """The module calls that name stacks, from the outermost jaxpr to the innermost, speak of."""
        found: list[tuple[str, int]] = []
        for name in names:
            for token in _TOKEN.findall(name):
                entry = self.entered[int(token)]
                if entry not in found:
                    found.append(entry)
        return tuple(found)


_watch: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("watch", default=None)


def paths_of(module: Any) -> dict[str, Any]:
    """Path → module, for everything inside that can be called; the elements of a Sequential are `net.0`, not `net.layers.0`."""
    sequences = {path for path, item in nnx.iter_graph(module) if isinstance(item, nnx.Sequential)}
    found = {}
    for path, item in nnx.iter_graph(module):
        if isinstance(item, nnx.Module):
            found[shown_path(path, sequences)] = item
    return found


def shown_path(path: Sequence[Any], sequences: set[tuple[Any, ...]]) -> str:
    """A path as the graph has it: without the attribute in which a Sequential keeps its elements."""
    parts = [
        str(part)
        for place, part in enumerate(path)
        if not (part == "layers" and tuple(path[:place]) in sequences and place < len(path) - 1)
    ]
    return ".".join(parts)


def widen(module: Any) -> None:
    """Makes layers compute in float64 (and begin with states of it) that were told to in float32."""
    for _, item in nnx.iter_graph(module):
        for name in ("dtype", "param_dtype"):
            if isinstance(item, nnx.Module) and getattr(item, name, None) is jnp.float32:
                setattr(item, name, jnp.float64)


def stamp(module: Any) -> dict[str, Any]:
    """Tells every module inside its path; gives path → module."""
    found = paths_of(module)
    for path, item in found.items():
        if callable(item):
            with contextlib.suppress(Exception):  # a class of the user's may refuse attributes: then it is no scope
                setattr(item, PATH, path)
    return found


@contextlib.contextmanager
def watching(
    modules: dict[str, Any], recorders: dict[Any, Recorder], functions: Sequence[tuple[Any, str, Recorder]]
) -> Iterator[Watch]:
    """While this is open, calls of the modules are watched, and layers and functions with a recorder are recorded.

    `recorders`: class of Flax → recorder(module, …); `functions`: (namespace, name, recorder).
    """
    watch = Watch()
    token = _watch.set(watch)
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for owner in {base: None for item in modules.values() for base in type(item).__mro__}:
            original = vars(owner).get(_CALL)
            if inspect.isfunction(original) and owner not in (nnx.Module, object):
                replaced.append((owner, _CALL, original))
                setattr(owner, _CALL, _watched(original, owner, recorders.get(owner)))
        for namespace, name, recorder in functions:
            original = getattr(namespace, name)
            replaced.append((namespace, name, original))
            setattr(namespace, name, recorded_function(original, recorder))
        yield watch
    finally:
        for owner, name, original in reversed(replaced):
            setattr(owner, name, original)
        _watch.reset(token)


def _watched(original: Callable[..., Any], owner: type, recorder: Recorder | None) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        watch, path = _watch.get(), getattr(self, PATH, None)
        if watch is None or path is None:
            return original(self, *args, **kwargs)
        if watch.stack and watch.stack[-1] == path:  # a class that calls the method of its base
            return _inside(watch, self, args, kwargs)
        with watch.call(path):
            return _inside(watch, self, args, kwargs)

    def _inside(watch: Watch, self: Any, args: Any, kwargs: Any) -> Any:
        if owner is nnx.Sequential:
            return _sequence(watch, self, args, kwargs)
        given = None if recorder is None else recorder(self, *args, **kwargs)
        if given is None:
            return original(self, *args, **kwargs)
        return record(given, lambda: original(self, *args, **kwargs))

    call.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    call.__wrapped__ = original  # type: ignore[attr-defined]
    return call


def _sequence(watch: Watch, module: Any, args: Any, kwargs: Any) -> Any:
    """What `nnx.Sequential` does; its elements that are functions are scopes too."""
    output: Any = None
    for place, element in enumerate(module.layers):
        if place:
            args, kwargs = _handed_on(output)
        if isinstance(element, nnx.Module):
            output = element(*args, **kwargs)
        else:
            with watch.call(f"{getattr(module, PATH)}.{place}".lstrip(".")):
                output = element(*args, **kwargs)
    return output


def _handed_on(output: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(output, tuple):
        return output, {}
    return ((), output) if isinstance(output, dict) else ((output,), {})


def recorded_function(original: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """A function that is recorded as one operation where its recorder can express the call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        given = None if _watch.get() is None else recorder(*args, **kwargs)
        if given is None:
            return original(*args, **kwargs)
        return record(given, lambda: original(*args, **kwargs))

    return call


def record(given: Recorded, original: Callable[[], Any]) -> Any:
    """Puts one operation into the jaxpr being traced."""
    results = given.results
    if results is None:
        results = tuple(jax.tree.leaves(jax.eval_shape(original)))
    shaped = tuple(jax.core.ShapedArray(item.shape, item.dtype) for item in results)
    options = tuple(sorted(given.options.items()))
    outputs = layer.bind(*given.arrays, kind=given.kind, options=options, results=shaped)
    return outputs[0] if given.tree is None else given.tree(outputs)
