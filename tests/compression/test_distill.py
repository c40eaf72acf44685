import pytest
import torch
from torch import Tensor, nn

from diptych.compression.distill import distillation, recorded, running
from diptych.core.values import Goal

NOTHING = torch.empty(0)
GOALS: tuple[Goal, ...] = ("classification", "multi-label", "ordinal", "regression")


class Fixed(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: Tensor) -> Tensor:
        return 1.0 * self.logits


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=random), torch.randn(*shape, generator=random)


@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_the_loss_is_the_divergence_of_the_softened_distributions(goal: Goal) -> None:
    wanted, given = pair(5, 3)
    answers = running(Fixed(wanted))
    loss = distillation(goal, answers, 3.0)(NOTHING, given, torch.arange(5))
    p, q = (wanted / 3).softmax(1), (given / 3).softmax(1)
    assert loss.item() == pytest.approx(9 * (p * (p / q).log()).sum(1).mean().item(), rel=1e-4)


def test_several_labels_diverge_each_on_its_own() -> None:
    wanted, given = pair(5, 3)
    loss = distillation("multi-label", recorded(wanted), 2.0)(NOTHING, given, torch.arange(5))
    p, q = (wanted / 2).sigmoid(), (given / 2).sigmoid()
    expected = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert loss.item() == pytest.approx(4 * expected.mean().item(), rel=1e-4)


def test_numbers_differ_in_units_of_the_scale() -> None:
    wanted, given = pair(5, 1)
    objective = distillation("regression", recorded(wanted), 7.0, scale=10.0)
    expected = ((given - wanted) ** 2).mean().item() / 100
    assert objective(NOTHING, given, torch.arange(5)).item() == pytest.approx(expected)


def test_recorded_answers_are_those_of_the_chosen_items() -> None:
    outputs, _ = pair(9, 3)
    chosen = torch.tensor([7, 7, 0])
    assert torch.equal(recorded(outputs)(NOTHING, chosen), outputs[[7, 7, 0]])


def test_a_running_teacher_sees_the_students_inputs() -> None:
    teacher = nn.Linear(4, 2)
    inputs = torch.ones(3, 4)
    answered = running(teacher)(inputs, torch.arange(3))
    assert torch.equal(answered, teacher(inputs))
    assert not answered.requires_grad


@pytest.mark.parametrize("goal", GOALS)
def test_imitating_perfectly_costs_nothing_and_the_teacher_gets_no_gradient(goal: Goal) -> None:
    wanted = pair(4, 1 if goal == "regression" else 3)[0].requires_grad_()
    given = wanted.detach().clone().requires_grad_()
    objective = distillation(goal, running(Fixed(wanted)), 2.0)
    loss = objective(NOTHING, given, torch.arange(4))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert wanted.grad is None
    assert given.grad is not None


@pytest.mark.parametrize("goal", GOALS)
def test_each_member_of_a_student_ensemble_imitates(goal: Goal) -> None:
    outputs = 1 if goal == "regression" else 3
    wanted, _ = pair(4, outputs)
    given, _ = pair(4, 2, outputs)
    objective = distillation(goal, recorded(wanted), 2.0)
    alone = [objective(NOTHING, given[:, member], torch.arange(4)) for member in range(2)]
    together = objective(NOTHING, given, torch.arange(4))
    assert torch.allclose(together, torch.stack(alone).mean())
