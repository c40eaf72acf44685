import json

import msgspec
import pytest

from diptych.cli.inspect import page
from diptych.cli.main import run
from diptych.core.specs import ImageSpec
from diptych.core.values import Skipped
from diptych.data.inspection import Inspection

FOUND = Inspection(
    name="pets",
    task="image-classification",
    input=ImageSpec(height=32, width=32, channels=3),
    labels=("cat", "dog"),
    counts={"train": 1400, "validation": 2, "test": 3},
    counts_per_class={
        "train": {"cat": 1000, "dog": 400},
        "validation": {"cat": 1, "dog": 1},
        "test": {"cat": 2, "dog": 1},
    },
    facts=("1,405 of 40 x 50",),
    split_method="test as given",
    seed=0,
    sha256="ab" * 32,
    skipped=(),
    warnings=("something is odd",),
)


def test_the_page_shows_counts_and_warnings() -> None:
    assert page(FOUND).splitlines() == [
        "pets: image-classification, 2 classes",
        "input: 32 x 32 x 3 uint8",
        "1,405 of 40 x 50",
        "splits: test as given",
        f"sha256: {'ab' * 32}",
        "",
        "class  train  validation  test",
        "-----  -----  ----------  ----",
        "cat    1,000           1     2",
        "dog      400           1     1",
        "all    1,400           2     3",
        "warning: something is odd",
    ]


def test_long_lists_are_cut_with_their_count() -> None:
    names = tuple(f"c{number}" for number in range(40))
    counts = {split: dict.fromkeys(names, 1) for split in ("train", "validation", "test")}
    skipped = tuple(Skipped(item=name, reason="cut") for name in names)
    text = page(
        msgspec.structs.replace(FOUND, labels=names, counts_per_class=counts, skipped=skipped)
    )
    assert "(10 more classes)" in text
    assert "unreadable: 40 items in all" in text
    assert text.count("\nunreadable: c") == 10


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "digits", "--json", "--seed", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"train": 1294, "validation": 144, "test": 359}
    assert document["seed"] == 2
    assert document["input"]["type"] == "image"


def test_an_unknown_name_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "digitz"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: 'digitz' is neither a built-in data set nor a path that exists\n"
        "hint: did you mean 'digits'?\n"
    )


def test_numbers_told_are_named_and_counted_without_classes() -> None:
    text = page(
        msgspec.structs.replace(
            FOUND,
            task="image-regression",
            labels=("age",),
            counts_per_class={},
            facts=("age in train: 1 to 99, median 40",),
        )
    )
    assert text.splitlines() == [
        "pets: image-regression, age",
        "input: 32 x 32 x 3 uint8",
        "age in train: 1 to 99, median 40",
        "splits: test as given",
        f"sha256: {'ab' * 32}",
        "",
        "     train  validation  test",
        "---  -----  ----------  ----",
        "all  1,400           2     3",
        "warning: something is odd",
    ]


def test_a_goal_asked_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "digits", "--json", "--task", "regression"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["counts_per_class"]) == ("image-regression", {})
    assert any("0 to 9" in fact for fact in document["facts"])
    order = "9,8,7,6,5,4,3,2,1,0"
    assert run(["inspect", "digits", "--json", "--task", "ordinal", "--order", order]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["labels"]) == ("image-ordinal", order.split(","))
