"""ACTG 175: will the disease progress? A table of patients at the start of a clinical trial (read from lifelines)."""

from __future__ import annotations

import csv
import io

import numpy as np

from assay.workloads.data.base import Dataset, Split, installed_file, require_digest, stratified_split

_FILE = "datasets/ACTG175.csv"
_DIGEST = "56fba31fa0d7bfbff9667b7149fd96a97c352e72aa582871a62a935e812f0e07"
_TEST_SHARE = 0.2

# Left out: the row's number and `pidnum`, which identify; `offtrt`, `cd420`, `cd496`, `r`, `cd820` and `days`, which
# are known only after the start and give the outcome away; `zprior`, the same for all; `treat` and `str2`, which
# repeat `arms` and `strat`.
_NUMBERS = ("age", "wtkg", "karnof", "preanti", "cd40", "cd80")
_FLAGS = ("hemo", "homo", "drugs", "oprior", "z30", "race", "gender", "symptom")
_CATEGORIES = {"strat": ("1", "2", "3"), "arms": ("0", "1", "2", "3")}
_OUTCOME = "cens"

FEATURES = (*_NUMBERS, *_FLAGS, *(f"{name}={value}" for name, values in _CATEGORIES.items() for value in values))


def outcomes(seed: int = 0) -> Dataset:
    """2,139 patients: features float32 (n, 21) named in `FEATURES`, outcome float32 (n, 1); 1,711 to train.

    The outcome is 1 (24 % of the patients) when the CD4 count halved, AIDS developed or the patient died. Numbers are
    standardised with the mean and deviation of the training part, flags are 0 or 1, categories one flag for each value.
    Read from lifelines' file without importing lifelines. The split is stratified by outcome.
    """
    path = installed_file("lifelines", _FILE, since="0.30.3")
    content = path.read_bytes()
    require_digest(content, _DIGEST, str(path))
    rows = list(csv.DictReader(io.StringIO(content.decode("ascii"))))
    outcome = _column(rows, _OUTCOME)
    train, test = stratified_split(outcome, _TEST_SHARE, seed)

    numbers = np.stack([_column(rows, name) for name in _NUMBERS], axis=1)
    numbers = (numbers - numbers[train].mean(axis=0)) / numbers[train].std(axis=0)
    flags = np.stack([_column(rows, name) for name in _FLAGS], axis=1)
    members = np.array([[row[name] == value for name in _CATEGORIES for value in _CATEGORIES[name]] for row in rows])
    features = np.concatenate([numbers, flags, members], axis=1).astype(np.float32)
    targets = outcome.astype(np.float32)[:, None]
    return Dataset(
        Split((features[train],), targets[train]),
        Split((features[test],), targets[test]),
        description="2,139 HIV patients at the start of a trial of four treatments; does the disease progress? 24 % do",
        source="AIDS Clinical Trials Group Study 175, as in lifelines; https://doi.org/10.24432/C5ZG8F",
        licence="none is stated with the data; lifelines, which distributes it, is under the MIT licence",
        citation="S. M. Hammer et al. (1996). A trial comparing nucleoside monotherapy with combination therapy in "
        "HIV-infected adults with CD4 cell counts from 200 to 500 per cubic millimeter. "
        "New England Journal of Medicine 335 (15), 1081-1090. https://doi.org/10.1056/NEJM199610103351501",
    )


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])
