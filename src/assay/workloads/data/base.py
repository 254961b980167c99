"""What every data set is, the one batch order, and how arrays are read and written.

Everything here is a function of its arguments alone: the same seed gives the same split and the same batches on every
machine, in every framework and in every version of NumPy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.errors import DataError, OutputError

Batch = tuple[tuple[np.ndarray, ...], np.ndarray]

FILES = Path(__file__).parent / "files"

# Second words of Philox' key, so that two uses of one seed never draw the same numbers. Epochs count up from 0.
_SPLIT_STREAM = 2**63
_LARGEST_SEED = 2**63


@dataclass(frozen=True, eq=False)
class Split:
    """Examples for training or for testing: the model's inputs, in order, and the targets, all with one first axis."""

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray

    def __post_init__(self) -> None:
        if not self.inputs:
            raise DataError("a split has no inputs: give at least one array, (examples, …)")
        arrays = (*self.inputs, self.targets)
        if any(array.ndim == 0 for array in arrays) or len({array.shape[0] for array in arrays}) != 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise DataError(
                f"inputs and targets have the shapes {shapes}: the first axis of all must count the same examples"
            )

    def __len__(self) -> int:
        return int(self.targets.shape[0])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Real data with its split, and where it comes from. `citation` is what its licence asks to be named."""

    train: Split
    test: Split
    description: str
    source: str
    licence: str
    citation: str


def batches(split: Split, batch_size: int, seed: int, epoch: int, drop_last: bool = True) -> Iterator[Batch]:
    """The batches of one epoch, in the one order that every framework is given.

    The order depends on `seed`, `epoch` and the number of examples, and on nothing else. `drop_last` leaves out an
    incomplete last batch, because a compiled step is compiled for one shape; the examples left out differ by epoch.

    Raises DataError for a batch size below 1 or above the number of examples, and for a negative seed or epoch.
    """
    examples = len(split)
    if not 1 <= batch_size <= examples:
        raise DataError(
            f"a batch size of {batch_size} does not fit {examples:,} examples: choose one from 1 to {examples:,}"
        )
    order = _order(examples, seed, epoch)
    last = examples - batch_size + 1 if drop_last else examples

    def draw() -> Iterator[Batch]:
        for start in range(0, last, batch_size):
            chosen = order[start : start + batch_size]
            yield tuple(array[chosen] for array in split.inputs), split.targets[chosen]

    return draw()  # a function of its own, so that the checks above run at once and not at the first batch


def stratified_split(labels: np.ndarray, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices for training and for testing, ascending; each class gives the share to the test, rounded."""
    order = _order(len(labels), seed, _SPLIT_STREAM)
    test = []
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        test.append(of_class[: round(len(of_class) * test_share)])
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.concatenate(test)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _order(count: int, seed: int, stream: int) -> np.ndarray:
    """A permutation of `count`, by sorting the raw words of Philox.

    Not `Generator.permutation`: NumPy promises the same raw words for ever, but not the same permutation.
    """
    for name, value, limit in (("seed", seed, _LARGEST_SEED), ("epoch", stream, _SPLIT_STREAM + 1)):
        if not 0 <= value < limit:
            raise DataError(f"the {name} is {value}: it must be a whole number from 0 to {limit - 1}")
    words = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def save_arrays(dataset: Dataset, path: Path) -> None:
    """Writes all arrays to one safetensors file, with the source and licence in its metadata.

    Keys: `train_inputs_0`, …, `train_targets`, `test_inputs_0`, …, `test_targets`. An interrupted or failed write
    leaves no file, or the old one. Raises OutputError when the file cannot be written.
    """
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        for index, array in enumerate(split.inputs):
            arrays[f"{name}_inputs_{index}"] = np.ascontiguousarray(array)
        arrays[f"{name}_targets"] = np.ascontiguousarray(split.targets)
    # The licences of most sets ask that their source is named wherever the data goes. One entry, because safetensors
    # writes several in an order that changes from run to run.
    attribution = "\n".join((dataset.description, dataset.source, dataset.licence, dataset.citation))
    _replace_file(Path(path), save(arrays, metadata={"attribution": attribution}))


def _replace_file(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that `path` is never half written."""
    partial = None
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o644)  # mkstemp lets only the owner read
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({len(content):,} bytes): {reason}; "
            "choose a folder that exists, can be written and has room"
        ) from error
    finally:
        if partial is not None and os.path.exists(partial):
            os.unlink(partial)


def installed_file(package: str, relative: str, since: str) -> Path:
    """A data file inside an installed package, found without importing the package (which would cost seconds).

    `since` is the first release that has the file. Raises DataError, naming the pip command, when it is missing.
    """
    remedy = f'the data is read from release {since} or later: pip install "{package}>={since}" or "assay[data]"'
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise DataError(f"{package} is not installed; {remedy}")
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / relative
        if path.is_file():
            return path
    raise DataError(f"the {package} that is installed has no file {relative}; {remedy}")


def require_digest(content: bytes, expected: str, where: str) -> None:
    """Refuses data that is not what thresholds were measured on, as a changed release or a damaged file would be."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(
            f"{where} holds other data than expected (SHA-256 {found[:16]}…, expected {expected[:16]}…): "
            "reinstall its package"
        )
