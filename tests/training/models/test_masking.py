import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.training.models.masking import Masks

FEATURES = torch.ones(400, 40, 60)


def runs(hidden: torch.Tensor) -> torch.Tensor:
    """Count the runs of hidden places in each row."""
    return (torch.diff(hidden.int(), dim=1, prepend=torch.zeros(len(hidden), 1)) == 1).sum(1)


@settings(max_examples=25)
@given(st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 2**30))
def test_one_run_of_bands_and_one_of_frames_are_hidden(
    bands: float, frames: float, seed: int
) -> None:
    torch.manual_seed(seed)
    hidden = Masks(bands, frames)(FEATURES[:20]) == 0
    whole_bands, whole_frames = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, whole_bands[:, :, None] | whole_frames[:, None, :])
    for whole, share, length in ((whole_bands, bands, 40), (whole_frames, frames, 60)):
        assert runs(whole).max() <= 1
        assert whole.sum(1).max() <= int(share * length)


def test_runs_are_anywhere_and_of_any_length() -> None:
    torch.manual_seed(0)
    hidden = (Masks(0.0, 0.5)(FEATURES) == 0)[:, 0].float()
    assert hidden.mean(0).min() > 0
    assert set(range(31)) <= set(hidden.sum(1).int().tolist())


def test_no_share_hides_nothing() -> None:
    assert torch.equal(Masks(0.0, 0.0)(FEATURES), FEATURES)


def test_nothing_is_hidden_when_it_is_not_trained() -> None:
    assert torch.equal(Masks(0.5, 0.5).eval()(FEATURES), FEATURES)
