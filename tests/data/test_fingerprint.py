import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.values import Split
from diptych.data.fingerprint import count_shared, sha256_of_splits


def make(rows: list[int], targets: list[int] | None = None) -> Split:
    inputs = np.array(rows, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(4, axis=1)
    numbers = np.array(targets or [0] * len(rows), dtype=np.int64)
    return Split(inputs=inputs, targets=numbers, items=("",) * len(rows))


def test_the_hash_does_not_depend_on_names_of_items_or_the_order_of_splits() -> None:
    first = {"train": make([1, 2]), "test": make([3])}
    again = {"test": make([3]), "train": make([1, 2])}
    assert sha256_of_splits(("a",), first) == sha256_of_splits(("a",), again)


def test_the_hash_tells_every_change_apart() -> None:
    variants = [
        (("a", "b"), {"train": make([1, 2], [0, 1]), "test": make([3])}),
        (("a", "c"), {"train": make([1, 2], [0, 1]), "test": make([3])}),
        (("a", "b"), {"train": make([1, 2], [1, 0]), "test": make([3])}),
        (("a", "b"), {"train": make([2, 1], [0, 1]), "test": make([3])}),
        (("a", "b"), {"train": make([3]), "test": make([1, 2], [0, 1])}),
        (("a", "b"), {"train": make([1, 2], [0, 1]), "test": make([4])}),
    ]
    assert len({sha256_of_splits(*variant) for variant in variants}) == len(variants)


def test_the_hash_tells_numbers_apart_that_round_to_the_same() -> None:
    def numbers(*targets: float) -> Split:
        return Split(
            inputs=make([1, 2]).inputs, targets=np.array(targets, np.float32), items=("", "")
        )

    first, second = numbers(0.25, 0.5), numbers(0.25, 0.75)
    assert sha256_of_splits(("a",), {"train": first}) != sha256_of_splits(("a",), {"train": second})


def test_the_hash_sees_through_the_layout_of_memory() -> None:
    split = make([1, 2, 3])
    turned = Split(inputs=np.asfortranarray(split.inputs), targets=split.targets, items=split.items)
    assert sha256_of_splits(("a",), {"train": split}) == sha256_of_splits(("a",), {"train": turned})


ROWS = st.lists(st.integers(0, 9), max_size=12)


@settings(deadline=None, max_examples=40)
@given(ROWS, ROWS, ROWS)
def test_shared_items_are_counted_as_a_loop_counts_them(
    train: list[int], validation: list[int], test: list[int]
) -> None:
    rows = {"train": train, "validation": validation, "test": test}
    shared = count_shared({name: make(values) for name, values in rows.items()})
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        expected = sum(value in rows[earlier] for value in rows[later])
        assert shared.get((earlier, later), 0) == expected
