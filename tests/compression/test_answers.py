from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from diptych.compression.answers import (
    MOST_BYTES,
    Memory,
    Repeated,
    Running,
    asked_for,
    can_remember,
    can_repeat,
    recorded,
    views_of,
)
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


def test_what_one_memory_knows_another_learns() -> None:
    items, chosen = np.arange(4, dtype=np.float32)[:, None], torch.arange(4)
    teacher, memory, other = Counting(), Memory(), Memory()
    answer = memory.recall(Running(teacher), items)
    assert memory.known() is None
    answer(torch.from_numpy(items)[:3], chosen[:3])
    assert memory.known() is None
    answer(torch.from_numpy(items), chosen)
    known = memory.known()
    assert known is not None
    other.learn(items, known)
    told = other.recall(Running(teacher), items)(torch.from_numpy(items), chosen)
    assert torch.equal(told[:, 1], 2 * torch.from_numpy(items)[:, 0])
    assert len(teacher.asked) == 4


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


def test_a_batch_that_comes_again_is_not_computed_again() -> None:
    teacher = Counting()
    answers = Repeated(Running(teacher))
    batches = [torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [1.0]]), torch.tensor([[1.0]])]
    for _ in range(3):
        for inputs in batches:
            told = answers(inputs.clone(), torch.zeros(len(inputs), dtype=torch.int64))
            assert torch.equal(told, torch.cat([inputs, 2 * inputs], 1))
    assert teacher.asked == [1, 2, 2, 1, 1]


class Symmetric(nn.Module):
    """Tells how bright columns are, each with the one across from it; counts pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.asked += len(inputs)
        sums = inputs.double().sum((1, 3))
        return (sums + sums.flip(1)).float()


def test_mirror_images_are_not_computed_again_for_a_teacher_that_mirrors() -> None:
    pictures = torch.randint(0, 256, (4, 5, 6, 3), dtype=torch.uint8)
    chosen = torch.arange(4)
    for mirrors, asked in [(False, 8), (True, 4)]:
        teacher = Symmetric()
        answers = Repeated(Running(teacher), mirrors=mirrors)
        for inputs in (pictures, pictures.flip(2), pictures.clone()):
            assert torch.equal(answers(inputs, chosen), Symmetric()(inputs))
        assert teacher.asked == asked


class Copies(TorchFunctionMode):
    """Counts how often something is fetched from where it is computed."""

    count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.count += getattr(func, "__name__", "") == "cpu"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mirrors", [True, False])
def test_a_batch_is_fetched_once_for_both_its_sides_and_both_its_labels(mirrors: bool) -> None:
    pictures = torch.randint(0, 256, (4, 5, 6, 3), dtype=torch.uint8)
    chosen = torch.arange(4)
    answers = Repeated(Running(Symmetric()), mirrors=mirrors)
    with Copies() as copies:
        first, second = answers(pictures, chosen), answers(pictures, chosen.flip(0))
    assert torch.equal(first, second)
    assert copies.count == 1


def test_a_teacher_that_mirrors_computes_the_same_side_whichever_comes_first() -> None:
    pictures = torch.randint(0, 256, (4, 5, 6, 3), dtype=torch.uint8)
    computed = []

    def noting(inputs: Tensor, chosen: Tensor) -> Tensor:
        computed.append(inputs)
        return inputs.float()

    for inputs in (pictures, pictures.flip(2)):
        Repeated(noting, mirrors=True)(inputs, torch.arange(4))
    assert torch.equal(*computed)


@pytest.mark.parametrize(
    ("views", "flip", "mirrors", "same_after"),
    [
        (4, True, False, 4),
        (3, True, False, 6),
        (3, True, True, 3),
        (3, False, False, 3),
        (0, True, False, 0),
    ],
)
def test_odd_views_are_twice_as_many_for_a_teacher_that_does_not_mirror(
    views: int, flip: bool, mirrors: bool, same_after: int
) -> None:
    recipe = TrainingRecipe(epochs=5, views=views, variation=PictureVariation(flip=flip))
    assert views_of(recipe, mirrors=mirrors) == same_after
    assert can_repeat(recipe, 1_000, 10, mirrors=mirrors) == (0 < same_after < 5)


@pytest.mark.parametrize(("views", "epochs", "again"), [(0, 9, False), (4, 4, False), (4, 9, True)])
def test_batches_are_remembered_where_they_come_again(
    views: int, epochs: float, again: bool
) -> None:
    recipe = TrainingRecipe(views=views, epochs=epochs, variation=PictureVariation())
    assert can_repeat(recipe, 1_000, 10) == again
    assert not can_repeat(recipe, MOST_BYTES // 160 + 1, 10)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"variation": PictureVariation()}, 900),
        ({"variation": PictureVariation(), "views": 4}, 400),
        ({"variation": PictureVariation(), "views": 20}, 900),
        ({}, 100),
    ],
)
def test_a_teacher_computes_what_it_cannot_remember(changes: dict[str, object], asked: int) -> None:
    recipe = TrainingRecipe(epochs=9, **changes)  # type: ignore[arg-type]
    assert asked_for(recipe, 100, 10, 900) == asked
