"""Two bundles held against each other; the programs are stand-ins with chosen answers."""

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from diptych.core.errors import BudgetError
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Energy, EnergyLabel, Estimate, Split
from diptych.fitting.answering import Reading
from diptych.fitting.budget import Budget
from diptych.fitting.difference import Difference, difference
from diptych.fitting.verdicts import verdict_of
from diptych.inference.bundle import Bundle

LABELS = ("ant", "bee", "cat")
N = 400


class Fixed:
    """A session: the answer to a picture is in its first pixel, less some that it gets wrong."""

    def __init__(self, wrong: int) -> None:
        self.wrong = wrong

    def run(self, pixels: np.ndarray) -> np.ndarray:
        told = pixels[:, 0, 0, 0].astype(np.int64)
        told[pixels[:, 0, 0, 1] < self.wrong] = 0
        return 5 * np.eye(3, dtype=np.float32)[told]

    def close(self) -> None:
        pass


def dataset() -> Dataset:
    """Make pictures that hold their class and their rank among the bees."""
    targets = np.arange(N) % 3
    pixels = np.full((N, 8, 8, 3), 255, np.uint8)
    pixels[:, 0, 0, 0] = targets
    bees = np.flatnonzero(targets == 1)
    pixels[bees, 0, 0, 1] = np.arange(len(bees))
    record = DataRecord(
        name="made",
        sha256="1" * 64,
        counts={},
        split_method="given",
        seed=0,
        given_splits=("test",),
    )
    items = tuple(f"{row}.png" for row in range(N))
    split = Split(inputs=pixels, targets=targets, items=items)
    return Dataset(
        goal="classification",
        spec=ImageSpec(height=8, width=8, channels=3),
        labels=LABELS,
        train=split,
        validation=split,
        test=split,
        record=record,
    )


@pytest.fixture
def differ(tiny):
    """Give what compares a right bundle with one that gets some bees wrong."""

    def compare(
        wrong: int,
        budget: str,
        cpu: str = "made by hand",
        runs: int | None = None,
        labels: tuple[EnergyLabel, EnergyLabel] | None = None,
    ) -> Difference:
        number = Estimate(value=2.0, low=1.9, high=2.1, n=500, method="by hand")
        model = structs.replace(tiny.manifest.model, p99_ms=number, size_bytes=5000)
        old = tiny.manifest
        machine = structs.replace(old.machine, cpu=cpu)
        new = structs.replace(old, model=model, machine=machine)
        if runs is not None:  # of new processes that took about 2 KB
            model = structs.replace(model, memory_bytes=2000)
            peak = Estimate(value=2000, low=1900, high=2100, n=runs, method="by hand")
            term = verdict_of(Budget.parse("memory<=1MB").terms[0], peak)
            new = structs.replace(new, model=model, terms=(term,) if runs else ())
        if labels is not None:
            spent = [
                Energy(value_j=1e-3, low_j=5e-4, high_j=2e-3, label=label, method="by hand")
                for label in labels
            ]
            old = structs.replace(old, model=structs.replace(old.model, energy=spent[0]))
            model = structs.replace(new.model, energy=spent[1], cost_usd_per_million=0.1)
            new = structs.replace(new, model=model)
        program = old.programs[0]
        first, second = (
            Bundle(Path(name), manifest, program, Fixed(k), lambda item: item)  # type: ignore[arg-type]
            for name, manifest, k in (("old.dip", old, 0), ("new.dip", new, wrong))
        )
        return difference(first, second, Reading(data=dataset()), Budget.parse(budget))

    return compare


def test_the_second_bundle_is_held_against_the_first_on_the_same_items(differ) -> None:
    found = differ(40, "drop<=1%")
    assert (found.first, found.second) == ("old.dip", "new.dip")
    assert (found.n, found.items) == (N, "test split")
    assert found.drop.value == pytest.approx(40 / N)
    assert found.verdict == found.terms[0].verdict == "FAIL"
    assert [one.label for one in found.damage.paying] == ["bee"]
    accuracy = found.scores[0]
    assert accuracy.name == "accuracy"
    assert (accuracy.first.value, accuracy.second.value) == (1.0, 0.9)


@pytest.mark.parametrize(
    ("wrong", "budget", "verdict"),
    [
        (0, "drop<=2%", "PASS"),
        (4, "drop<=1%", "CANNOT TELL"),
        (40, "drop<=20%, accuracy>=50%, f1>=50%, score>=50%", "PASS"),
        (0, "size<=5KB, p99<=3ms", "PASS"),
        (0, "size<=4KB", "FAIL"),
        (0, "p99<=2ms", "CANNOT TELL"),
        (0, "energy<=1J", "CANNOT TELL"),
        (40, "", "PASS"),
    ],
)
def test_limits_are_decided_by_what_is_measured_and_recorded(
    differ, wrong: int, budget: str, verdict: str
) -> None:
    assert differ(wrong, budget).verdict == verdict


def test_what_only_one_has_recorded_is_there_and_unknown_of_the_other(differ) -> None:
    found = {one.name: one for one in differ(0, "").recorded}
    assert set(found) == {"p99", "size"}
    assert found["size"].first is None
    assert found["size"].second.value == 5000


@pytest.mark.parametrize(
    ("runs", "budget", "verdict"),
    [
        (6, "memory<=3KB", "PASS"),
        (6, "memory<=1KB", "FAIL"),
        (6, "memory<=2KB", "CANNOT TELL"),
        (2, "memory<=3KB", "CANNOT TELL"),
        (0, "memory<=3KB", "CANNOT TELL"),
        (0, "memory<=1KB", "CANNOT TELL"),
    ],
)
def test_memory_is_decided_by_its_interval_where_one_was_recorded(
    differ, runs: int, budget: str, verdict: str
) -> None:
    found = differ(0, budget, runs=runs)
    assert found.verdict == verdict
    assert found.terms[0].value == 2000


def test_other_processors_are_noticed(differ) -> None:
    assert differ(0, "", cpu="another").one_machine is False


def test_a_limit_on_a_score_of_another_goal_is_refused(differ) -> None:
    with pytest.raises(BudgetError, match="r2"):
        differ(0, "r2>=50%")


@pytest.mark.parametrize("first", ["modelled", "counter"])
def test_energies_carry_their_labels_and_those_that_differ_are_not_comparable(
    differ, first: EnergyLabel
) -> None:
    found = differ(0, "energy<=5mJ, cost<=$1, p99<=3ms", labels=(first, "counter"))
    both = {one.name: one for one in found.recorded}
    assert (both["energy"].first_label, both["energy"].second_label) == (first, "counter")
    assert both["energy"].comparable is (first == "counter")
    assert (both["cost"].first_label, both["cost"].second_label) == (None, "declared")
    assert both["cost"].comparable
    assert [term.label for term in found.terms] == ["counter", "declared", None]
    assert found.verdict == "PASS"


def test_what_was_not_recorded_has_no_label(differ) -> None:
    assert [term.label for term in differ(0, "energy<=1J, cost<=$1").terms] == [None, None]
