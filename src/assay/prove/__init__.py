"""Prove: what written packages computed in float64 in, a `Proof` for each contestant out."""

from assay.prove.compare import Judge
from assay.prove.result import FLOAT32, Check, Divergence, Proof, Worst
from assay.verb import make_callable

__all__ = ["FLOAT32", "Check", "Divergence", "Judge", "Proof", "Worst"]

make_callable(__name__, "assay.verbs.prove:prove")
