import pytest
import torch
from torch import Tensor, nn

from diptych.training.models.rescaled import Rescaled


class Ensemble(nn.Module):
    """Two members in training, their mean in evaluation."""

    def forward(self, inputs: Tensor) -> Tensor:
        members = torch.stack([inputs, 3 * inputs], dim=1)
        return members if self.training else members.mean(1)


def test_outputs_are_in_the_targets_own_unit() -> None:
    inputs = torch.tensor([[-1.0], [0.0], [2.0]])
    network = Rescaled(nn.Identity(), mean=200.0, deviation=30.0)
    assert network(inputs).flatten().tolist() == [170.0, 200.0, 260.0]


def test_each_member_of_an_ensemble_is_rescaled() -> None:
    network = Rescaled(Ensemble(), mean=5.0, deviation=2.0)
    inputs = torch.tensor([[1.0], [4.0]])
    assert network.train()(inputs).tolist() == [[[7.0], [11.0]], [[13.0], [29.0]]]
    assert network.eval()(inputs).tolist() == [[9.0], [21.0]]


def test_the_scale_is_kept_with_the_weights_and_is_never_trained() -> None:
    network = Rescaled(nn.Linear(2, 1), mean=200.0, deviation=30.0)
    state = network.state_dict()
    assert (state["mean"].item(), state["deviation"].item()) == (200.0, 30.0)
    assert {name for name, _ in network.named_parameters()} == {"network.weight", "network.bias"}
    other = Rescaled(nn.Linear(2, 1), mean=0.0, deviation=1.0)
    other.load_state_dict(state)
    inputs = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(inputs), network(inputs))


def test_values_are_float32_whatever_the_network_computes_in() -> None:
    network = Rescaled(nn.Linear(2, 1), mean=1e6, deviation=1.0)
    inputs = torch.ones(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        told = network(inputs)
    assert told.dtype == torch.float32
    assert told.item() == pytest.approx(network(inputs).item(), abs=0.1)


def test_the_gradient_reaches_the_network_in_its_scale() -> None:
    network = Rescaled(nn.Linear(1, 1), mean=0.0, deviation=30.0)
    network(torch.tensor([[2.0]])).sum().backward()
    assert network.network.weight.grad.item() == 60.0
