"""Reading as a user does: a source in, a data set out, or one clear line."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.data import READERS, read
from diptych.data.reading import Options

Tree = Callable[..., Path]


def test_digits_come_split_by_class() -> None:
    dataset = read("digits", Options(seed=3))
    assert dataset.task == "image-classification"
    assert dataset.labels == tuple("0123456789")
    assert (dataset.spec.height, dataset.spec.width, dataset.spec.channels) == (8, 8, 1)
    assert dataset.record.counts == {"train": 1294, "validation": 144, "test": 359}
    assert dataset.record.given_splits == ("train",)
    assert dataset.train.inputs.max() == 255


def test_mixed_pictures_become_one_shape(tree: Tree) -> None:
    tree({"train/a": 6, "train/b": 6}, height=40, width=30)
    root = tree({"train/c": 6, "test/a": 2, "test/b": 2}, height=50, width=70, grey=True)
    dataset = read(root)
    assert dataset.train.inputs.shape[1:] == (32, 32, 3)
    assert dataset.record.warnings[-1] == "classes absent from test: 1 ('c')"
    assert read(root, Options(image_size=16)).test.inputs.shape == (4, 16, 16, 3)


def test_pictures_that_are_in_two_splits_are_counted(tree: Tree) -> None:
    root = tree({"train/a": 12, "train/b": 12, "test/a": 1, "test/b": 1})
    (root / "test" / "a" / "copy.png").write_bytes((root / "train" / "a" / "000.png").read_bytes())
    warnings = " ".join(read(root).record.warnings)
    assert "1 of 3 test items are also in" in warnings


def test_files_whose_names_are_not_utf_8_are_read_and_spelled(tree: Tree, tmp_path: Path) -> None:
    root = tree({"caf\udce9": 6, "tea": 6})
    (root / "tea" / "000.png").rename(root / "tea" / "\udcff.png")
    (root / "tea" / "001.png").write_bytes(b"nothing")
    (root / "tea" / "001.png").rename(root / "tea" / "\udcfe.png")
    data = read(root.rename(tmp_path / "\udcfd"), Options(cache=False, skip_unreadable=True))
    assert (data.record.name, data.labels) == ("\\udcfd", ("caf\\udce9", "tea"))
    items = {*data.train.items, *data.validation.items, *data.test.items}
    assert items >= {"caf\\udce9/000.png", "tea/\\udcff.png"}
    assert [skipped.item for skipped in data.record.skipped] == ["tea/\\udcfe.png"]


def test_progress_is_reported(tree: Tree) -> None:
    steps: list[Step] = []
    read(tree({"a": 3, "b": 3}), report=steps.append)
    assert {step.stage for step in steps} == {"look at train", "decode train"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tree: Tree) -> None:
    root = tree({"a": 3, "b": 3})
    (root / "a").chmod(0)
    with pytest.raises(DataError, match=r"cannot read .*/a: permission denied"):
        read(root)


def test_an_error_of_the_system_is_one_line(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a": 3, "b": 3})
    (root / "a" / "gone.png").symlink_to(tmp_path / "absent")
    with pytest.raises(DataError, match=r"gone\.png.*no such file"):
        read(root)
    with pytest.raises(DataError, match="file name too long"):
        read("x/" + "y" * 5000)


def test_every_reader_is_a_function() -> None:
    assert set(READERS) == {"builtin", "folders", "idx", "parquet", "table"}
    assert all(callable(reader) for reader in READERS.values())


@pytest.mark.data
@pytest.mark.slow
def test_fashion_mnist_is_read_whole(shared_data: Path) -> None:
    dataset = read(shared_data / "fashion-mnist")
    assert dataset.record.counts == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert np.bincount(dataset.validation.targets).tolist() == [500] * 10
    assert dataset.train.inputs.shape[1:] == (28, 28, 1)


@pytest.mark.data
@pytest.mark.slow
def test_cifar10_is_read_whole(shared_data: Path) -> None:
    dataset = read(shared_data / "cifar10")
    assert dataset.record.counts == {"train": 45_000, "validation": 5_000, "test": 10_000}
    assert dataset.labels[:2] == ("airplane", "automobile")
    assert dataset.record.skipped == ()


def test_texts_for_a_model_of_texts_may_be_short_and_few(tmp_path: Path) -> None:
    texts = [f"this is the film number {number}, seen twice" for number in range(30)]
    rows = [f'"{text}",{"ab"[number % 2]}' for number, text in enumerate(texts)]
    (tmp_path / "long.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "short.csv").write_text("text,label,more\n" + "film,a,0\nseen,b,1\nfilm,b,1\n")
    learned = read(tmp_path / "long.csv")
    options = Options(spec=learned.spec, assets=learned.assets, to_score=True)
    found = read(tmp_path / "short.csv", options)
    assert found.spec == learned.spec
    assert sum(found.record.counts.values()) == 3


def test_numbers_for_a_model_are_read_as_it_learned_them(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text(
        "\n".join(["a;label", *(f"{n}.234,5;{'xy'[n % 2]}" for n in range(1, 21))])
    )
    (tmp_path / "few.csv").write_text("a;label\n1.234;x\n9.876;y\n")
    learned = read(tmp_path / "all.csv")
    found = read(tmp_path / "few.csv", Options(spec=learned.spec, to_score=True))
    assert found.train.inputs.tolist() == [[1234.0], [9876.0]]
