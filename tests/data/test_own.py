from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.data import read
from diptych.data.reading import Options
from diptych.tasks.own import Task


def decode(item: Path) -> np.ndarray:
    numbers = np.array([float(word) for word in item.read_text().split()], dtype=np.float32)
    if len(numbers) != 2:
        raise ValueError(f"{len(numbers)} numbers, not 2")
    return numbers


TASK = Task(name="pairs", shape=(2,), decode=decode, network=lambda spec, outputs, width: None)


def write(folder: Path, counts: Mapping[str, int]) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.txt").write_text(f"{number} {len(name)}")
    return folder


def test_class_folders_of_any_files_are_read(tmp_path: Path) -> None:
    data = read(write(tmp_path / "pairs", {"up": 20, "down": 20}), Options(task=TASK))
    assert data.labels == ("down", "up")
    assert data.task == "pairs"
    assert data.own is TASK
    assert data.train.inputs.dtype == np.float32
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.inputs[:, 1] == 2, split.targets == 1)


def test_files_whose_names_are_not_utf_8_are_read_and_spelled(tmp_path: Path) -> None:
    data = read(write(tmp_path / "pairs", {"up\udce9": 20, "down": 20}), Options(task=TASK))
    assert data.labels == ("down", "up\\udce9")
    items = [*data.train.items, *data.validation.items, *data.test.items]
    assert sum("up\\udce9" in item for item in items) == 20


def test_hidden_folders_in_a_class_are_passed_over(tmp_path: Path) -> None:
    counts = {"up": 20, "down": 20, "up/.ipynb_checkpoints": 1, "up/__MACOSX": 1}
    data = read(write(tmp_path / "pairs", counts), Options(task=TASK))
    assert sum(data.record.counts.values()) == 40


def test_given_splits_are_kept(tmp_path: Path) -> None:
    counts = {"train/up": 9, "train/down": 9, "test/up": 4, "test/down": 4}
    data = read(write(tmp_path / "pairs", counts), Options(task=TASK))
    assert data.record.counts["test"] == 8
    assert set(data.record.given_splits) == {"train", "test"}


def test_an_item_that_cannot_be_decoded_is_named_or_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "pairs", {"up": 20, "down": 20})
    (folder / "up" / "3.txt").write_text("1")
    with pytest.raises(DataError, match=r"1 of 40 items cannot be read.*1 numbers, not 2"):
        read(folder, Options(task=TASK))
    data = read(folder, Options(task=TASK, skip_unreadable=True))
    assert [skipped.item for skipped in data.record.skipped] == [str(folder / "up" / "3.txt")]


def test_a_reader_of_the_task_lists_items_and_labels(tmp_path: Path) -> None:
    def listed(source: Path) -> dict[str, list[tuple[object, object]]]:
        return {"train": [((number, 1.0), number / 3) for number in range(50)]}

    task = Task(
        name="rows",
        shape=(2,),
        goal="regression",
        decode=lambda item: np.array(item, dtype=np.float32),
        network=lambda spec, outputs, width: None,
        read=listed,
    )
    data = read(tmp_path, Options(task=task, goal="regression"))
    np.testing.assert_allclose(data.test.targets, data.test.inputs[:, 0] / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (lambda source: {"train": [1 / 0]}, "ZeroDivisionError"),
        (lambda source: {"train": (1 / part for part in (1, 0))}, "TypeError|ZeroDivisionError"),
        (lambda source: {"train": [(1, 2, 3)]}, "ValueError: too many values"),
        (lambda source: [(1, 2)], "AttributeError"),
        (lambda source: {"train": (source / "absent").read_text()}, "FileNotFoundError"),
    ],
)
def test_a_reader_that_fails_is_told_as_the_users(
    tmp_path: Path, listed: Callable[..., Any], said: str
) -> None:
    task = Task(name="rows", shape=(1,), decode=np.array, network=lambda *given: None, read=listed)
    with pytest.raises(ConfigError, match=f"read of task 'rows' raises ({said})") as told:
        read(tmp_path, Options(task=task))
    assert told.value.hint.startswith("mend it; it gives pairs of item and label")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "val", "holdout"), "gives a split 'holdout'"),
        (("train", "val", "dev"), r"'val' and 'dev' of .* are both the validation split"),
    ],
)
def test_splits_that_a_reader_names_are_known_by_their_usual_names_or_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    pairs = [((number, 1.0), "ab"[number % 2]) for number in range(20)]

    def task_of(*names: str) -> Task:
        return Task(
            name="rows",
            shape=(2,),
            decode=lambda item: np.array(item, dtype=np.float32),
            network=lambda spec, outputs, width: None,
            read=lambda source: dict.fromkeys(names, pairs),
        )

    data = read(tmp_path, Options(task=task_of(*names[:2])))
    assert set(data.record.given_splits) == {"train", "validation"}
    with pytest.raises(DataError, match=message):
        read(tmp_path, Options(task=task_of(*names)))


def test_folders_beside_the_splits_are_told(tmp_path: Path) -> None:
    counts = {"train/up": 9, "train/down": 9, "extra/up": 4}
    data = read(write(tmp_path / "pairs", counts), Options(task=TASK))
    assert "folder 'extra' is no split of class folders: passed over" in data.record.warnings


def test_a_source_without_training_items_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives no training items"):
        read(tmp_path, Options(task=TASK))
    with pytest.raises(DataError, match="is not a folder"):
        read(tmp_path / "absent", Options(task=TASK))
