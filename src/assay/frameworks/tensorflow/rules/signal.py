"""TensorFlow's lowering table: Fourier transforms."""

from __future__ import annotations

import numpy as np

from assay.frameworks.tensorflow.common import TABLE, carrier, given, in_order, kind_of, optional, written
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("DFT")
def fourier(call: Call, w: Builder) -> None:
    axis, length = call.constant(2), given(call, 1, w)
    attribute = call.attribute("axis", 1) if "axis" in call.attributes else -2
    place = str(int(np.reshape(axis, ()))) if axis is not None else given(call, 2, w)
    place = str(attribute) if place == "None" else place if axis is not None else f"int({place})"
    text = written(
        "fourier",
        in_order(call.x, w),
        place,
        None if length == "None" else length,
        inverse=True if call.attribute("inverse", 0) else None,
        onesided=True if call.attribute("onesided", 0) else None,
    )
    w.emit(call.y, text)


@TABLE.rule("STFT")
def short_fourier(call: Call, w: Builder) -> None:
    window, length = optional(call, 2, w), given(call, 3, w)
    step = call.constant(1)
    text = written(
        "fourier_of_frames",
        in_order(call.x, w),
        str(int(np.reshape(step, ()))) if step is not None else given(call, 1, w),
        window if window is not None or length == "None" else "None",
        None if length == "None" else length,
        onesided=None if call.attribute("onesided", 1) else False,
    )
    w.emit(call.y, text)


@TABLE.rule("MelWeightMatrix")
def mel_weights(call: Call, w: Builder) -> None:
    call.attribute("output_datatype", 1)
    parts = [given(call, slot, w) for slot in range(5)]
    w.emit(call.y, f"mel_weights({', '.join(parts)}, {carrier(kind_of(call.y))})")
