"""Dropout, random numbers, and the training operators."""

from __future__ import annotations

from assay.frameworks.pytorch.rules.common import TABLE, call_layer
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.table import positional


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio = call.constant(1)
    rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
    call.attribute("seed")
    w.in_training()
    call_layer(call, w, "nn.Dropout", [positional(rate, "rate")], [])
