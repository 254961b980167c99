"""Keras' lowering table: Keras 3 layers and keras.ops, channels-last, the same for every backend."""

from assay.frameworks.keras.rules import (
    arithmetic,
    attention,
    control,
    image,
    indexing,
    linear,
    normalisation,
    recurrent,
    reduction,
    shaping,
    signal,
    spatial,
    text,
    training,
    types,
)
from assay.frameworks.keras.rules.common import TABLE

__all__ = ["TABLE"]

FAMILIES = (
    *(arithmetic, attention, control, image, indexing, linear, normalisation, recurrent, reduction, shaping),
    *(signal, spatial, text, training, types),
)
