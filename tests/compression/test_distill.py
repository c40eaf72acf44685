import pytest
import torch
from torch import nn

from diptych.compression.distill import distillation


class Fixed(nn.Module):
    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 1.0 * self.logits


def test_the_loss_is_the_divergence_of_the_softened_distributions() -> None:
    random = torch.Generator().manual_seed(0)
    wanted, given = torch.randn(5, 3, generator=random), torch.randn(5, 3, generator=random)
    loss = distillation(Fixed(wanted), 3.0, bf16=False)(torch.empty(0), given, torch.empty(0))
    p, q = (wanted / 3).softmax(1), (given / 3).softmax(1)
    assert loss.item() == pytest.approx(9 * (p * (p / q).log()).sum(1).mean().item(), rel=1e-4)


def test_imitating_perfectly_costs_nothing_and_the_teacher_gets_no_gradient() -> None:
    wanted = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    given = wanted.detach().clone().requires_grad_()
    loss = distillation(Fixed(wanted), 2.0, bf16=False)(torch.empty(0), given, torch.empty(0))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert wanted.grad is None
    assert given.grad is not None
