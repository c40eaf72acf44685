from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.values import Split
from diptych.data.split import LEAST_IN_STRATUM, allot, complete, strata, stratified, take

QUICK = settings(deadline=None, max_examples=30)
SIZES = st.lists(st.integers(3, 60), min_size=2, max_size=8)


def make(sizes: list[int]) -> Split:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    targets = np.random.default_rng(len(targets)).permutation(targets)
    inputs = np.arange(len(targets), dtype=np.uint8)[:, None]
    return Split(inputs=inputs, targets=targets, items=tuple(map(str, range(len(targets)))))


@QUICK
@given(SIZES, st.integers(0, 2**31), st.floats(0, 1), st.one_of(st.none(), st.integers(0, 50)))
def test_two_parts_are_disjoint_and_complete_and_hold_every_class(
    sizes: list[int], seed: int, share: float, most: int | None
) -> None:
    targets = make(sizes).targets
    kept, taken = stratified(targets, share, np.random.default_rng(seed), most)
    assert sorted([*kept, *taken]) == list(range(len(targets)))
    assert set(targets[kept]) == set(targets[taken]) == set(range(len(sizes)))
    if most is not None:
        assert len(taken) <= max(most, len(sizes))


@QUICK
@given(SIZES, st.floats(0.05, 0.95))
def test_each_class_gives_its_share_where_it_can(sizes: list[int], share: float) -> None:
    wanted = round(share * sum(sizes))
    counts = allot(np.array(sizes), wanted)
    exact = wanted * np.array(sizes) / sum(sizes)
    assert counts.sum() <= max(wanted, len(sizes))
    if ((exact >= 1) & (exact <= np.array(sizes) - 1)).all():
        assert (np.abs(counts - exact) < 1).all()
        assert counts.sum() == wanted


@QUICK
@given(SIZES, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_splits_and_another_does_not(
    sizes: list[int], seed: int
) -> None:
    split = make(sizes)
    first, again = (complete({"train": split}, seed)[0] for _ in range(2))
    assert {name: part.items for name, part in first.items()} == {
        name: part.items for name, part in again.items()
    }
    others = [complete({"train": split}, seed + 1 + n)[0]["test"].items for n in range(5)]
    assert any(other != first["test"].items for other in others)


@QUICK
@given(SIZES)
def test_three_parts_are_disjoint_and_complete_and_hold_every_class(sizes: list[int]) -> None:
    split = make(sizes)
    parts, _ = complete({"train": split}, 0)
    assert sorted(int(item) for part in parts.values() for item in part.items) == list(
        range(len(split))
    )
    for part in parts.values():
        assert set(part.targets) == set(range(len(sizes)))


def test_items_stay_with_their_inputs_and_targets() -> None:
    split = make([10, 20])
    parts, _ = complete({"train": split}, 3)
    for part in parts.values():
        for item, pixels, target in zip(part.items, part.inputs, part.targets, strict=True):
            assert pixels[0] == int(item)
            assert target == split.targets[int(item)]


def test_test_takes_a_fifth_and_validation_a_tenth_of_the_rest() -> None:
    parts, words = complete({"train": make([500, 500])}, 7)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 720,
        "validation": 80,
        "test": 200,
    }
    assert words == (
        "test taken from train (20 %: 200 items), stratified by class, seed 7; "
        "validation taken from train (10 %, at most 5,000: 80 items), stratified by class, seed 7"
    )


def test_validation_is_never_more_than_five_thousand() -> None:
    given_test = make([2, 2])
    parts, _ = complete({"train": make([40_000, 30_001]), "test": given_test}, 0)
    assert len(parts["validation"]) == 5_000
    assert parts["test"] is given_test


@pytest.mark.parametrize("wanted", [5, 37, 400])
def test_validation_takes_as_many_as_asked_for(wanted: int) -> None:
    parts, words = complete({"train": make([500, 500])}, 7, validation_items=wanted)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 800 - wanted,
        "validation": wanted,
        "test": 200,
    }
    assert words.endswith(
        f"validation taken from train (as asked: {wanted} items), stratified by class, seed 7"
    )


