"""TensorFlow's lowering table, put together from its families of operators."""

from __future__ import annotations

from assay.frameworks.tensorflow.common import TABLE
from assay.frameworks.tensorflow.rules import (  # noqa: F401  they register their rules
    arithmetic,
    attention,
    control,
    image,
    indexing,
    linear,
    normalisation,
    pooling,
    recurrent,
    reduction,
    shaping,
    signal,
    spatial,
    text,
    training,
    types,
)

__all__ = ["TABLE"]
