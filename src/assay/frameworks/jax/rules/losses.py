"""Losses."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import TABLE, options
from assay.graph.calls import Call
from assay.write.body import Builder


def _arguments(call: Call, w: Builder) -> str:
    weight, reduction = call.computed(2), call.attribute("reduction", "mean")
    return ", ".join(w.array(value) for value in call.inputs[:2]) + options(
        weight=None if weight is None else w.array(weight),
        reduction=None if reduction == "mean" else f'"{reduction}"',
        ignore_index=call.attribute("ignore_index", None),
    )


@TABLE.rule("NegativeLogLikelihoodLoss")
def negative_log_likelihood(call: Call, w: Builder) -> None:
    w.emit(call.y, f"negative_log_likelihood({_arguments(call, w)})")


@TABLE.rule("SoftmaxCrossEntropyLoss")
def cross_entropy(call: Call, w: Builder) -> None:
    if len(call.outputs) == 1:
        w.emit(call.y, f"cross_entropy({_arguments(call, w)})[0]")
    else:
        w.emit(call.outputs, f"cross_entropy({_arguments(call, w)})")
