import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diptych
from diptych.core.errors import DataError
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.evaluate import MOST_CONFUSED, class_scores, confused, evaluate


def write_pictures(folder: Path, labels: tuple[str, ...], count: int = 12) -> None:
    """Write the first test digits of each label as class folders."""
    test = read("digits", Options(seed=0)).test
    for label in labels:
        (folder / label).mkdir(parents=True)
        for row in np.flatnonzero(test.targets == int(label))[:count]:
            Image.fromarray(test.inputs[row, :, :, 0]).save(folder / label / f"{row}.png")


@pytest.mark.slow
def test_on_its_own_data_only_the_test_split_is_scored(digits_bundle: Path) -> None:
    result = evaluate(digits_bundle, "digits")
    with diptych.load(digits_bundle) as bundle:
        claimed = bundle.manifest.model.score
    assert (result.n, result.items) == (claimed.n, "test split")
    assert result.score == "accuracy"
    assert result.scores["accuracy"] == claimed


@pytest.mark.slow
def test_the_classes_add_up_to_the_whole(digits_bundle: Path) -> None:
    result = evaluate(digits_bundle, "digits")
    matrix = np.array(result.confusion)
    assert matrix.sum() == result.n == sum(score.n for score in result.per_class)
    assert np.trace(matrix) / result.n == pytest.approx(result.scores["accuracy"].value)
    for k, score in enumerate(result.per_class):
        assert score.recall is not None
        assert score.recall.value == pytest.approx(matrix[k, k] / matrix[k].sum())


def test_the_classes_of_a_tiny_bundle_add_up_to_the_whole(
    tiny_bundle: Path, make_dataset: Callable[..., Dataset]
) -> None:
    data = replace(make_dataset(channels=3, classes=3), labels=("ant", "bee", "cat"))
    result = evaluate(tiny_bundle, data)
    matrix = np.array(result.confusion)
    assert matrix.shape == (3, 3)
    assert matrix.sum() == result.n == sum(score.n for score in result.per_class)
    assert np.trace(matrix) / result.n == pytest.approx(result.scores["accuracy"].value)
    assert [score.n for score in result.per_class] == matrix.sum(axis=1).tolist()


def test_the_classes_are_scored_one_by_one_and_taken_for_each_other() -> None:
    called, targets = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0])
    first, second, third = class_scores(called, targets, ("ant", "bee", "cat"))
    assert (first.label, first.n, second.n, third.n) == ("ant", 3, 1, 0)
    assert first.recall is not None
    assert first.recall.value == pytest.approx(2 / 3)
    assert second.precision is not None
    assert second.precision.value == 1 / 2
    assert third.recall is third.precision is None
    assert confused(called, targets, 3) == ((2, 1, 0), (0, 1, 0), (0, 0, 0))


def test_of_very_many_classes_each_is_scored_and_no_matrix_is_made() -> None:
    called = targets = np.array([0, 20_000])
    labels = tuple(map(str, range(20_001)))
    tracemalloc.start()
    scores = class_scores(called, targets, labels)
    assert confused(called, targets, len(labels)) == ()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert [score.label for score in scores if score.n] == ["0", "20000"]
    assert len(confused(called[:1], targets[:1], MOST_CONFUSED)) == MOST_CONFUSED


@pytest.mark.slow
def test_other_data_is_scored_whole_even_with_fewer_labels(
    digits_bundle: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path, ("3", "7"))
    result = evaluate(digits_bundle, tmp_path)
    assert (result.n, result.items) == (24, "all items")
    assert result.scores["accuracy"].value > 0.8
    assert result.per_class[0].recall is None


@pytest.mark.slow
def test_a_few_items_of_one_class_can_be_scored(digits_bundle: Path, tmp_path: Path) -> None:
    """Training would need more of them, and another class; a score does not."""
    write_pictures(tmp_path, ("3",), count=2)
    result = evaluate(digits_bundle, tmp_path)
    assert (result.n, result.items) == (2, "all items")
    assert result.per_class[3].recall is not None


@pytest.mark.slow
def test_a_label_the_bundle_does_not_know_is_named(digits_bundle: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, ("3", "7"))
    (tmp_path / "7").rename(tmp_path / "seven")
    with pytest.raises(DataError, match="'seven'"):
        evaluate(digits_bundle, tmp_path)


@pytest.mark.slow
def test_numbers_to_tell_are_read_as_those_that_were_learned(tmp_path: Path) -> None:
    """A dot in every label could be before decimals, but was between thousands."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 200, 300)
    prices = [f"{size * 10:,}.000".replace(",", ".") for size in sizes]
    rows = [f"{size};{price}" for size, price in zip(sizes, prices, strict=True)]
    (tmp_path / "homes.csv").write_text("\n".join(["size;price", *rows]))
    small = [row for row, size in zip(rows, sizes, strict=True) if size < 100]
    (tmp_path / "small.csv").write_text("\n".join(["size;price", *small[:20]]))
    with diptych.train(tmp_path / "homes.csv", out=tmp_path / "homes.dip") as bundle:
        told = evaluate(bundle, tmp_path / "small.csv")
    assert 0 < told.scores["mae"].value < 500_000
