import pytest
import torch
from torch import Tensor, nn

from diptych.compression.features import (
    Showing,
    Watched,
    dissimilarity,
    distance,
    shape_of,
    with_features,
)
from diptych.core.specs import ImageSpec
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.models.features import look
from diptych.training.recipe import TrainingRecipe

SPEC = ImageSpec(height=8, width=8, channels=1)
SHAPE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
INPUTS = torch.randint(
    0, 256, (6, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(seed: int = 0) -> ResidualNet:
    torch.manual_seed(seed)
    return ResidualNet(SHAPE, SPEC, 3)


def naive(mine: Tensor, theirs: Tensor) -> float:
    """Compare similarities item by item, without matrices."""
    total = 0.0
    for first in range(len(mine)):
        rows = []
        for features in (mine, theirs):
            row = [float((features[first] * other).sum()) for other in features]
            length = sum(value**2 for value in row) ** 0.5
            rows.append([value / length for value in row])
        total += sum((a - b) ** 2 for a, b in zip(*rows, strict=True))
    return total / len(mine)


def test_what_is_alike_is_compared_item_by_item() -> None:
    mine, theirs = noise(5, 3, 2, 2), noise(5, 7, seed=1)
    assert dissimilarity(mine, theirs).item() == pytest.approx(naive(mine, theirs))
    assert dissimilarity(mine, theirs) > 0


def test_what_is_alike_does_not_depend_on_axes_or_unit() -> None:
    mine, theirs = noise(6, 8), noise(6, 8, seed=1)
    turn, _ = torch.linalg.qr(noise(8, 8, seed=2))
    plain = dissimilarity(mine, theirs)
    assert torch.allclose(dissimilarity(mine @ turn, theirs), plain)
    assert torch.allclose(dissimilarity(mine, 5 * theirs @ turn), plain)
    assert torch.allclose(dissimilarity(mine @ turn, mine), plain.new_zeros(()), atol=1e-12)
    assert not torch.allclose(dissimilarity(mine @ noise(8, 8, seed=3), theirs), plain)


def test_the_distance_is_the_mean_square_in_units_of_the_teachers() -> None:
    mine, theirs = noise(4, 3, 2, 2), noise(4, 3, 2, 2, seed=1)
    expected = ((mine - theirs) ** 2).sum() / (theirs**2).sum()
    assert torch.allclose(distance(mine, theirs), expected)
    assert torch.allclose(distance(9 * mine, 9 * theirs), expected)
    assert distance(theirs, theirs) == 0


@pytest.mark.parametrize(
    ("mine", "theirs"), [((4, 3, 4, 4), (4, 3, 2, 2)), ((4, 3, 6), (4, 3, 2)), ((4, 3, 4), (4, 3))]
)
def test_features_of_other_places_are_averaged(
    mine: tuple[int, ...], theirs: tuple[int, ...]
) -> None:
    """A student that is the teacher's in every place of a coarser grid is no distance away."""
    coarse = noise(*theirs)
    fine = coarse if len(mine) == len(theirs) else coarse[..., None]
    for axis in range(2, len(mine)):
        fine = fine.repeat_interleave(mine[axis] // fine.shape[axis], axis)
    assert fine.shape == mine
    assert distance(fine, coarse).item() == pytest.approx(0.0, abs=1e-12)
    assert distance(fine + 1, coarse) > 0


@pytest.mark.parametrize("loss", [dissimilarity, distance])
def test_gradients_are_slopes(loss: object) -> None:
    mine, theirs = noise(4, 3, 2).requires_grad_(), noise(4, 3, 2, seed=1)
    assert torch.autograd.gradcheck(lambda some: loss(some, theirs), mine)


def test_a_student_equal_to_its_teacher_pays_nothing_for_features() -> None:
    teacher = network().eval()
    student = Showing(network(), shape_of(teacher, SPEC.tensor()), 16)
    nn.init.eye_(student.projection.weight)
    nn.init.zeros_(student.projection.bias)
    recipe = TrainingRecipe(similarity=3.0, features=2.0)
    watched = Watched(teacher, recipe)
    student.train()
    student.network.eval()  # batch norm as the teacher's

    def nothing(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        assert torch.allclose(outputs, watched.answers(inputs, chosen), atol=1e-5)
        return outputs.sum() * 0

    objective = with_features(nothing, student, watched, recipe, 3)
    loss = objective(INPUTS, student(INPUTS), torch.arange(6))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    other = Watched(network(1).eval(), recipe)
    lost = with_features(lambda *each: each[1].sum() * 0, student, other, recipe, 3)
    assert lost(INPUTS, student(INPUTS), torch.arange(6)) > 0.01


def test_in_training_features_are_behind_the_outputs_and_else_there_are_none() -> None:
    student = Showing(network(), torch.Size((16, 4, 4)), 5)
    student.train()
    shown = student(INPUTS)
    outputs, features = student.split(shown, 3)
    assert outputs.shape == (6, 3)
    assert features.shape == (6, 16, 4, 4)
    assert student.projected(features).shape == (6, 5, 4, 4)
    expected = look(student.network, INPUTS)
    assert torch.allclose(outputs, expected[0])
    assert torch.allclose(features, expected[1])
    members, _ = student.split(torch.cat([outputs, shown], 1), 3)
    assert members.shape == (6, 2, 3)
    assert student.eval()(INPUTS).shape == (6, 3)


def test_a_teacher_is_looked_at_once_for_a_batch() -> None:
    teacher, looks = network().eval(), []
    teacher.body.register_forward_hook(lambda *each: looks.append(1))
    watched = Watched(teacher, TrainingRecipe())
    watched.answers(INPUTS, torch.arange(6))
    assert not watched.features(INPUTS).requires_grad
    watched.answers(INPUTS, torch.arange(6))
    assert len(looks) == 1
    watched.answers(INPUTS.clone(), torch.arange(6))
    assert len(looks) == 2
