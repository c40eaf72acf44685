from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.progress import Step, silent
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting import evidence
from diptych.fitting.evidence import gather_evidence, with_starts
from diptych.fitting.verdicts import Evidence


class Brightest:
    """A session whose answer is the brightest corner; it remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.calls.append(len(batch))
        return batch[:, 0, :2, 0].astype(np.float32)

    def close(self) -> None:
        self.calls.clear()


class Choice:
    """What is measured of a trial: a session, a name, a runtime and a size."""

    name = "made"
    program = SimpleNamespace(runtime="onnxruntime")
    size_bytes = 1234
    unverified = ""

    def __init__(self, *, varies: bool = False) -> None:
        self.session, self.varies = Brightest(), varies


def make_data(n: int) -> Dataset:
    """Make data whose test split alone has items."""
    record = DataRecord(name="made", sha256="0" * 64, counts={}, split_method="made", seed=0)
    empty, spec = make_split(0), ImageSpec(height=2, width=2, channels=1)
    return Dataset(
        goal="classification",
        spec=spec,
        labels=("left", "right"),
        train=empty,
        validation=empty,
        test=make_split(n),
        record=record,
    )


def make_split(n: int) -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 2, 2, 1), dtype=np.uint8)
    targets = np.arange(n, dtype=np.int64) % 2
    return Split(inputs=pixels, targets=targets, items=tuple(map(str, range(n))))


def test_a_choice_is_measured_on_every_item_of_the_test_split() -> None:
    data, choice = make_data(150), Choice()
    split, right = data.test, np.arange(150) % 3 > 0
    teacher = np.eye(2, dtype=np.float32)[np.where(right, split.targets, 1 - split.targets)]
    seen = gather_evidence(choice, data, teacher, calls=30, seconds=5.0)  # type: ignore[arg-type]
    by_hand = [
        int(item[0, 1, 0] > item[0, 0, 0]) == t
        for item, t in zip(split.inputs, split.targets, strict=True)
    ]
    assert seen.item_scores.tolist() == by_hand
    assert seen.item_scores.dtype == bool
    assert seen.teacher_scores.tolist() == right.tolist()
    assert seen.kind.score == "accuracy"
    assert seen.targets is split.targets
    assert seen.size_bytes == 1234
    assert seen.cold_ms is None
    assert seen.memory_bytes is None


def test_single_predictions_are_timed_as_often_as_asked() -> None:
    choice = Choice()
    seen = gather_evidence(
        choice,  # type: ignore[arg-type]
        make_data(10),
        np.zeros((10, 2), np.float32),
        calls=30,
        seconds=60.0,
    )
    assert len(seen.latencies_ms) == 30
    assert choice.session.calls.count(1) >= 30
    assert seen.energy.label == "modelled"
    assert seen.cost_usd_per_million >= 0


def test_of_a_cascade_each_item_is_timed_once_at_most() -> None:
    answers = np.zeros((40, 2), np.float32)
    for varies, told in ((False, 100), (True, 40)):
        choice = Choice(varies=varies)
        seen = gather_evidence(choice, make_data(40), answers, calls=100, seconds=60.0)  # type: ignore[arg-type]
        assert len(seen.latencies_ms) == told


def some_evidence() -> Evidence:
    answers = np.zeros((4, 2), np.float32)
    return gather_evidence(Choice(), make_data(4), answers, calls=1, seconds=1.0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_cold_starts_are_of_new_processes_that_load_the_bundle(tiny_bundle: Path) -> None:
    steps: list[Step] = []
    figures = with_starts(some_evidence(), tiny_bundle, steps.append)
    assert figures.cold_ms is not None
    assert figures.memory_bytes is not None
    assert figures.cold_ms.shape == figures.memory_bytes.shape == (evidence.COLD_RUNS,)
    assert (figures.cold_ms > 20).all(), "Python alone takes longer to start"
    assert (figures.memory_bytes > 15e6).all(), "numpy alone takes more"
    assert [step.done for step in steps] == [0, 1]


def test_a_bundle_that_does_not_load_has_no_cold_start(tmp_path: Path) -> None:
    evidence = some_evidence()
    with pytest.raises(ConfigError, match="ended with code"):
        with_starts(evidence, tmp_path / "absent.dip", silent)
