"""Prove: what written packages computed in float64 in, a `Proof` for each contestant out."""

from assay.prove.compare import Judge
from assay.prove.result import Check, Divergence, Proof, Worst

__all__ = ["Check", "Divergence", "Judge", "Proof", "Worst"]
