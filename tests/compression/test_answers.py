import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.compression.answers import MOST_BYTES, Memory, Running, can_remember, recorded
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

NOTHING = torch.empty(0)


class Counting(nn.Module):
    """Answers each item with its number and twice that; counts what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.asked += inputs[:, 0].long().tolist()
        return torch.stack([inputs[:, 0], 2 * inputs[:, 0]], 1)


def test_recorded_answers_are_those_of_the_chosen_items() -> None:
    outputs = torch.arange(27.0).view(9, 3)
    chosen = torch.tensor([7, 7, 0])
    assert torch.equal(recorded(outputs)(NOTHING, chosen), outputs[[7, 7, 0]])


def test_a_running_teacher_sees_the_students_inputs() -> None:
    teacher = nn.Linear(4, 2)
    inputs = torch.ones(3, 4)
    answered = Running(teacher)(inputs, torch.arange(3))
    assert torch.equal(answered, teacher(inputs))
    assert not answered.requires_grad


def test_a_running_teacher_computes_once_for_both_labels_of_mixed_items() -> None:
    teacher, inputs = Counting(), torch.arange(3.0)[:, None]
    answers = Running(teacher)
    first = answers(inputs, torch.tensor([0, 1, 2]))
    assert torch.equal(answers(inputs, torch.tensor([2, 0, 1])), first)
    assert teacher.asked == [0, 1, 2]
    assert torch.equal(answers(inputs.clone(), torch.arange(3)), first)
    assert len(teacher.asked) == 6


def test_each_item_is_asked_about_once_whoever_learns() -> None:
    items = np.arange(10, dtype=np.float32)[:, None]
    teacher, memory = Counting(), Memory()
    random = torch.Generator().manual_seed(0)
    for _ in range(2):  # two students
        answers = memory.recall(Running(teacher), items)
        for _ in range(4):  # epochs of three batches, so that one item is left over
            for chosen in torch.randperm(10, generator=random)[:9].split(3):
                expected = torch.stack([chosen.float(), 2 * chosen.float()], 1)
                assert torch.equal(answers(torch.from_numpy(items)[chosen], chosen), expected)
    assert sorted(teacher.asked) == list(range(10))


def test_other_items_are_another_lesson() -> None:
    items = np.arange(4, dtype=np.float32)[:, None]
    others, chosen = items + 100, torch.arange(4)
    teacher, memory = Counting(), Memory()
    for inputs in (items, others, items):
        told = memory.recall(Running(teacher), inputs)(torch.from_numpy(inputs), chosen)
        assert torch.equal(told[:, 0], torch.from_numpy(inputs[:, 0]))
    assert len(teacher.asked) == 12


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"variation": PictureVariation()}, False),
        ({"mixup": 0.2}, False),
        ({"cutmix": 1.0}, False),
    ],
)
def test_only_what_stays_as_it_is_can_be_remembered(changes: dict[str, object], same: bool) -> None:
    recipe = TrainingRecipe(**changes)  # type: ignore[arg-type]
    assert can_remember(recipe, 1_000, 10) == same
    assert not can_remember(recipe, MOST_BYTES // 40 + 1, 10)
