"""The English of Python's own help topics, as characters (comes with assay)."""

from __future__ import annotations

import gzip
import json

import numpy as np

from assay.errors import DataError
from assay.workloads.data.base import FILES, Dataset, Split

VOCABULARY = "\n" + "".join(map(chr, range(32, 127)))  # 96 symbols: a line's end and printable ASCII
WINDOW = 64

_INDEX = {symbol: index for index, symbol in enumerate(VOCABULARY)}


def topics() -> Dataset:
    """Windows of 64 characters, int64 (n, 64), with the next character of each position as target, int64 (n, 64).

    Windows follow one another without overlap. Whole topics are held out for the test, and none of them shares a
    paragraph with a topic for training.
    """
    parts = json.loads(gzip.decompress((FILES / "topics.json.gz").read_bytes()))
    train, test = (_windows("\n\n".join(parts[name].values())) for name in ("train", "test"))
    return Dataset(
        train,
        test,
        description="the English text of Python's help topics as windows of 64 characters, 96 symbols",
        source="pydoc_data.topics of Python 3.11.7; https://docs.python.org/3.11/reference/",
        licence="PSF-2.0",
        citation="Python Software Foundation (2023). The Python Language Reference, 3.11.7. "
        "https://docs.python.org/3.11/reference/",
    )


def encode(text: str) -> np.ndarray:
    """Text → indices into `VOCABULARY`, int64 (characters,). Raises DataError for a character that is not in it."""
    try:
        return np.array([_INDEX[symbol] for symbol in text], dtype=np.int64)
    except KeyError as missing:
        raise DataError(
            f"the character {missing.args[0]!r} is not among the {len(VOCABULARY)} symbols of the vocabulary: "
            "use a line's end and printable ASCII only"
        ) from None


def decode(indices: np.ndarray) -> str:
    """Indices → text; the inverse of `encode`. Raises DataError for an index outside 0 … 95."""
    flat = np.asarray(indices).ravel()
    if flat.size and not 0 <= flat.min() <= flat.max() < len(VOCABULARY):
        raise DataError(f"indices run from {flat.min()} to {flat.max()}: the vocabulary has 0 to {len(VOCABULARY) - 1}")
    return "".join(VOCABULARY[index] for index in flat.tolist())


def _windows(text: str) -> Split:
    indices = encode(text)
    count = (len(indices) - 1) // WINDOW
    inputs = indices[: count * WINDOW].reshape(count, WINDOW)
    targets = indices[1 : count * WINDOW + 1].reshape(count, WINDOW)
    return Split((inputs.copy(),), targets.copy())
