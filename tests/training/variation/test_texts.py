import numpy as np
import torch

from diptych.training.variation.texts import UNKNOWN, TextBatches, TextVariation


def texts(lengths: list[int], places: int = 12) -> torch.Tensor:
    tokens = torch.randint(2, 100, (len(lengths), places), dtype=torch.int32)
    return torch.where(torch.arange(places) < torch.tensor(lengths)[:, None], tokens, 0)


def batches(tokens: torch.Tensor, forget: float, seed: int = 0) -> TextBatches:
    generator = torch.Generator().manual_seed(seed)
    return TextBatches(tokens, TextVariation(forget=forget), generator)


def drawing(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_batch_is_as_long_as_its_longest_text() -> None:
    tokens = texts([3, 12, 5, 0])
    for chosen, longest in (([0, 2], 5), ([1], 12), ([3], 1), ([3, 0], 3)):
        drawn = batches(tokens, 0.0).draw(torch.tensor(chosen), 0, drawing())
        assert drawn.dtype == torch.int32
        assert torch.equal(drawn, tokens[chosen, :longest])


def test_texts_are_read_when_a_batch_of_them_is_made_and_never_all_of_them() -> None:
    tokens = torch.zeros(4, 12, dtype=torch.int32)
    source = batches(tokens, 0.0)
    tokens[2, :7] = 5
    chosen = torch.tensor([0, 2])
    assert torch.equal(source.draw(chosen, 0, drawing()), tokens[chosen, :7])


def test_the_wanted_share_of_pieces_is_forgotten_and_no_padding() -> None:
    tokens = texts([8] * 4000)
    drawn = batches(tokens, 0.3).draw(torch.arange(4000), 0, drawing())
    share = (drawn == UNKNOWN).float().mean().item()
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 32_000)
    assert torch.equal(drawn == 0, tokens[:, :8] == 0)
    kept = drawn != UNKNOWN
    assert torch.equal(drawn[kept], tokens[:, :8][kept])


def test_texts_themselves_stay_as_they_are_and_draws_differ() -> None:
    tokens = texts([12] * 50)
    before, source = tokens.clone(), batches(tokens, 0.5)
    first, second = (source.draw(torch.arange(50), 0, drawing(seed)) for seed in range(2))
    assert torch.equal(tokens, before)
    assert not torch.equal(first, second)
