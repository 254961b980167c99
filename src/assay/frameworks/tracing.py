"""What the profilers of PyTorch, JAX and TensorFlow saw, as spans in which those that compute are marked.

Keras runs on all three, so this is shared. No framework is imported here: a session hands over its own.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.frameworks.base import Span

_NOISE = re.compile(r"^(end: |ThreadpoolListener::|\$)")  # marks, and frames of the Python tracer
_KERNEL = re.compile(r"^(?!__inference|__forward|__backward)[^:]+:(_?[A-Z]\w*)$")  # node:Operator of a tf.function
_EAGER = "EagerLocalExecute: "
_RUN = "KernelAndDeviceFunc::Run"
_OPERATOR = re.compile(r"^(aten|mkldnn|onednn|quantized|torchvision)::")
# Operators of PyTorch that compute nothing: they make tensors, or other views of them.
_BOOKKEEPING = {
    f"aten::{name}"
    for name in [
        "empty",
        "empty_strided",
        "empty_like",
        "new_empty",
        "resize_",
        "set_",
        "as_strided",
        "as_strided_",
        "view",
        "_unsafe_view",
        "reshape",
        "_reshape_alias",
        "transpose",
        "t",
        "permute",
        "expand",
        "select",
        "slice",
        "narrow",
        "squeeze",
        "unsqueeze",
        "detach",
        "detach_",
        "alias",
        "unbind",
        "result_type",
        "is_nonzero",
        "item",
        "_local_scalar_dense",
        "_has_compatible_shallow_copy_type",
        "lift_fresh",
    ]
}


def with_torch(torch: Any, action: Callable[[], None], *, on_card: bool) -> list[Span]:
    """What torch.profiler sees while `action` runs."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if on_card else []
    with torch.profiler.profile(activities=kinds) as profiler:
        action()
    return [
        Span(
            f"{event.device_type} {event.thread}",
            "CompiledFxGraph" if "CompiledFxGraph" in event.name else event.name,
            event.time_range.start / 1e6,
            event.time_range.elapsed_us() / 1e6,
            _computes(event, on_card),
        )
        for event in profiler.events() or ()
    ]


def _computes(event: Any, on_card: bool) -> bool:
    """On the CPU, operators that call no other one but bookkeeping, and programs that torch.compile has made."""
    if on_card:
        return "CUDA" in str(event.device_type)
    if "CompiledFxGraph" in event.name:
        return True
    if not _OPERATOR.match(event.name) or event.name in _BOOKKEEPING:
        return False
    return all(child.name in _BOOKKEEPING for child in event.cpu_children)


def with_jax(jax: Any, action: Callable[[], None]) -> list[Span]:
    """What jax.profiler sees while `action` runs."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        with jax.profiler.trace(folder):
            action()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return spans(_events_of_jax(jax.profiler.ProfileData.from_file(str(file)).planes))


def _events_of_jax(planes: Iterable[Any]) -> Iterator[Event]:
    for plane in planes:
        for number, line in enumerate(plane.lines):
            for event in line.events:
                is_hlo = any(name == "hlo_op" for name, _ in event.stats)
                name = f"{number} {line.name}"
                yield Event(plane.name, name, event.name, event.start_ns / 1e9, event.duration_ns / 1e9, is_hlo)


def with_tensorflow(tf: Any, action: Callable[[], None]) -> list[Span]:
    """What tf.profiler sees while `action` runs."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        with tf.profiler.experimental.Profile(folder):
            action()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return spans(_events_of_tensorflow(file.read_bytes()))


def _events_of_tensorflow(content: bytes) -> Iterator[Event]:
    space = importlib.import_module("tensorflow.tsl.profiler.protobuf.xplane_pb2").XSpace.FromString(content)
    for plane in space.planes:
        hlo = {number for number, kind in plane.stat_metadata.items() if kind.name == "hlo_op"}
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                start = line.timestamp_ns / 1e9 + event.offset_ps / 1e12
                is_hlo = any(stat.metadata_id in hlo for stat in event.stats)
                yield Event(plane.name, f"{line.id} {line.name}", name, start, event.duration_ps / 1e12, is_hlo)


@dataclass(frozen=True)
class Event:
    """One event of a trace, in seconds."""

    plane: str
    line: str
    name: str
    start: float
    seconds: float
    is_hlo: bool  # it has the statistic `hlo_op`: an instruction of a program that XLA compiled


def spans(events: Iterable[Event]) -> list[Span]:
    """The events as spans, with those that compute marked."""
    found: list[Span] = []
    eager: dict[tuple[str, str], tuple[str, float]] = {}  # plane and line → operator being run eagerly, and its end
    for event in sorted(events, key=lambda one: (one.plane, one.line, one.start, -one.seconds)):
        if _NOISE.match(event.name):
            continue
        line = f"{event.plane} {event.line}"
        if event.name.startswith(_EAGER):
            eager[event.plane, event.line] = (event.name.removeprefix(_EAGER), event.start + event.seconds)
        name = _operator(event, eager.get((event.plane, event.line)))
        found.append(Span(line, name or event.name, event.start, event.seconds, name is not None))
    return found


def _operator(event: Event, eager: tuple[str, float] | None) -> str | None:
    """The operator that an event computes; None for one that prepares, dispatches or waits."""
    if event.is_hlo or event.plane.startswith("/device:"):
        return event.name
    if match := _KERNEL.match(event.name):
        return match.group(1)
    if event.name == _RUN and eager is not None and event.start < eager[1]:
        return None if eager[0].startswith("__") else eager[0]
    return None
