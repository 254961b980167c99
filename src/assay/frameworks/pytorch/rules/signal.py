"""Fourier transforms."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, number, type_of
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("DFT")
def fourier_transform(call: Call, w: Builder) -> None:
    inverse, onesided = call.attribute("inverse", 0), call.attribute("onesided", 0)
    length, axis = number(call, w, 1), number(call, w, 2)
    old = call.attribute("axis")  # an attribute up to opset 19
    axis = axis if axis is not None else None if old is None else str(old)
    options = [
        f"length={length}" if length is not None else None,
        f"axis={axis}" if axis not in (None, "-2") else None,
        "inverse=True" if inverse else None,
        "onesided=True" if onesided else None,
    ]
    w.emit(call.y, f"fourier_transform({arguments_of(w.array(call.x), *options)})", light=True)


@TABLE.rule("STFT")
def short_time_transform(call: Call, w: Builder) -> None:
    onesided = call.attribute("onesided", 1)
    step, length, window = number(call, w, 1), number(call, w, 3), call.computed(2)
    options = [
        f"window={w.array(window)}" if window is not None else None,
        f"length={length}" if length is not None else None,
        None if onesided else "onesided=False",
    ]
    w.emit(call.y, f"fourier_transform_of_frames({arguments_of(w.array(call.x), step, *options)})", light=True)


@TABLE.rule("HannWindow", "HammingWindow", "BlackmanWindow")
def window(call: Call, w: Builder) -> None:
    size, periodic = number(call, w, 0), call.attribute("periodic", 1)
    kind = ir.DataType(call.attribute("output_datatype", 1))
    name = {"HannWindow": "hann", "HammingWindow": "hamming", "BlackmanWindow": "blackman"}[call.kind]
    more = ", alpha=25 / 46, beta=21 / 46" if name == "hamming" else ""
    more = f", periodic={bool(periodic)}{more}" if more or not periodic else ""
    target = type_of(call.y)
    wide = kind in (ir.DataType.FLOAT, ir.DataType.DOUBLE)
    text = f"torch.{name}_window({size}{more}, dtype={target if wide else 'torch.float64'})"
    w.emit(call.y, text if wide else f"{text}.to({target})", light=True)


@TABLE.rule("MelWeightMatrix")
def mel_weights(call: Call, w: Builder) -> None:
    kind = type_of(call.y)
    call.attribute("output_datatype")
    operands = [str(number(call, w, slot)) for slot in range(5)]
    w.emit(call.y, f"mel_weights({', '.join(operands)}).to({kind})", light=True)
