"""Two bundles on the same items; the programs are stand-ins that weigh the mean colour."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

import diptych
from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import Step
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting.answering import Answers, Reading, answer, pair
from diptych.fitting.damage import assess
from diptych.fitting.evaluate import evaluate
from diptych.inference.bundle import Bundle

LABELS = ("ant", "bee", "cat")
Make = Callable[..., Bundle]


class Colour:
    """A session: the mean colour of pictures times weights (3, K)."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def run(self, pixels: np.ndarray) -> np.ndarray:
        return (pixels.mean(axis=(1, 2)) @ self.weights).astype(np.float32)

    def close(self) -> None:
        pass


@pytest.fixture
def make(tiny) -> Make:
    """Give the maker of a bundle by its name, its weights and changes of its manifest."""

    def build(name: str, weights: np.ndarray, **changes: object) -> Bundle:
        manifest = structs.replace(tiny.manifest, **changes)
        program = manifest.programs[0]
        return Bundle(Path(name), manifest, program, Colour(weights), lambda item: item)  # type: ignore[arg-type]

    return build


def pictures(n: int = 30, *, sha: str = "1" * 64, labels: tuple[str, ...] = LABELS) -> Dataset:
    """Make pictures whose strongest colour is their class."""
    rng = np.random.default_rng(0)
    targets = np.arange(n) % len(labels)
    pixels = rng.integers(0, 120, (n, 8, 8, 3))
    pixels[np.arange(n), ..., targets] += 100
    thirds = np.array_split(np.arange(n), 3)

    def part(rows: np.ndarray) -> Split:
        return Split(
            inputs=pixels[rows].astype(np.uint8),
            targets=targets[rows],
            items=tuple(f"{row}.png" for row in rows),
        )

    record = DataRecord(name="made", sha256=sha, counts={}, split_method="made", seed=0)
    train, validation, test = map(part, thirds)
    return Dataset(
        goal="classification",
        spec=ImageSpec(height=8, width=8, channels=3),
        labels=labels,
        train=train,
        validation=validation,
        test=test,
        record=record,
    )


def swapped() -> np.ndarray:
    """Give weights that take bees for cats."""
    weights = np.eye(3)
    weights[1] = [0, 0, 1]
    return weights


def test_a_bundle_that_loses_a_class_against_another_is_told_so(make: Make) -> None:
    result = evaluate(make("new.dip", swapped()), pictures(90), against=make("old.dip", np.eye(3)))
    assert result.damage is not None
    assert result.damage.flips is not None
    assert (result.damage.reference, result.damage.model) == ("old.dip", "new.dip")
    assert (result.damage.flips.lost, result.damage.flips.gained) == (30, 0)
    assert [one.label for one in result.damage.paying] == ["bee"]


def test_labels_in_another_order_are_the_same_answers(make: Make) -> None:
    turned = make("old.dip", np.eye(3)[:, ::-1], labels=LABELS[::-1])
    for first, second in ((turned, make("new.dip", np.eye(3))), (make("x", np.eye(3)), turned)):
        found = evaluate(second, pictures(), against=first).damage
        assert found is not None
        assert found.flips is not None
        assert (found.flips.lost, found.flips.differing) == (0, 0)


def test_items_in_another_order_are_paired_by_name(make: Make) -> None:
    model, old, data = make("new.dip", swapped()), make("old.dip", np.eye(3)), pictures(30)
    there = answer(model, Reading(data=data))
    order = np.random.default_rng(1).permutation(30)
    mixed = Answers(
        split=Split(
            inputs=there.split.inputs[order],
            targets=there.split.targets[order],
            items=tuple(there.split.items[row] for row in order),
        ),
        outputs=there.outputs[order],
        items=there.items,
        own=False,
    )
    first, second = (assess(pair(old, model, each, Reading(data=data))) for each in (there, mixed))
    assert first.flips == second.flips
    assert first.classes == second.classes


def test_bundles_for_other_things_are_not_compared(make: Make) -> None:
    model = make("new.dip", np.eye(3))
    with pytest.raises(ConfigError, match=r"old\.dip is for ordinal"):
        evaluate(model, pictures(), against=make("old.dip", np.eye(3), goal="ordinal"))
    other = make("old.dip", np.eye(3), labels=("ant", "bee", "dog"))
    with pytest.raises(ConfigError, match=r"knows '(cat|dog)'"):
        evaluate(model, pictures(), against=other)


