import torch
from torch import nn

from diptych.targets.ordered import ordered


def test_a_copy_has_its_numbers_in_order_and_computes_the_same() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3))
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert not network[0].weight.is_contiguous()
    inputs = torch.randn(2, 3, 9, 9)
    twin = ordered(network)
    assert all(numbers.is_contiguous() for numbers in twin.parameters())
    assert not network[0].weight.is_contiguous()
    assert network.training
    assert torch.allclose(twin(inputs), network.eval()(inputs), atol=1e-6)
