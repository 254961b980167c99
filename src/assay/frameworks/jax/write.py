"""JAX's lowering table: Flax NNX layers, jax.numpy functions, channels-last. Its rules stand in `rules`, by family."""

from assay.frameworks.jax.rules import (
    arithmetic,
    attention,
    control,
    image,
    indexing,
    linear,
    losses,
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
from assay.frameworks.jax.rules.common import TABLE

FAMILIES = (
    *(arithmetic, attention, control, image, indexing, linear, losses, normalisation, recurrent, reduction),
    *(shaping, signal, spatial, text, training, types),
)

__all__ = ["FAMILIES", "TABLE"]
