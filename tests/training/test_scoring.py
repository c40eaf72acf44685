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


class Level(nn.Module):
    """Answers with a number: how bright the first pixel is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1)[:, :1].float() + self.weight


def measured(dataset: Dataset) -> Dataset:
    """Let numbers be told, which rise from item to item."""
    held = dataset.validation
    levels = held.inputs[:, 0, 0, 0] + np.random.default_rng(0).normal(0, 30, len(held))
    order = levels.argsort()
    numbers = replace(held, inputs=held.inputs[order], targets=levels[order].astype(np.float32))
    return replace(dataset, goal="regression", labels=("level",), validation=numbers)


@pytest.mark.parametrize("size", [2, 3, 4, 7, 60])
@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_a_team_gives_the_score_of_one_process(dataset: Dataset, goal: str, size: int) -> None:
    network: nn.Module = Guess(3)
    if goal == "regression":
        dataset, network = measured(dataset), Level()
    given: dict[int, Tensor] = {}

    class One(Team):
        """One of several; it hears of the others once they have spoken."""

        def __init__(self, rank: int) -> None:
            self.rank, self.size = rank, size

        def gathered(self, own: Tensor) -> Tensor:
            given[self.rank] = own
            return torch.stack([given.get(rank, own) for rank in range(size)])

    alone = validation_score(network, dataset, RECIPE, SOLO, lambda: None)
    for _ in range(2):
        found = [
            validation_score(network, dataset, RECIPE, One(rank), lambda: None)
            for rank in range(size)
        ]
    assert found == [alone] * size


def test_without_items_there_is_no_score(dataset: Dataset) -> None:
    none = replace(
        dataset.validation,
        inputs=dataset.validation.inputs[:0],
        targets=dataset.validation.targets[:0],
        items=(),
    )
    empty = replace(dataset, validation=none)
    assert validation_score(Guess(3), empty, RECIPE, SOLO, lambda: None) is None
