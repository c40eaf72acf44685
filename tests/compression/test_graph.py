import pytest
import torch
from torch import Tensor, nn

from diptych.compression.graph import aten, capture, constant, only_user
from diptych.core.errors import TargetError
from diptych.core.specs import TensorSpec

SPEC = TensorSpec(name="pixels", dtype="float32", shape=(None, 2, 8, 8))


class Folded(nn.Module):
    """A norm after a convolution, one after pooling, one before it, and one after a layer."""

    def __init__(self, least: float = 0.5) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
        self.head = nn.Linear(6, 5)
        self.last = nn.BatchNorm1d(5)
        for norm in (*self.norms, self.last):
            nn.init.uniform_(norm.weight, least, 1.5)
            nn.init.normal_(norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.norms[0](self.first(x)))
        x = torch.relu(self.norms[1](nn.functional.max_pool2d(self.second(x), 2)))
        return self.last(self.head(x.amax((2, 3))))


def trained(network: nn.Module) -> nn.Module:
    """Give norms statistics of their own."""
    torch.manual_seed(0)
    for _ in range(20):
        network(3 * torch.randn(16, 2, 8, 8) + 1)
    return network.eval()


def kinds(network: nn.Module) -> list[object]:
    return [node.target for node in network.graph.nodes if node.op == "call_function"]


def test_a_captured_network_computes_the_same_without_its_norms() -> None:
    network = trained(Folded())
    captured = capture(network, SPEC)
    x = torch.randn(7, 2, 8, 8)
    assert torch.allclose(captured(x), network(x), atol=1e-5)
    assert aten.batch_norm.default not in kinds(captured)


def test_relu_comes_before_max_pooling() -> None:
    order = kinds(capture(trained(Folded()), SPEC))
    pooling = order.index(aten.max_pool2d.default)
    assert order[pooling - 1] is aten.relu.default
    assert order[pooling + 1] is aten.amax.default


def test_a_norm_with_a_negative_scale_stays_behind_its_pooling() -> None:
    network = trained(Folded(least=-1.5))
    captured = capture(network, SPEC)
    x = torch.randn(7, 2, 8, 8)
    assert kinds(captured).count(aten.batch_norm.default) == 1
    assert torch.allclose(captured(x), network(x), atol=1e-5)


def test_training_the_captured_network_leaves_the_given_one_as_it_was() -> None:
    network = trained(Folded())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    captured = capture(network, SPEC)
    captured.train()
    captured(torch.randn(4, 2, 8, 8)).square().sum().backward()
    parameters = list(captured.parameters())
    assert len(parameters) == 6
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters)
    torch.optim.SGD(parameters, lr=1.0).step()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_what_an_operation_is_given_is_looked_up() -> None:
    captured = capture(trained(Folded()), SPEC)
    head = next(node for node in captured.graph.nodes if node.target is aten.linear.default)
    assert constant(captured, head.args[1]) is not None
    assert constant(captured, head.args[0]) is None
    assert constant(captured, 3) is None
    assert only_user(head).op == "output"


def test_a_layer_whose_result_is_used_twice_keeps_its_norm() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.layer(x)
            return x + self.norm(x)

    network = trained(Twice())
    captured = capture(network, SPEC)
    x = torch.randn(3, 2, 8, 8)
    assert aten.batch_norm.default in kinds(captured)
    assert torch.allclose(captured(x), network(x), atol=1e-5)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(TargetError, match="training mode"):
        capture(Folded(), SPEC)


def test_a_network_whose_course_depends_on_its_inputs_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(TargetError, match="cannot follow"):
        capture(Branching().eval(), SPEC)


def test_a_layer_whose_padding_is_a_word_takes_its_norm() -> None:
    network = trained(
        nn.Sequential(
            nn.Conv2d(2, 3, 3, padding="same"),
            nn.BatchNorm2d(3),
            nn.Flatten(2),
            nn.Conv1d(3, 4, 3, padding="same"),
            nn.BatchNorm1d(4),
        )
    )
    captured = capture(network, SPEC)
    x = torch.randn(3, 2, 8, 8)
    assert aten.batch_norm.default not in kinds(captured)
    assert torch.allclose(captured(x), network(x), atol=1e-5)


@pytest.mark.parametrize("outputs", [16, 5])
def test_a_norm_along_another_axis_than_a_linear_layers_outputs_stays(outputs: int) -> None:
    network = nn.Sequential(nn.Flatten(1, 2), nn.Linear(8, outputs), nn.BatchNorm1d(16))
    nn.init.uniform_(network[2].weight, 0.5, 1.5)
    network = trained(network)
    captured = capture(network, SPEC)
    x = torch.randn(3, 2, 8, 8)
    assert torch.allclose(captured(x), network(x), atol=1e-5)
