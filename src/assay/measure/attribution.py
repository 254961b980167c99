"""From what a profiler saw to where a call's time goes: shares of kinds of operators, and of everything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.frameworks.base import Span

OVERHEAD = "dispatch and Python"

# The first that matches an operator's name, in lower case.
_KINDS = (
    ("optimizer", r"adam|sgd|rmsprop|momentum|foreach|resourceapply|assign"),
    ("attention", r"attention|flash|sdpa"),
    ("recurrent", r"lstm|gru|rnn"),
    ("convolution", r"conv(?!ert)"),
    ("matrix product", r"matmul|gemm|addmm|bmm|\bmm\b|linear|\bdot|einsum"),
    ("normalisation", r"norm"),
    ("pooling", r"pool"),
    (
        "copies and layout",
        r"copy|transpose|contiguous|concat|\bcat\b|pad|slice|(?<!bit)cast|convert|reorder|clone|fill|zero",
    ),
    ("fused operators", r"fusion|fused|compiledfxgraph"),
    ("lookups", r"gather|scatter|embedding|index"),
    ("reductions", r"reduce|sum|mean|softmax|arg_?max|nll|entropy"),
)
OTHER = "elementwise and others"
_MOST_OPERATORS = 12


@dataclass(frozen=True)
class Operator:
    """One operator's share of the time of a call, and how often a call runs it."""

    name: str
    kind: str
    share: float
    count: float


@dataclass(frozen=True)
class Shares:
    """Of the time of a profiled call: kinds of operators, with `OVERHEAD` for the rest; they add up to 1."""

    kinds: tuple[tuple[str, float], ...]  # the largest first
    operators: tuple[Operator, ...]  # the largest first


def kind_of(operator: str) -> str:
    """`aten::mkldnn_convolution` → `convolution`."""
    name = operator.lower()
    return next((kind for kind, pattern in _KINDS if re.search(pattern, name)), OTHER)


def shares(spans: Sequence[Span], seconds: float, calls: int) -> Shares:
    """Where `seconds` of wall time, in which `calls` calls ran, went.

    Operators run on several threads at once: the time in which at least one of them ran is divided between them by what
    each took on its thread. In the rest of the wall time nothing was computed.
    """
    operators = [span for span in spans if span.is_operator]
    own = self_seconds(operators)
    total = sum(own)
    busy = min(seconds, _covered((span.start, span.start + span.seconds) for span in operators))
    found: dict[str, list[float]] = {}
    for span, took in zip(operators, own, strict=True):
        entry = found.setdefault(_plain(span.name), [0.0, 0.0])
        entry[0] += took / total * busy / seconds if total > 0 and seconds > 0 else 0.0
        entry[1] += 1 / calls
    listed = [Operator(name, kind_of(name), share, count) for name, (share, count) in found.items()]
    listed.sort(key=lambda one: -one.share)
    kinds: dict[str, float] = {OVERHEAD: max(0.0, 1 - busy / seconds) if seconds > 0 else 0.0}
    for one in listed:
        kinds[one.kind] = kinds.get(one.kind, 0.0) + one.share
    return Shares(tuple(sorted(kinds.items(), key=lambda pair: -pair[1])), tuple(listed[:_MOST_OPERATORS]))


def self_seconds(spans: Sequence[Span]) -> list[float]:
    """The time of each span without that of the spans inside it on the same line."""
    own = [span.seconds for span in spans]
    open_: dict[str, list[int]] = {}
    for index in sorted(range(len(spans)), key=lambda i: (spans[i].line, spans[i].start, -spans[i].seconds)):
        span = spans[index]
        stack = open_.setdefault(span.line, [])
        while stack and spans[stack[-1]].start + spans[stack[-1]].seconds <= span.start:
            stack.pop()
        if stack:
            own[stack[-1]] -= min(span.seconds, spans[stack[-1]].start + spans[stack[-1]].seconds - span.start)
        stack.append(index)
    return [max(0.0, seconds) for seconds in own]


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of a union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return total


def _plain(name: str) -> str:
    """Without the number that XLA gives each of several alike: `ynn_fusion.2` → `ynn_fusion`."""
    return re.sub(r"\.\d+$", "", name)
