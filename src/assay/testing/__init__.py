"""The conformance suite that every framework of assay passes, shipped so that a new one's author can run it.

    python -m assay.testing layers --framework jax

Each case is a small net: its package is written, loaded, and held against the float64 truth of ONNX's reference; its
gradients against finite differences. What a framework cannot do is an entry of its gaps.toml, and entries are strict.
"""

from assay.testing.cases import LAYERS, SUITES, Case, Net, chain, select
from assay.testing.gaps import Fault, Gap, Outcome, judge, load_gaps, unmatched
from assay.testing.run import faults_of

__all__ = [
    "LAYERS",
    "SUITES",
    "Case",
    "Fault",
    "Gap",
    "Net",
    "Outcome",
    "chain",
    "faults_of",
    "judge",
    "load_gaps",
    "select",
    "unmatched",
]
