"""Operators on strings, which ONNX keeps in arrays of Python objects."""

from __future__ import annotations

import re

import numpy as np


def string_normalizer(
    x: np.ndarray, *, case: str = "NONE", case_sensitive: bool = False, stopwords: tuple[str, ...] = ()
) -> np.ndarray:
    """Drops the elements of a [C] or [1, C] array that are stop words, then changes the case of the others.

    `case` is "LOWER", "UPPER" or "NONE". If nothing is left, one empty string is.
    """
    stops = {word if case_sensitive else word.lower() for word in stopwords}
    kept = [text for text in x.ravel().tolist() if (text if case_sensitive else text.lower()) not in stops]
    if case == "LOWER":
        kept = [text.lower() for text in kept]
    elif case == "UPPER":
        kept = [text.upper() for text in kept]
    found = np.array(kept or [""], dtype=object)
    return found if x.ndim == 1 else found[None]


def string_split(x: np.ndarray, *, delimiter: str = "", maxsplit: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """The parts of every string along a new last axis, filled up with empty strings, and how many parts each has.

    Without a delimiter strings are split at runs of white space. `maxsplit` of -1 splits everywhere.
    """
    parts = [text.split(delimiter or None, maxsplit) for text in x.ravel().tolist()]
    counts = np.array([len(part) for part in parts], dtype=np.int64).reshape(x.shape)
    longest = int(counts.max(initial=0))
    padded = np.full((len(parts), longest), "", dtype=object)
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return padded.reshape(*x.shape, longest), counts


def string_concat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Joins strings element by element; the arrays broadcast."""
    return np.asarray(np.asarray(x, dtype=object) + np.asarray(y, dtype=object), dtype=object)


# The character classes of POSIX, which Python does not know.
POSIX_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


def regex_full_match(x: np.ndarray, *, pattern: str) -> np.ndarray:
    r"""Whether a pattern in the syntax of RE2 matches the whole of each string.

    As in RE2, `\w`, `\d`, `\s` and `\b` speak of ASCII, `$` is the end of the text, and there are POSIX classes. What
    Python's `re` does not know (`\pN`, `\Q…\E`, `[:^alpha:]`) raises `re.error`.
    """

    def translated(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("[:"):
            if text[2:-2] not in POSIX_CLASSES:
                raise re.error(f"there is no character class {text}", pattern)
            return POSIX_CLASSES[text[2:-2]]
        return {r"\z": r"\Z", "$": r"\Z"}.get(text, text)

    inside_a_class = r"\[(?:\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*)\]"  # [^]a-z[:digit:]]
    multi_line = re.match(r"\(\?[a-z]*m", pattern)

    def rewritten(found: re.Match[str]) -> str:
        if found[0].startswith("["):
            return re.sub(r"\[:\^?\w+:\]|\\.", translated, found[0])
        return found[0] if found[0] == "$" and multi_line else translated(found)

    python = re.sub(rf"\\.|\$|{inside_a_class}", rewritten, pattern, flags=re.DOTALL)
    compiled = re.compile(python, re.ASCII if re.search(r"\\[wWdDsSbB]", python) else 0)
    matches = [compiled.fullmatch(text) is not None for text in x.ravel().tolist()]
    return np.array(matches, dtype=bool).reshape(x.shape)


def tfidf_vectorizer(
    x: np.ndarray,
    *,
    mode: str,
    pool: tuple[int | str, ...],
    ngram_counts: tuple[int, ...],
    ngram_indexes: tuple[int, ...],
    min_gram_length: int,
    max_gram_length: int,
    max_skip_count: int = 0,
    weights: tuple[float, ...] | None = None,
) -> np.ndarray:
    """How often each n-gram of a pool stands in a [C] array, or in each row of an [N, C] array.

    The pool holds all 1-grams, then all 2-grams …; n-grams of length n begin at `ngram_counts[n - 1]`. The i-th n-gram
    of the pool is counted in column `ngram_indexes[i]`. The items of an n-gram may be up to `max_skip_count` items apart.
    `mode` "TF" gives counts, "IDF" the weights of the columns that were found, "TFIDF" counts times weights.
    """
    starts = [*ngram_counts, len(pool)]
    columns, number = {}, 0
    for length in range(1, len(starts)):
        for start in range(starts[length - 1], starts[length] - length + 1, length):
            if min_gram_length <= length <= max_gram_length:
                columns[tuple(pool[start : start + length])] = ngram_indexes[number]
            number += 1
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    counts = np.zeros((len(rows), max(ngram_indexes) + 1), dtype=np.float32)
    for count, row in zip(counts, rows.tolist(), strict=True):
        for length in range(min_gram_length, max_gram_length + 1):
            for step in range(1, max_skip_count + 2 if length > 1 else 2):
                for start in range(len(row) - step * (length - 1)):
                    gram = tuple(row[start : start + step * (length - 1) + 1 : step])
                    if gram in columns:
                        count[columns[gram]] += 1
    if mode == "IDF":
        counts = (counts > 0).astype(np.float32)
    if mode != "TF" and weights is not None:
        counts *= np.array(weights, dtype=np.float32)
    return counts[0] if x.ndim < 2 else counts
