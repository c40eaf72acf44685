from collections.abc import Callable
from pathlib import Path

import msgspec

from diptych.data.inspection import Inspection, SizeCount, inspect
from diptych.data.reading import Options

Tree = Callable[..., Path]


def test_everything_is_counted(tree: Tree) -> None:
    root = tree({"train/a": 12, "train/b": 24, "test/a": 2, "test/b": 3}, height=9, width=10)
    found = inspect(root)
    assert found.counts == {"train": 32, "validation": 4, "test": 5}
    assert found.counts_per_class["test"] == {"a": 2, "b": 3}
    assert found.sizes == (SizeCount(height=9, width=10, count=41),)
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
    assert found.num_sizes == 15
    assert len(found.sizes) == 10
    assert found.sizes[0] == SizeCount(height=8, width=8, count=10)


def test_it_survives_a_trip_through_json(tree: Tree) -> None:
    found = inspect(tree({"a": 4, "b": 4}))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Inspection) == found
