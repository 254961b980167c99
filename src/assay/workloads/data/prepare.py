"""How the files beside this module were made. Not needed to use them.

    python -m assay.workloads.data.prepare digits            # needs scikit-learn
    python -m assay.workloads.data.prepare vowels FOLDER     # with JapaneseVowels_TRAIN.ts and …_TEST.ts of aeon
    python -m assay.workloads.data.prepare topics            # needs Python 3.11.7, whose help topics are the ones kept

The arrays and texts are the same on every machine; the compressed bytes depend on the version of zlib.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from assay.workloads.data.base import FILES
from assay.workloads.data.text import VOCABULARY

_TEST_SHARE = 0.1
_TYPOGRAPHY = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "..."})


def digits_file() -> bytes:
    """scikit-learn's digits: images uint8 (1797, 8, 8) from 0 to 16, labels uint8 (1797,)."""
    bunch = importlib.import_module("sklearn.datasets").load_digits()
    return _npz(images=bunch.images.astype(np.uint8), labels=bunch.target.astype(np.uint8))


def vowels_file(folder: Path) -> bytes:
    """All frames in a row as whole millionths (six decimals are published), with the length of each utterance."""
    utterances, speakers, in_training = [], [], []
    for part in ("TRAIN", "TEST"):
        for line in (folder / f"JapaneseVowels_{part}.ts").read_text("utf-8").splitlines():
            if line.strip() and line[0] not in "#@":
                *coefficients, speaker = line.split(":")
                utterances.append(np.array([series.split(",") for series in coefficients], dtype=np.float64).T)
                speakers.append(int(speaker) - 1)
                in_training.append(part == "TRAIN")
    return _npz(
        millionths=np.rint(np.concatenate(utterances) * 1e6).astype(np.int32),
        lengths=np.array([len(utterance) for utterance in utterances], dtype=np.uint8),
        speakers=np.array(speakers, dtype=np.uint8),
        in_training=np.array(in_training),
    )


def topics_file(texts: dict[str, str]) -> bytes:
    """Help topics in the vocabulary, without those that repeat another one, in a part for training and one for testing.

    Python's topics overlap: some are sections of others. A topic all of whose paragraphs stand in a longer one is left
    out, and topics that share a paragraph stay on the same side.
    """
    texts = {name: _in_vocabulary(text) for name, text in sorted(texts.items())}
    kept: dict[str, set[str]] = {}
    for name in sorted(texts, key=lambda name: (-len(texts[name]), name)):
        mine = paragraphs(texts[name])
        if mine - set().union(*kept.values()):
            kept[name] = mine
    total = sum(len(texts[name]) for name in kept)
    test: list[str] = []
    for group in _groups(kept):
        if sum(len(texts[name]) for name in (*test, *group)) <= _TEST_SHARE * total:
            test += group
    parts = {
        "train": {name: texts[name] for name in sorted(kept) if name not in test},
        "test": {name: texts[name] for name in sorted(test)},
    }
    return gzip.compress(json.dumps(parts).encode("ascii"), compresslevel=9, mtime=0)


def paragraphs(text: str) -> set[str]:
    """The paragraphs that are long enough (40 characters) to be told apart, without their spacing."""
    return {words for part in re.split(r"\n\s*\n", text) if len(words := " ".join(part.split())) >= 40}


def _groups(kept: dict[str, set[str]]) -> list[list[str]]:
    """Topics joined wherever they share a paragraph, the smallest groups (by paragraphs) first."""
    groups: list[tuple[set[str], list[str]]] = []
    for name, mine in kept.items():
        joined = [group for group in groups if group[0] & mine]
        groups = [group for group in groups if not group[0] & mine]
        groups.append((mine.union(*(group[0] for group in joined)), [*(n for group in joined for n in group[1]), name]))
    return [names for _, names in sorted(groups, key=lambda group: (len(group[0]), group[1]))]


def _in_vocabulary(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY))
    return "".join(symbol if symbol in VOCABULARY else "?" for symbol in plain).strip("\n")


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def main(arguments: Iterable[str]) -> None:
    """Writes one of the files."""
    match list(arguments):
        case ["digits"]:
            (FILES / "digits.npz").write_bytes(digits_file())
        case ["vowels", folder]:
            (FILES / "vowels.npz").write_bytes(vowels_file(Path(folder)))
        case ["topics"]:
            from pydoc_data.topics import topics

            (FILES / "topics.json.gz").write_bytes(topics_file(topics))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
