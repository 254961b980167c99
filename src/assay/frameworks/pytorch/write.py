"""PyTorch's lowering table: its rules, by family, are in `rules/`."""

from assay.frameworks.pytorch.rules import (  # noqa: F401  they register themselves
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
from assay.frameworks.pytorch.rules.common import TABLE

__all__ = ["TABLE"]
