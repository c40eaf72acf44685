import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diptych.core.errors import ConfigError
from diptych.training.variation.mixing import Mixed, mix


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 6, height: int = 8, width: int = 5) -> Tensor:
    return torch.randint(0, 256, (count, height, width, 3), generator=seeded(7), dtype=torch.uint8)


def sounds(count: int = 5) -> Tensor:
    drawn = torch.randint(-32768, 32768, (count, 100), generator=seeded(8))
    return drawn.to(torch.int16)


@pytest.mark.parametrize("items", [pictures(), sounds()], ids=["pictures", "sounds"])
@given(seed=st.integers(0, 2**32), alpha=st.sampled_from([0.1, 0.4, 1.0, 8.0]))
def test_a_blend_is_the_weighted_mean_of_an_item_and_its_partner(
    items: Tensor, seed: int, alpha: float
) -> None:
    before = items.clone()
    mixed = mix(items, seeded(seed), alpha, 0.0)
    own, other = items.numpy().astype(np.float64), items[mixed.partner].numpy().astype(np.float64)
    expected = mixed.share * own + (1 - mixed.share) * other
    assert np.abs(mixed.inputs.numpy() - expected).max() <= 0.51
    assert mixed.inputs.dtype == items.dtype
    assert torch.equal(items, before)


@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    alpha=st.sampled_from([0.2, 1.0, 5.0]),
)
def test_a_pasted_box_has_the_area_that_the_partner_counts_for(
    seed: int, height: int, width: int, alpha: float
) -> None:
    own = torch.zeros(4, height, width, 1, dtype=torch.uint8)
    own += torch.arange(4, dtype=torch.uint8)[:, None, None, None]
    mixed = mix(own, seeded(seed), 0.0, alpha)
    for item in range(4):
        partner = int(mixed.partner[item])
        pixels = mixed.inputs[item, :, :, 0]
        if partner == item:
            assert (pixels == item).all()
            continue
        box = pixels == partner
        assert ((pixels == item) | box).all()
        assert box.float().mean().item() == pytest.approx(1 - mixed.share)
        rows, columns = box.any(1), box.any(0)
        assert torch.equal(box, rows[:, None] & columns[None, :])


def test_partners_are_each_item_once_and_are_drawn_anew() -> None:
    draws = [mix(pictures(), seeded(seed), 0.4, 0.0).partner for seed in range(4)]
    assert all(sorted(partner.tolist()) == list(range(6)) for partner in draws)
    assert len({tuple(partner.tolist()) for partner in draws}) > 1


def test_the_same_generator_gives_the_same_batch() -> None:
    def drawn(seed: int) -> Mixed:
        return mix(pictures(), seeded(seed), 0.4, 1.0)

    for seed in range(8):
        first, again = drawn(seed), drawn(seed)
        assert torch.equal(first.inputs, again.inputs)
        assert first.share == again.share


def shares(mixup: float, cutmix: float, count: int = 2000) -> np.ndarray:
    items, generator = pictures(2, 32, 32), seeded(1)
    return np.array([mix(items, generator, mixup, cutmix).share for _ in range(count)])


def test_shares_are_beta_distributed() -> None:
    drawn = shares(0.4, 0.0)
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(0.25 / (2 * 0.4 + 1), rel=0.1)


def test_with_both_a_batch_is_blended_or_pasted_with_equal_chance() -> None:
    areas = (1 - shares(1.0, 1.0, 1000)) * 32 * 32
    whole_boxes = np.isclose(areas, areas.round()).mean()
    assert whole_boxes == pytest.approx(0.5, abs=0.06)


def test_without_a_strength_items_stay_as_they_are() -> None:
    mixed = mix(pictures(), seeded(0), 0.0, 0.0)
    assert torch.equal(mixed.inputs, pictures())
    assert mixed.share == 1.0


@pytest.mark.parametrize(
    "items",
    [torch.zeros(2, 7, dtype=torch.int32), torch.zeros(2, 7), torch.zeros(2, 7, dtype=torch.uint8)],
    ids=["tokens", "tables", "bytes"],
)
def test_texts_and_tables_are_refused(items: Tensor) -> None:
    with pytest.raises(ConfigError, match="only pictures and sounds") as error:
        mix(items, seeded(0), 0.4, 0.0)
    assert "set mixup and cutmix to 0" in error.value.hint


def test_a_box_of_a_sound_is_refused() -> None:
    with pytest.raises(ConfigError, match="only pictures have boxes"):
        mix(sounds(), seeded(0), 0.0, 1.0)
