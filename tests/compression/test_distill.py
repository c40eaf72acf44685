import pytest
import torch
from torch import Tensor, nn

from diptych.compression.answers import Running, recorded
from diptych.compression.distill import distillation, partly_labelled
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
    answers = Running(Fixed(wanted))
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


@pytest.mark.parametrize("goal", GOALS)
def test_imitating_perfectly_costs_nothing_and_the_teacher_gets_no_gradient(goal: Goal) -> None:
    wanted = pair(4, 1 if goal == "regression" else 3)[0].requires_grad_()
    given = wanted.detach().clone().requires_grad_()
    objective = distillation(goal, Running(Fixed(wanted)), 2.0)
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


def test_items_with_labels_cost_a_mix_and_the_others_imitation_alone() -> None:
    """The loss of a batch is the mean of what its items cost one by one."""
    costs = torch.tensor([1.0, 10.0, 100.0, 1000.0])

    def labels(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        assert (chosen < 2).all(), "an item without a label was asked for it"
        return costs[chosen].mean()

    def imitation(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        return 7 * costs[chosen].mean()

    objective = partly_labelled(labels, imitation, 0.25, 2)
    each = [(0.25 + 0.75 * 7) * costs[0], (0.25 + 0.75 * 7) * costs[1], 7 * costs[2], 7 * costs[3]]
    for chosen in ([0, 1], [2, 3], [0, 2, 3], [3, 1, 1], [0, 1, 2, 3]):
        batch = torch.tensor(chosen)
        expected = torch.stack([each[item] for item in chosen]).mean()
        loss = objective(torch.zeros(len(batch), 1), torch.zeros(len(batch), 1), batch)
        assert loss.item() == pytest.approx(expected.item())
