"""All cases of the conformance suite, a family in each file."""

from __future__ import annotations

from assay.testing import activations, convolutions, layout, networks, normalisation, pooling, sequences
from assay.testing.case import Case, Net, chain, select

LAYERS: tuple[Case, ...] = (
    *convolutions.CASES,
    *pooling.CASES,
    *normalisation.CASES,
    *activations.CASES,
    *sequences.CASES,
    *layout.CASES,
    *networks.CASES,
)

SUITES: dict[str, tuple[Case, ...]] = {"layers": LAYERS}

__all__ = ["LAYERS", "SUITES", "Case", "Net", "chain", "select"]
