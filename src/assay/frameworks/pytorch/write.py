"""PyTorch's lowering table: its rules, by family, are in `rules/`."""

from assay.frameworks.pytorch.rules import (  # noqa: F401  they register themselves
    arithmetic,
    attention,
    indexing,
    linear,
    normalisation,
    recurrent,
    reduction,
    shaping,
    spatial,
    training,
    types,
)
from assay.frameworks.pytorch.rules.common import TABLE

__all__ = ["TABLE"]
