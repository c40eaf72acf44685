from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training import compute
from diptych.training.recipe import TrainingRecipe
from diptych.training.scoring import validation_score
from diptych.training.team import SOLO, Team

RECIPE = TrainingRecipe()


class Guess(nn.Module):
    """Answers the class that is the first pixel's remainder."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight, self.classes = nn.Parameter(torch.zeros(1)), classes

    def forward(self, pixels: Tensor) -> Tensor:
        answers = pixels.flatten(1)[:, 0].long() % self.classes
        return nn.functional.one_hot(answers, self.classes).float() + self.weight


@pytest.fixture
def dataset() -> Dataset:
    def split(count: int) -> Split:
        random = np.random.default_rng(count)
        pixels = random.integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
        return Split(inputs=pixels, targets=random.integers(0, 3, count), items=("",) * count)

    return Dataset(
        goal="classification",
        spec=ImageSpec(height=2, width=2, channels=1),
        labels=("a", "b", "c"),
        train=split(3),
        validation=split(50),
        test=split(4),
        record=DataRecord(name="made up", sha256="", counts={}, split_method="", seed=0),
    )


def known(dataset: Dataset) -> float:
    first = dataset.validation.inputs.reshape(len(dataset.validation), -1)[:, 0]
    return float(np.mean(first % 3 == dataset.validation.targets))


def test_the_score_is_the_share_of_right_answers_and_each_batch_is_told(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "EVALUATION_BATCH", 4)
    told: list[int] = []
    score = validation_score(Guess(3), dataset, RECIPE, SOLO, lambda: told.append(1))
    assert score == pytest.approx(known(dataset))
    assert len(told) == -(-len(dataset.validation) // 4)


def test_processes_of_a_team_count_each_item_once(dataset: Dataset) -> None:
    class One(Team):
        """One of three, which hears what it says itself."""

        size = 3

        def __init__(self, rank: int) -> None:
            self.rank = rank

        def summed(self, numbers: list[float]) -> list[float]:
            return numbers

    parts = [validation_score(Guess(3), dataset, RECIPE, One(n), lambda: None) for n in range(3)]
    assert sum(part or 0.0 for part in parts) == pytest.approx(known(dataset))


def test_without_items_there_is_no_score(dataset: Dataset) -> None:
    none = replace(
        dataset.validation,
        inputs=dataset.validation.inputs[:0],
        targets=dataset.validation.targets[:0],
        items=(),
    )
    empty = replace(dataset, validation=none)
    assert validation_score(Guess(3), empty, RECIPE, SOLO, lambda: None) is None
