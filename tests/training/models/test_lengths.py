import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretended_gpu import GPU, pretended_gpu

from diptych.training.models.lengths import GROUP, by_length


def texts(lengths: list[int], places: int = 12) -> torch.Tensor:
    tokens = torch.randint(1, 100, (len(lengths), places), dtype=torch.int32)
    return torch.where(torch.arange(places) < torch.tensor(lengths)[:, None], tokens, 0)


def summed(tokens: torch.Tensor) -> torch.Tensor:
    return torch.stack([tokens.sum(1), (tokens**2).sum(1)], 1)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=100))
def test_outputs_are_those_of_all_texts_at_once_in_their_order(lengths: list[int]) -> None:
    tokens = texts(lengths)
    assert torch.equal(by_length(summed, tokens), summed(tokens))


def test_little_padding_is_computed() -> None:
    tokens = texts([2, 12, 3, 1] * 2 * GROUP)
    seen = []

    def compute(group: torch.Tensor) -> torch.Tensor:
        seen.append(group.numel())
        return summed(group)

    by_length(compute, tokens)
    assert sum(seen) == 2 * GROUP * (1 + 2 + 3 + 12)
    assert tokens.numel() == 2 * GROUP * 4 * 12


def test_gradients_flow_through_the_groups() -> None:
    weight = torch.ones(1, requires_grad=True)
    tokens = texts([2, 12, 3, 1] * GROUP)
    by_length(lambda group: summed(group) * weight, tokens).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == summed(tokens).sum().item()


def test_on_a_graphics_processor_no_length_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def compute(tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(tokens.shape))
        return tokens.float().sum(1, keepdim=True)

    with pretended_gpu(monkeypatch):
        by_length(compute, torch.ones(100, 7, dtype=torch.int32).to(GPU))
    assert seen == [(100, 7)]
