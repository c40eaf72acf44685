import dataclasses
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from diptych.core.unlabelled import Unlabelled
from diptych.core.values import Dataset, Goal
from diptych.fitting.aims import lesson_of, objective_of
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, train_model
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]


def plan(name: str, **training: object) -> ModelPlan:
    return ModelPlan(
        name=name,
        network=ResidualNetConfig(stem=8, widths=(8,), blocks=(0,)),
        training=TrainingRecipe(batch_size=20, **training),  # type: ignore[arg-type]
    )


def with_more(data: Dataset, count: int) -> Dataset:
    """Add blank items without labels."""
    joined = np.concatenate([data.train.inputs, np.zeros_like(data.train.inputs[:count])])
    more = Unlabelled(joined=joined, items=tuple(f"more {k}" for k in range(count)))
    train = dataclasses.replace(data.train, inputs=joined[: len(data.train)])
    return dataclasses.replace(data, train=train, unlabelled=more)


def slope_at(answer: torch.Tensor, data: Dataset, *, balance: bool) -> float:
    """Return how steep the loss is where every item is answered alike; 0 where that is best."""
    answer.requires_grad_()
    recipe, items = TrainingRecipe(balance=balance, label_smoothing=0.0), len(data.train)
    outputs = answer.expand(items, -1)
    objective_of(data, recipe, None)(torch.empty(0), outputs, torch.arange(items)).backward()
    assert answer.grad is not None
    return float(answer.grad.abs().max())


def test_where_nothing_can_be_seen_answers_are_shares_and_even_where_classes_are_balanced(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=100)
    data.train.targets[:] = np.arange(100) % 10 == 0
    for balance, shares in ((False, (0.9, 0.1)), (True, (0.5, 0.5))):
        assert slope_at(torch.tensor(shares).log(), data, balance=balance) < 1e-6


def test_where_nothing_can_be_seen_balanced_labels_of_several_are_as_likely_as_not(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=100, goal="multi-label")
    rare = np.arange(100) % 10 == 0
    data.train.targets[:] = np.stack([rare, ~rare], 1)
    for balance, shares in ((False, (0.1, 0.9)), (True, (0.5, 0.5))):
        assert slope_at(torch.tensor(shares).logit(), data, balance=balance) < 1e-6


@pytest.mark.parametrize("goal", get_args(Goal))
def test_the_share_of_labels_is_mixed_into_imitation(make_dataset: MakeDataset, goal: Goal) -> None:
    data = make_dataset(items=40, goal=goal)
    settings = {"label_smoothing": 0.1, "temperature": 3.0}
    teacher = train_model(plan("teacher", epochs=1.0), data, RunControl(name="teacher"))
    chosen = torch.tensor([3, 5, 8, 8])
    inputs = torch.from_numpy(data.train.inputs)[chosen]
    outputs = torch.randn(4, len(data.labels), generator=torch.Generator().manual_seed(0))

    def loss(share: float, teacher: Trainee | None) -> float:
        recipe = TrainingRecipe(label_share=share, **settings)  # type: ignore[arg-type]
        answers = teacher.answers(data, recipe) if teacher else None
        return objective_of(data, recipe, answers)(inputs, outputs, chosen).item()

    labels, imitation = loss(0.5, None), loss(0.0, teacher)
    assert loss(1.0, teacher) == pytest.approx(labels)
    assert loss(0.25, teacher) == pytest.approx(0.25 * labels + 0.75 * imitation, rel=1e-5)
    assert labels != pytest.approx(imitation)


@pytest.mark.parametrize("goal", get_args(Goal))
def test_a_lesson_is_the_training_split_and_then_items_without_labels(
    make_dataset: MakeDataset, goal: Goal
) -> None:
    data = make_dataset(items=12, goal=goal)
    assert lesson_of(data) is data
    more = with_more(data, 5)
    lesson = lesson_of(more).train
    assert len(lesson) == len(lesson.items) == len(lesson.inputs) == 17
    assert np.array_equal(lesson.inputs[:12], data.train.inputs)
    assert np.array_equal(lesson.targets[:12], data.train.targets)
    assert lesson.targets.dtype == data.train.targets.dtype
    assert lesson.items[12:] == more.unlabelled.items


@pytest.mark.parametrize("goal", get_args(Goal))
def test_items_without_labels_have_no_say_in_the_loss_on_labels(
    make_dataset: MakeDataset, goal: Goal
) -> None:
    data = with_more(make_dataset(items=12, goal=goal), 5)
    recipe = TrainingRecipe(label_share=0.5)
    outputs = torch.randn(3, len(data.labels), generator=torch.Generator().manual_seed(0))
    inputs = torch.from_numpy(data.unlabelled.joined)

    def loss(answers: torch.Tensor, chosen: list[int]) -> float:
        objective = objective_of(data, recipe, lambda inputs, chosen: answers[: len(chosen)])
        items = torch.tensor(chosen)
        return objective(inputs[items], outputs[: len(chosen)], items).item()

    assert loss(outputs, [12, 14, 16]) == pytest.approx(0.0, abs=1e-6)
    assert loss(outputs, [0, 1, 2]) > 0