def test_bundles_that_hold_back_different_items_are_not_compared(make: Make, tiny) -> None:
    made = tiny.manifest.provenance
    record = structs.replace(made.data, sha256="1" * 64)
    own = make("old.dip", np.eye(3), provenance=structs.replace(made, data=record))
    with pytest.raises(ConfigError, match=r"test split \(10\).*all items \(30\)") as seen:
        evaluate(make("new.dip", np.eye(3)), pictures(), against=own)
    assert "--seed" in seen.value.hint


@pytest.mark.parametrize(
    ("change", "items", "doubt"),
    [
        ({}, "test split", "taken to be the same ones"),
        ({"seed": 1}, "all items", "some that it has learned may be among them"),
        ({"counts": {"train": 9}}, "all items", "some that it has learned may be among them"),
        ({"counts": {"train": 9}, "given_splits": ("test",)}, "test split", None),
        ({"name": "other"}, "all items", None),
    ],
)
def test_data_that_has_changed_since_it_was_learned_is_scored_with_a_warning(
    make: Make, tiny, change: dict[str, object], items: str, doubt: str | None
) -> None:
    data, made = pictures(), tiny.manifest.provenance
    model = make("a.dip", np.eye(3), provenance=structs.replace(made, data=data.record))
    changed = structs.replace(data.record, sha256="2" * 64, **change)
    told: list[Step] = []
    there = answer(model, Reading(data=replace(data, record=changed), report=told.append))
    assert (there.items, len(there.split)) == (items, 10 if items == "test split" else 30)
    warnings = [step.note for step in told if step.stage == "warning"]
    assert len(warnings) == (doubt is not None)
    for warning in warnings:
        assert warning.startswith("made is not just what a.dip was made of: ")
        assert warning.endswith(str(doubt))


def test_the_recorded_damage_is_told_of_the_items_it_was_measured_on(make: Make, tiny) -> None:
    made = tiny.manifest.provenance
    record = structs.replace(made.data, sha256="1" * 64)
    recorded = evaluate(make("a", swapped()), pictures(), against=make("b", np.eye(3))).damage
    model = make(
        "new.dip", np.eye(3), provenance=structs.replace(made, data=record), damage=recorded
    )
    assert evaluate(model, pictures()).damage == recorded
    assert evaluate(model, pictures(sha="2" * 64)).damage is None


def test_items_of_one_split_alone_are_not_copied(make: Make) -> None:
    data = pictures()
    inputs, targets = data.test.inputs[:0], data.test.targets[:0]
    nothing = Split(inputs=inputs, targets=targets, items=())
    alone = replace(data, validation=nothing, test=nothing)
    there = answer(make("a.dip", np.eye(3)), Reading(data=alone))
    assert there.items == "all items"
    assert there.split.inputs is data.train.inputs


def test_the_items_of_all_splits_are_answered_in_their_order(make: Make) -> None:
    data = pictures()
    there = answer(make("a.dip", np.eye(3)), Reading(data=data))
    parts = (data.train, data.validation, data.test)
    np.testing.assert_array_equal(
        there.split.inputs, np.concatenate([part.inputs for part in parts])
    )
    assert there.split.items == tuple(f"{row}.png" for row in range(30))
    np.testing.assert_array_equal(there.outputs.argmax(axis=1), there.split.targets)


@pytest.mark.timeout(10)
def test_very_many_labels_in_another_order_are_matched_at_once(make: Make) -> None:
    labels = (*LABELS, *(f"other {number}" for number in range(40_000)))
    weights = np.zeros((3, len(labels)), np.float32)
    weights[:, :3] = np.eye(3)
    model = make("new.dip", weights[:, ::-1], labels=labels[::-1])
    other = make("old.dip", weights, labels=labels)
    reading = Reading(data=replace(pictures(6), labels=labels))
    there = answer(model, reading)
    assert [model.labels[target] for target in there.split.targets] == [*LABELS, *LABELS]
    both = pair(other, model, there, reading)
    np.testing.assert_array_equal(both.reference, both.model)


def test_a_label_that_the_bundle_does_not_know_is_named(make: Make) -> None:
    with pytest.raises(DataError, match="'dog'"):
        answer(make("a.dip", np.eye(3)), Reading(data=pictures(labels=("ant", "bee", "dog"))))


@pytest.mark.slow
def test_a_bundle_against_itself_loses_nothing(digits_bundle: Path) -> None:
    found = diptych.evaluate(digits_bundle, "digits", against=digits_bundle).damage
    assert found is not None
    assert found.flips is not None
    assert found.flips.differing == 0
    recorded = diptych.evaluate(digits_bundle, "digits").damage
    assert recorded is not None
    assert recorded.flips is not None
    assert recorded.flips.n == found.flips.n
