"""Oracle: one process that draws for the whole batch."""

import pytest
import torch
from torch import Tensor, nn

from diptych.training.draws import TeamDropout, draw_alone, seed_draws, share_draws
from diptych.training.models.masking import Masks

LAYOUTS = {
    "plain": torch.randn(12, 6, 4, 5),
    "channels last": torch.randn(12, 6, 4, 5).to(memory_format=torch.channels_last),
    "turned": torch.randn(12, 7, 6).transpose(1, 2),
    "items last": torch.randn(7, 12).t(),
    "half": torch.randn(12, 9).bfloat16(),
    "large": torch.randn(12, 30_000),
}


def drawn(network: nn.Module, inputs: Tensor, parts: int = 1) -> Tensor:
    torch.manual_seed(3)
    return torch.cat([network(part) for part in inputs.chunk(parts)])


def test_what_is_drawn_is_that_of_the_seed_on_a_graphics_processor_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    drawn_before = []
    for device in ("cpu", "cuda:0"):
        seed_draws(7, torch.device(device))
        drawn_before.append(torch.rand(3))
    assert seeds == [7]
    torch.manual_seed(7)
    assert all(torch.equal(each, drawn_before[0]) for each in (drawn_before[1], torch.rand(3)))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", LAYOUTS)
def test_each_process_forgets_what_one_process_would(name: str, size: int) -> None:
    inputs, whole = LAYOUTS[name], nn.Sequential(nn.Dropout(0.4), nn.Tanh(), nn.Dropout(0.1))
    expected = drawn(whole, inputs)
    assert 0.3 < (expected == 0).float().mean() < 0.6
    for rank, (own, wanted) in enumerate(
        zip(inputs.chunk(size), expected.chunk(size), strict=True)
    ):
        share_draws(whole, rank, size)
        assert torch.equal(drawn(whole, own), wanted)
        draw_alone(whole)


def test_a_batch_in_parts_is_forgotten_as_by_one_process_in_parts() -> None:
    inputs, network = torch.randn(12, 50), nn.Sequential(nn.Dropout(0.5))
    expected = drawn(network, inputs, parts=3).view(3, 2, 2, 50)
    for rank in range(2):
        own = inputs.view(3, 2, 2, 50)[:, rank].flatten(0, 1)
        share_draws(network, rank, 2)
        assert torch.equal(drawn(network, own, parts=3), expected[:, rank].flatten(0, 1))
        draw_alone(network)


def test_sounds_are_masked_alike() -> None:
    features, masks = torch.ones(6, 10, 20), nn.Sequential(Masks(0.5, 0.5))
    expected = drawn(masks, features)
    assert len({item.numpy().tobytes() for item in expected}) > 1
    for rank in range(3):
        share_draws(masks, rank, 3)
        assert torch.equal(drawn(masks, features[:2]), expected[2 * rank : 2 * rank + 2])


def test_a_network_comes_back_as_it_was() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.2), Masks(0.1, 0.1)))
    first = network[0]
    share_draws(network, 1, 2)
    share_draws(network, 1, 2)
    assert isinstance(network[0], TeamDropout)
    assert network.state_dict() == {}
    network.eval()
    assert torch.equal(network[0](torch.ones(3)), torch.ones(3))
    draw_alone(network)
    assert network[0] is first
    assert type(network[1][0]) is nn.Dropout
    assert not network[1][0].training
    assert (network[1][1].rank, network[1][1].size) == (0, 1)
