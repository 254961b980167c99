"""Fourier transforms and what belongs to them. Windows are written by ONNX's own definitions."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.jax.rules.common import TABLE, dtype_text, number_of, options
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("DFT")
def fourier(call: Call, w: Builder) -> None:
    axis = number_of(call, w, 2)
    if "axis" in call.attributes:
        axis = str(call.attribute("axis"))
    more = options(
        length=number_of(call, w, 1),
        axis=axis if axis != "-2" else None,
        inverse=True if call.attribute("inverse", 0) else None,
        one_sided=True if call.attribute("onesided", 0) else None,
    )
    w.emit(call.y, f"fourier_transform({w.array(call.x)}{more})", light=True)


@TABLE.rule("STFT")
def short_time_fourier(call: Call, w: Builder) -> None:
    window = call.computed(2)
    more = options(
        window=None if window is None else w.array(window),
        length=number_of(call, w, 3),
        one_sided=None if call.attribute("onesided", 1) else False,
    )
    w.emit(call.y, f"short_time_fourier_transform({w.array(call.x)}, {number_of(call, w, 1)}{more})")


@TABLE.rule("MelWeightMatrix")
def mel_weights(call: Call, w: Builder) -> None:
    given = ", ".join(str(number_of(call, w, slot)) for slot in range(5))
    call.attribute("output_datatype", 1)
    kind = call.y.dtype
    w.emit(
        call.y, f"mel_weights({given}{options(dtype=None if kind in (None, ir.DataType.FLOAT) else dtype_text(kind))})"
    )
