from collections.abc import Callable
from pathlib import Path

import msgspec

from diptych.data.inspection import Inspection, inspect
from diptych.data.reading import Options

Tree = Callable[..., Path]


def test_everything_is_counted(tree: Tree) -> None:
    root = tree({"train/a": 12, "train/b": 24, "test/a": 2, "test/b": 3}, height=9, width=10)
    found = inspect(root)
    assert found.counts == {"train": 32, "validation": 4, "test": 5}
    assert found.counts_per_class["test"] == {"a": 2, "b": 3}
    assert found.facts[-1] == "41 of 9 x 10"
    assert (found.input.height, found.input.width, found.input.channels) == (9, 10, 3)
    assert found.split_method.startswith("test as given")


def test_damaged_pictures_are_listed(tree: Tree) -> None:
    root = tree({"a": 12, "b": 12})
    (root / "a" / "notes.png").write_text("text")
    found = inspect(root, Options(skip_unreadable=False))
    assert [each.item for each in found.skipped] == ["a/notes.png"]
    assert sum(found.counts.values()) == 24


def test_only_the_most_frequent_sizes_are_listed(tree: Tree) -> None:
    for height in range(4, 20):
        root = tree({"a": 1, "b": 1}, height=height) if height > 4 else tree({"a": 4, "b": 4})
        for file in root.rglob("0*.png"):
            file.rename(file.with_name(f"size{height}-{file.name}"))
    found = inspect(root)
    sizes = [fact for fact in found.facts if " x " in fact]
    assert len(sizes) == 10
    assert sizes[0] == "10 of 8 x 8"
    assert found.facts[-1] == "and 5 other sizes"


def test_it_survives_a_trip_through_json(tree: Tree) -> None:
    found = inspect(tree({"a": 4, "b": 4}))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Inspection) == found
