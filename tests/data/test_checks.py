import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.core.values import Skipped, Split
from diptych.data.checks import check_skipped, check_targets, find_warnings

NAMES = ("ant", "bee", "cat")


def targets(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def split(numbers: np.ndarray, start: int = 0) -> Split:
    inputs = np.arange(start + 1, start + 1 + len(numbers), dtype=np.int64).view(np.uint8)
    return Split(inputs=inputs.reshape(-1, 8), targets=numbers, items=("",) * len(numbers))


def three(train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> dict[str, Split]:
    return {
        "train": split(train),
        "validation": split(validation, 1_000_000),
        "test": split(test, 2_000_000),
    }


def test_classes_that_can_be_split_pass() -> None:
    check_targets("classification", NAMES, {"train": targets(3, 3, 3)})
    check_targets("classification", NAMES, {"train": targets(2, 2, 2), "test": targets(1)})
    check_targets(
        "classification",
        NAMES,
        {"train": targets(1, 1, 0), "test": targets(1), "validation": targets(1)},
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": targets(9, 0, 0)}, "one class only, 'ant'"),
        ({"train": targets(9, 1, 9)}, "class 'bee' has 1 item: too few to split in 3"),
        ({"train": targets(2, 1, 9)}, r"class 'bee' has 1 item \(classes like that: 2\)"),
        ({"train": targets(2, 9, 9)}, "class 'ant' has 2 items: too few"),
        ({"train": targets(1, 2, 2), "test": targets(1)}, "'ant' has 1 item: too few .* in 2"),
        ({"train": targets(9, 9), "test": targets()}, "the test split holds no items"),
        ({"train": targets()}, "the train split holds no items"),
    ],
)
def test_what_cannot_be_split_is_refused(given: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_targets("classification", NAMES, given)


NUMBERS = np.arange(20, dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": NUMBERS[:0]}, "the train split holds no items"),
        ({"train": NUMBERS[:9]}, "the train split has 9 items"),
        ({"train": np.full(20, 3.5)}, "target 'price' is 3.5 for every item of the train split"),
        ({"train": NUMBERS, "test": np.zeros(5)}, "'price' is 0 for every item of the test split"),
    ],
)
def test_numbers_that_tell_nothing_are_refused(given: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_targets("regression", ("price",), given)


def test_numbers_that_differ_pass() -> None:
    check_targets("regression", ("price",), {"train": NUMBERS, "test": NUMBERS[:1]})


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        (NAMES, np.ones((20, 3)), "every item has the labels ant, bee, cat"),
        ((), np.ones((20, 0)), "no item has a label"),
        (NAMES, np.eye(3), "the train split has 3 items"),
    ],
)
def test_labels_that_tell_nothing_are_refused(
    labels: tuple[str, ...], given: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_targets("multi-label", labels, {"train": given})


def test_items_to_be_scored_must_be_some_and_have_a_label() -> None:
    check_targets("multi-label", NAMES, {"train": np.ones((2, 3))}, to_score=True)
    with pytest.raises(DataError, match="the test split holds no items"):
        check_targets(
            "regression", ("price",), {"train": NUMBERS, "test": NUMBERS[:0]}, to_score=True
        )
    with pytest.raises(DataError, match="no item has a label"):
        check_targets("multi-label", (), {"train": np.ones((2, 0))}, to_score=True)


def test_labels_that_some_items_have_pass() -> None:
    check_targets("multi-label", NAMES, {"train": np.eye(20)[:, :3]})


def test_unreadable_pictures_are_counted_and_the_first_named() -> None:
    skipped = [Skipped(item=f"p{n}.png", reason="is damaged: cut") for n in range(5)]
    with pytest.raises(DataError) as caught:
        check_skipped(skipped, 9, accepted=False, noun="pictures")
    assert caught.value.message == (
        "5 of 9 pictures cannot be read (p0.png is damaged: cut; p1.png is damaged: cut; "
        "p2.png is damaged: cut; and 2 more)"
    )
    assert "--skip-unreadable" in caught.value.hint


def test_unreadable_pictures_may_be_accepted_but_not_all() -> None:
    skipped = [Skipped(item="p", reason="is damaged")]
    check_skipped([], 1, accepted=False, noun="pictures")
    check_skipped(skipped, 2, accepted=True, noun="pictures")
    with pytest.raises(DataError, match="1 of 1 pictures"):
        check_skipped(skipped, 1, accepted=True, noun="pictures")


def test_nothing_doubtful_gives_no_warning() -> None:
    assert (
        find_warnings(NAMES, three(targets(20, 20, 20), targets(1, 1, 1), targets(1, 1, 1))) == []
    )


def test_few_items_imbalance_and_absence_are_told() -> None:
    found = find_warnings(NAMES, three(targets(9, 300, 20), targets(1, 1, 1), targets(0, 1)))
    assert found == [
        "class 'ant' has 9 training items",
        "classes are unequal: 'bee' has 300 training items, 'ant' 9",
        "classes absent from test: 2 ('ant', 'cat')",
    ]


def test_items_of_one_value_all_over_are_counted() -> None:
    splits = three(targets(50, 50), targets(50, 50), targets(50, 50))
    splits["test"].inputs[3] = 7
    assert find_warnings(NAMES[:2], splits) == ["1 of 100 test items are blank or silent"]


def test_items_in_two_splits_are_counted() -> None:
    splits = three(targets(20, 20, 20), targets(1, 1, 1), targets(1, 1, 1))
    splits["test"] = split(targets(1, 1, 1), start=58)
    assert find_warnings(NAMES, splits) == ["2 of 3 test items are also in train"]


def test_rare_and_absent_labels_are_told() -> None:
    many = np.zeros((300, 3), np.float32)
    many[:, 0], many[:200, 1], many[:3, 2] = 1, 1, 1
    splits = three(many, np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:2])
    assert find_warnings(NAMES, splits, "multi-label") == [
        "label 'cat' has 3 training items",
        "labels are unequal: 'ant' has 300 training items, 'cat' 3",
        "labels absent from test: 1 ('cat')",
    ]


def test_numbers_that_are_mostly_one_value_or_far_out_are_told() -> None:
    mostly = np.concatenate([np.zeros(60), np.arange(40)]).astype(np.float32)
    assert find_warnings(("price",), three(mostly, NUMBERS, NUMBERS), "regression") == [
        "'price' is 0 for 61 % of the items"
    ]
    far = np.concatenate([np.arange(99), [1e6]]).astype(np.float32)
    assert find_warnings(("price",), three(far, NUMBERS, NUMBERS), "regression") == [
        "'price' is far out for 1 training items, such as 1e+06 where half are from 24.75 to 74.25"
    ]
    assert find_warnings(("price",), three(NUMBERS, NUMBERS, NUMBERS), "regression") == []