def test_a_smaller_validation_split_is_a_part_of_a_larger_one() -> None:
    split = make([300, 200, 500])
    parts = [complete({"train": split}, 7, validation_items=n)[0]["validation"] for n in (30, 90)]
    assert set(parts[0].items) < set(parts[1].items)


def test_no_more_than_half_is_held_back_for_validation() -> None:
    parts, _ = complete({"train": make([500, 500])}, 7, validation_items=401)
    assert len(parts["validation"]) == len(parts["train"]) == 400


def test_given_splits_stay_as_they_are() -> None:
    given_splits = {name: make([3, 3]) for name in ("train", "validation", "test")}
    parts, words = complete(given_splits, 0)
    assert parts == given_splits
    assert words == "test as given; validation as given"


@pytest.mark.parametrize("rows", [[], [2, 0]])
def test_take_keeps_the_order_asked_for(rows: list[int]) -> None:
    taken = take(make([2, 2]), np.array(rows, dtype=np.int64))
    assert taken.items == tuple(str(row) for row in rows)


def of(targets: np.ndarray) -> Split:
    inputs = np.arange(len(targets), dtype=np.int64)[:, None]
    return Split(inputs=inputs, targets=targets, items=tuple(map(str, range(len(targets)))))


@QUICK
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=10, max_size=200))
def test_numbers_are_split_such_that_each_part_has_their_whole_range(numbers: list[float]) -> None:
    targets = np.array(numbers, np.float32)
    parts, words = complete({"train": of(targets)}, 0, "regression")
    assert sorted(int(i) for part in parts.values() for i in part.items) == [*range(len(targets))]
    assert all(len(part) for part in parts.values())
    assert "stratified by tenths of the target" in words
    ordered = strata(targets, "regression")[np.argsort(targets, kind="stable")]
    assert (np.diff(ordered) >= 0).all()
    assert np.ptp(np.bincount(ordered)) <= 1


def test_the_mean_of_a_split_number_is_nearer_than_by_chance() -> None:
    targets = np.random.default_rng(0).lognormal(size=1000).astype(np.float32)
    stratified_gap, chance_gap = [], []
    for seed in range(20):
        test = complete({"train": of(targets)}, seed, "regression")[0]["test"]
        stratified_gap.append(abs(test.targets.mean() - targets.mean()))
        chance = np.random.default_rng(seed).permutation(targets)[: len(test)]
        chance_gap.append(abs(chance.mean() - targets.mean()))
    assert np.mean(stratified_gap) < 0.8 * np.mean(chance_gap)


@QUICK
@given(st.integers(0, 2**31), st.integers(10, 100), st.integers(1, 6))
def test_several_labels_make_strata_that_can_be_split(seed: int, n: int, k: int) -> None:
    random = np.random.default_rng(seed)
    targets = (random.random((n, k)) < random.random(k)).astype(np.float32)
    sizes = np.unique(strata(targets, "multi-label"), return_counts=True)[1]
    assert sizes.min() >= LEAST_IN_STRATUM
    parts, _ = complete({"train": of(targets)}, seed, "multi-label")
    assert sorted(int(i) for part in parts.values() for i in part.items) == [*range(n)]


def test_a_rare_label_is_in_every_part() -> None:
    targets = np.zeros((200, 3), np.float32)
    targets[:, 0], targets[::3, 1], targets[:9, 2] = 1, 1, 1
    parts, words = complete({"train": of(targets)}, 0, "multi-label")
    assert all(part.targets[:, 2].any() for part in parts.values())
    assert "stratified by rarest label" in words


def test_items_as_the_source_has_them_go_with_their_rows_where_they_are_known() -> None:
    split = of(np.zeros(4, np.int64))
    assert take(split, np.array([2, 0])).originals is None
    texts = replace(split, originals=("a", "b", "c", "d"))
    assert take(texts, np.array([2, 0])).originals == ("c", "a")
