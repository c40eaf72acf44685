import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.training.variation.sounds import SoundBatches, SoundVariation

LENGTH = 4000
STILL = SoundVariation(shift=0.0, speed=0.0, gain_db=0.0, noise=0.0)
ALL = torch.arange(64)


def tone(hz: float = 1000.0, amplitude: float = 5000.0) -> torch.Tensor:
    """Make 64 times the same tone, in the middle half only."""
    samples = amplitude * np.sin(2 * np.pi * hz * np.arange(LENGTH) / 8000)
    samples[: LENGTH // 4] = samples[-LENGTH // 4 :] = 0
    return torch.from_numpy(samples.astype(np.int16)).repeat(64, 1)


def drawn(samples: torch.Tensor, variation: SoundVariation, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    batch = SoundBatches(samples, variation, generator).draw(ALL[: len(samples)], 0, generator)
    assert batch.dtype == torch.int16
    assert batch.shape == samples.shape
    return batch.numpy().astype(np.float64)


def test_no_variation_changes_nothing() -> None:
    np.testing.assert_array_equal(drawn(tone(), STILL), tone())


def test_the_chosen_are_drawn() -> None:
    samples = torch.arange(5, dtype=torch.int16)[:, None].repeat(1, 300)
    batches = SoundBatches(samples, STILL, torch.Generator())
    assert batches.draw(torch.tensor([3, 1]), 0, torch.Generator())[:, 0].tolist() == [3, 1]


@settings(max_examples=25)
@given(st.floats(0, 0.5))
def test_a_shift_moves_within_its_share_and_brings_silence(shift: float) -> None:
    click = torch.zeros(64, LENGTH, dtype=torch.int16)
    click[:, LENGTH // 2 : LENGTH // 2 + 2] = 10_000
    moved = drawn(click, SoundVariation(shift=shift, speed=0.0, gain_db=0.0, noise=0.0))
    centres = (moved * np.arange(LENGTH)).sum(1) / moved.sum(1)
    far = np.abs(centres - LENGTH // 2 - 0.5)
    assert far.max() <= shift * LENGTH + 1
    assert np.median(far) == pytest.approx(shift * LENGTH / 2, rel=0.4, abs=1)
    np.testing.assert_allclose(moved.sum(1), 20_000, rtol=1e-3)


def test_speed_changes_the_pitch_by_its_share() -> None:
    fast = drawn(tone(), SoundVariation(shift=0.0, speed=0.2, gain_db=0.0, noise=0.0))
    hz = np.abs(np.fft.rfft(fast)).argmax(1) * 8000 / LENGTH
    assert 800 <= hz.min() < 850
    assert 1150 < hz.max() <= 1200


def test_gain_is_within_its_decibels() -> None:
    gained = drawn(tone(), SoundVariation(shift=0.0, speed=0.0, gain_db=6.0, noise=0.0))
    decibels = 20 * np.log10(gained.max(1) / tone().max().item())
    assert -6.01 <= decibels.min() < -5
    assert 5 < decibels.max() <= 6.01


def test_what_gets_too_loud_is_clipped() -> None:
    loud = drawn(tone(amplitude=32_000), SoundVariation(gain_db=40.0))
    assert loud.max() == 32_767
    assert loud.min() == -32_768


def test_noise_is_between_its_share_of_the_sound_and_a_hundredth_of_it() -> None:
    noisy = drawn(tone(), SoundVariation(shift=0.0, speed=0.0, gain_db=0.0, noise=0.5))
    amplitude = (noisy - tone().numpy()).std(1) / tone()[0].float().square().mean().sqrt().item()
    assert 0.005 < amplitude.min() < 0.007
    assert 0.4 < amplitude.max() < 0.51


def test_silence_stays_silence() -> None:
    assert not drawn(torch.zeros(4, 300, dtype=torch.int16), SoundVariation()).any()


def test_the_same_seed_gives_the_same_batch_and_another_another() -> None:
    first, again, other = (drawn(tone(), SoundVariation(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
