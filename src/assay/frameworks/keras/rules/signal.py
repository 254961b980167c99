"""Fourier transforms."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, number, present, type_of
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("DFT")
def dft(call: Call, w: Builder) -> None:
    more = f", length={number(call, w, 1, None)}" if present(call, 1) else ""
    old = call.attribute("axis")
    axis = old if old is not None else number(call, w, 2, -2)
    more += f", axis={axis}"
    more += ", inverse=True" if call.attribute("inverse", 0) else ""
    more += ", onesided=True" if call.attribute("onesided", 0) else ""
    w.emit(call.y, f"dft({w.array(call.x)}{more})", light=True)


@TABLE.rule("STFT")
def stft(call: Call, w: Builder) -> None:
    window = call.inputs[2] if len(call.inputs) > 2 else None
    more = f", window={w.array(window)}" if window is not None else ""
    more += f", length={number(call, w, 3, None)}" if present(call, 3) else ""
    more += "" if call.attribute("onesided", 1) else ", onesided=False"
    w.emit(call.y, f"stft({w.array(call.x)}, {number(call, w, 1, None)}{more})", light=True)


@TABLE.rule("MelWeightMatrix")
def mel_weights(call: Call, w: Builder) -> None:
    call.attribute("output_datatype")
    listed = ", ".join(number(call, w, slot, None) for slot in range(5))
    w.emit(call.y, f'mel_weights({listed}, "{type_of(call.y)}")', light=True)
