import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import silent
from diptych.core.specs import (
    AudioSpec,
    ImageSpec,
    InputSpec,
    NumberColumn,
    OwnSpec,
    TableSpec,
)
from diptych.core.values import Goal
from diptych.data.assemble import assemble
from diptych.data.raw import RawData, RawSplit
from diptych.data.reading import Options

Picture = Callable[..., bytes]


def raw_of(pictures: list[bytes], labels: list[object], **splits: RawSplit) -> RawData:
    items = [f"p{number}" for number in range(len(pictures))]
    train = RawSplit(items=items, labels=labels, contents=lambda: iter([pictures]))
    return RawData(name="made", splits={"train": train, **splits}, warnings=("a doubt",))


def test_every_item_keeps_its_label_and_its_pixels() -> None:
    pictures = np.arange(60, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
    labels = [("odd" if number % 2 else "even") for number in range(60)]
    split = RawSplit(items=[str(n) for n in range(60)], labels=labels, contents=pictures)
    dataset, seen = assemble(RawData(name="n", splits={"train": split}), Options(), silent)
    assert dataset.labels == ("even", "odd")
    assert seen == ("60 of 2 x 2",)
    found = []
    for part in (dataset.train, dataset.validation, dataset.test):
        for item, pixels, target in zip(part.items, part.inputs, part.targets, strict=True):
            assert (pixels == int(item)).all()
            assert target == int(item) % 2
            found.append(int(item))
    assert sorted(found) == list(range(60))


def test_the_record_says_what_was_done(picture: Picture) -> None:
    raw = raw_of([picture(n) for n in range(30)], ["a", "b", "c"] * 10)
    record = assemble(raw, Options(seed=5), silent)[0].record
    assert record.counts == {"train": 21, "validation": 3, "test": 6}
    assert (record.name, record.seed, record.given_splits) == ("made", 5, ("train",))
    assert record.warnings[0] == "a doubt"


def test_the_same_data_and_seed_have_the_same_hash(picture: Picture) -> None:
    def sha256(seed: int) -> str:
        raw = raw_of([picture(n) for n in range(30)], ["a", "b", "c"] * 10)
        return assemble(raw, Options(seed=seed), silent)[0].record.sha256

    assert sha256(1) == sha256(1)
    assert sha256(1) != sha256(2)


def test_damaged_pictures_are_an_error_or_left_out_when_asked(picture: Picture) -> None:
    pictures = [picture(n) for n in range(30)]
    pictures[4] = b"text"
    raw = raw_of(pictures, ["a", "b", "c"] * 10)
    with pytest.raises(DataError, match=r"1 of 30 pictures cannot be read \(p4 is not"):
        assemble(raw, Options(), silent)
    dataset, _ = assemble(raw, Options(skip_unreadable=True), silent)
    assert [each.item for each in dataset.record.skipped] == ["p4"]
    assert sum(dataset.record.counts.values()) == 29


def test_a_class_that_is_lost_with_its_damaged_pictures_is_an_error(picture: Picture) -> None:
    pictures = [picture(n) for n in range(20)]
    pictures[-3:] = [b"text"] * 3
    raw = raw_of(pictures, ["a"] * 17 + ["b"] * 3)
    with pytest.raises(DataError, match="one class only, 'a'"):
        assemble(raw, Options(skip_unreadable=True), silent)


def test_data_of_damaged_pictures_only_names_them() -> None:
    raw = raw_of([b"text"] * 6, ["a", "b"] * 3)
    with pytest.raises(DataError, match="6 of 6 pictures cannot be read"):
        assemble(raw, Options(skip_unreadable=True), silent)


def test_labels_are_checked_before_any_picture_is_opened() -> None:
    def never() -> None:
        pytest.fail("a picture was opened")

    split = RawSplit(items=["p"] * 4, labels=["a"] * 4, contents=never)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one class only"):
        assemble(RawData(name="n", splits={"train": split}), Options(), silent)


def test_a_known_spec_wins(picture: Picture) -> None:
    spec = ImageSpec(height=5, width=7, channels=1)
    raw = raw_of([picture(n) for n in range(6)], ["a", "b"] * 3)
    dataset, _ = assemble(raw, Options(spec=spec), silent)
    assert dataset.spec == spec
    assert dataset.test.inputs.shape[1:] == (5, 7, 1)


@pytest.mark.parametrize(
    "spec",
    [
        AudioSpec(sample_rate=8000, samples=800),
        TableSpec(columns=(NumberColumn(name="a"),)),
        OwnSpec(task="mine", dtype="uint8", shape=(3,)),
    ],
)
def test_items_of_another_kind_than_the_model_takes_are_refused(
    picture: Picture, spec: InputSpec
) -> None:
    raw = raw_of([picture(n) for n in range(6)], ["a", "b"] * 3)
    with pytest.raises(DataError, match=r"holds pictures, and (sounds|rows|other items) are what"):
        assemble(raw, Options(spec=spec), silent)


@pytest.mark.parametrize(
    ("goal", "labels"),
    [
        ("classification", ["a", "b", "b", "c", "c", "c"]),
        ("classification", ["a"]),
        ("regression", [1.5]),
        ("regression", [1.5, 2.5, 4.0]),
        ("regression", [2.0] * 12),
        ("multi-label", ["a|b", "a"]),
    ],
)
def test_items_to_be_scored_may_be_few_and_alike(
    picture: Picture, goal: Goal, labels: list[object]
) -> None:
    raw = raw_of([picture(n) for n in range(len(labels))], labels)
    options = Options(goal=goal, spec=ImageSpec(height=8, width=8, channels=3), to_score=True)
    dataset, _ = assemble(raw, options, silent)
    parts = (dataset.train, dataset.validation, dataset.test)
    kept = [item for part in parts for item in part.items]
    assert sorted(kept) == sorted(raw.splits["train"].items)
    assert all(len(part.inputs) == len(part.targets) == len(part) for part in parts)
    with pytest.raises(DataError):
        assemble(raw, dataclasses.replace(options, to_score=False), silent)


@pytest.mark.parametrize("image_size", [0, -8, 3, 1025])
def test_an_impossible_size_is_refused(image_size: int) -> None:
    with pytest.raises(ConfigError, match=f"image size {image_size} is out of range"):
        Options(image_size=image_size)


def test_what_utf_8_cannot_hold_is_spelled_in_labels_names_and_warnings(picture: Picture) -> None:
    raw = raw_of([picture(n) for n in range(30)], ["caf\udce9", "tea", "tea"] * 10)
    raw = dataclasses.replace(raw, name="\udcff", warnings=("\udcfe was passed over",))
    dataset, _ = assemble(raw, Options(), silent)
    assert dataset.labels == ("caf\\udce9", "tea")
    assert dataset.record.name == "\\udcff"
    assert dataset.record.warnings[0] == "\\udcfe was passed over"


def test_texts_are_kept_as_written_with_their_rows() -> None:
    texts = [f"Text number {number}!" for number in range(30)]
    split = RawSplit(items=[str(n) for n in range(30)], labels=["a", "b"] * 15, contents=texts)
    dataset, _ = assemble(
        RawData(name="n", kind="text", splits={"train": split}), Options(), silent
    )
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.originals == tuple(texts[int(item)] for item in part.items)


def test_pictures_are_not_kept_as_the_source_has_them(picture: Picture) -> None:
    raw = raw_of([picture(n) for n in range(30)], ["a", "b", "c"] * 10)
    assert assemble(raw, Options(), silent)[0].train.originals is None
