import torch
from torch import nn

from diptych.training import weights


def test_weights_come_back_bit_for_bit_and_depend_on_nothing_else() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4)
    )
    data = weights.encode(network)
    assert data == weights.encode(network)
    state = weights.decode(data)
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[k], v) for k, v in network.state_dict().items())


def test_weights_that_two_layers_share_are_written_for_both() -> None:
    layer = nn.Linear(3, 3)
    state = weights.decode(weights.encode(nn.Sequential(layer, layer)))
    assert torch.equal(state["0.weight"], layer.weight)
    assert torch.equal(state["1.weight"], layer.weight)
