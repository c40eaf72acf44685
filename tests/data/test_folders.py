from collections.abc import Callable
from pathlib import Path

import pytest

from diptych.core.errors import DataError
from diptych.data.folders import read_folders, subfolders

Tree = Callable[..., Path]


def contents(root: Path) -> dict[str, list[tuple[str, object]]]:
    splits = read_folders(root).splits
    return {
        name: list(zip(split.items, split.labels, strict=True)) for name, split in splits.items()
    }


def test_a_folder_is_a_class(tree: Tree) -> None:
    root = tree({"dog": 1, "cat": 2})
    expected = [("cat/000.png", "cat"), ("cat/001.png", "cat"), ("dog/000.png", "dog")]
    assert contents(root) == {"train": expected}


def test_batches_hold_the_files_in_the_order_of_the_items(tree: Tree) -> None:
    root = tree({"a": 300, "b": 2}, height=1, width=1)
    split = read_folders(root).splits["train"]
    files = [file for batch in split.batches() for file in batch]
    assert [file.relative_to(root).as_posix() for file in files] == list(split.items)


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev"])
def test_splits_may_lie_above_the_classes(tree: Tree, validation: str) -> None:
    root = tree({"train/a": 2, "train/b": 1, f"{validation}/a": 1, "Test/b": 1})
    found = contents(root)
    assert {name: len(items) for name, items in found.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    assert found["test"] == [("Test/b/000.png", "b")]


def test_two_folders_of_one_split_are_refused(tree: Tree) -> None:
    root = tree({"train/a": 1, "dev/a": 1, "val/a": 1})
    with pytest.raises(DataError, match=r"'dev' and 'val' of .* are both the validation split"):
        read_folders(root)


def test_folders_beside_the_splits_are_told(tree: Tree) -> None:
    data = read_folders(tree({"train/a": 1, "extra/a": 1, "test": 1}))
    assert set(data.splits) == {"train"}
    assert data.warnings == (
        "folder 'extra' is no split of class folders: passed over",
        "folder 'test' is no split of class folders: passed over",
    )


def test_a_class_may_be_called_train(tree: Tree) -> None:
    root = tree({"train": 1, "bus": 1})
    assert [label for _, label in contents(root)["train"]] == ["bus", "train"]


def test_pictures_may_lie_deeper_in_a_class(tree: Tree) -> None:
    assert contents(tree({"a/2024/may": 1, "b": 1}))["train"][0] == ("a/2024/may/000.png", "a")


def test_other_files_and_empty_folders_are_told(tree: Tree) -> None:
    root = tree({"a": 1, "b": 1, "c": 0})
    (root / "a" / "notes.txt").write_text("")
    (root / "a" / ".DS_Store").write_text("")
    assert read_folders(root).warnings == (
        "folder 'c' holds no pictures and is no class",
        "files passed over that are not pictures: 1 (.txt)",
    )


def test_hidden_folders_are_no_classes(tree: Tree) -> None:
    root = tree({"a": 1, ".git": 1, "__MACOSX": 1})
    assert [folder.name for folder in subfolders(root)] == ["a"]


def test_hidden_folders_in_a_class_are_passed_over(tree: Tree) -> None:
    root = tree({"a": 1, "a/.ipynb_checkpoints": 1, "a/deep/__MACOSX": 1, "b": 1})
    assert [item for item, _ in contents(root)["train"]] == ["a/000.png", "b/000.png"]


def test_folders_without_pictures_are_refused_with_what_is_expected(tree: Tree) -> None:
    with pytest.raises(DataError, match="holds no pictures or sounds in class folders") as caught:
        read_folders(tree({"a": 0}))
    assert "CLASS/PICTURE.png" in caught.value.hint


def test_folders_of_sounds_of_other_formats_are_refused_as_such(tree: Tree) -> None:
    root = tree({"one": 0})
    (root / "one" / "a.mp3").write_bytes(b"ID3")
    with pytest.raises(DataError, match=r"sound of other formats \(\.mp3\) cannot be read yet"):
        read_folders(root)


def test_folders_of_sounds_are_sounds(tree: Tree) -> None:
    root = tree({"train/one": 0, "train/two": 0, "test/one": 0})
    for name in ("train/one/a.wav", "train/two/b.FLAC", "test/one/c.ogg"):
        (root / name).write_bytes(b"")
    data = read_folders(root)
    assert data.kind == "audio"
    assert {name: list(split.items) for name, split in data.splits.items()} == {
        "train": ["train/one/a.wav", "train/two/b.FLAC"],
        "test": ["test/one/c.ogg"],
    }


def test_pictures_and_sounds_in_one_tree_are_refused_with_their_counts(tree: Tree) -> None:
    root = tree({"train/a": 2, "test/a": 1})
    (root / "test" / "a" / "b.wav").write_bytes(b"")
    with pytest.raises(DataError, match="holds 3 pictures and 1 sounds in its class folders"):
        read_folders(root)
