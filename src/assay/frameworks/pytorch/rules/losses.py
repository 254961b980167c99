"""Losses."""

from __future__ import annotations

from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, targets
from assay.graph.calls import Call
from assay.write.body import Builder


def _options(call: Call, w: Builder) -> str:
    ignored, reduction = call.attribute("ignore_index"), call.attribute("reduction", "mean")
    weight = call.computed(2)
    return arguments_of(
        None if weight is None else f"weight={w.array(weight)}",
        None if ignored is None else f"ignore_index={ignored}",
        f'reduction="{reduction}"' if reduction in ("none", "sum") else None,
    )


@TABLE.rule("NegativeLogLikelihoodLoss")
def negative_log_likelihood(call: Call, w: Builder) -> None:
    labels = f"{w.array(call.inputs[1])}.long()"
    w.emit(call.y, f"F.nll_loss({arguments_of(w.array(call.x), labels, _options(call, w))})", light=True)


@TABLE.rule("SoftmaxCrossEntropyLoss")
def cross_entropy(call: Call, w: Builder) -> None:
    labels = f"{w.array(call.inputs[1])}.long()"
    outputs = targets(call)
    if len(outputs) < 2 or outputs[1] is None:
        text = arguments_of(w.array(call.x), labels, _options(call, w))
        return w.emit(call.y, f"F.cross_entropy({text})", light=True)
    w.emit(outputs[1], f"F.log_softmax({w.array(call.x)}, dim=1)")
    w.emit(call.y, f"F.nll_loss({arguments_of(w.use(outputs[1]), labels, _options(call, w))})", light=True)
