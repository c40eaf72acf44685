from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec
from diptych.training.models.logmel import LogMel, LogMelConfig, fourier_factors, mel_bank

SPEC = AudioSpec(sample_rate=8000, samples=8064)
RANDOM = np.random.default_rng(0)


def noise(count: int, spec: AudioSpec) -> np.ndarray:
    return RANDOM.integers(-20_000, 20_000, (count, spec.samples)).astype(np.int16)


@pytest.mark.parametrize(
    ("rate", "samples", "hops"),
    [(8000, 8064, 2), (16_000, 16_128, 2), (8000, 8000, 3), (4000, 4100, 4), (1000, 512, 2)],
)
def test_the_spectrum_is_scipys(rate: int, samples: int, hops: int) -> None:
    spec = AudioSpec(sample_rate=rate, samples=samples)
    features = LogMel(LogMelConfig(hops=hops, bands=8), spec)
    sounds = noise(2, spec)
    size = hops * features.hop
    transform = ShortTimeFFT(hann(size, sym=False), features.hop, rate, phase_shift=None)
    for sound, got in zip(sounds, features.spectrum(torch.from_numpy(sounds)), strict=True):
        first = size // 2 // features.hop if hops % 2 == 0 else None
        frames = np.lib.stride_tricks.sliding_window_view(sound / 32_768, size)[:: features.hop]
        expected = np.abs(np.fft.rfft(frames * hann(size, sym=False))) ** 2
        np.testing.assert_allclose(got.T, expected[:, :-1], atol=1e-5 * expected.max())
        if first is not None:
            scipys = np.abs(transform.stft(sound / 32_768, p0=first, p1=first + len(expected))) ** 2
            np.testing.assert_allclose(expected, scipys.T, atol=1e-9 * expected.max())


@given(st.sampled_from([2, 4, 8, 16]), st.sampled_from([2, 6, 16, 24]))
def test_two_factors_make_a_whole_transform(rows: int, columns: int) -> None:
    factors = fourier_factors(rows, columns)
    x = np.random.default_rng(rows).standard_normal((rows, columns))
    inner = factors["first"] @ x
    real, imaginary = inner[:rows], inner[rows:]
    cosine, sine = factors["cosine"][..., 0], factors["sine"][..., 0]
    turned = np.concatenate(
        [real * cosine + imaginary * sine, imaginary * cosine - real * sine], axis=1
    )
    outer = factors["second"] @ turned.T  # (B, A): real parts, then imaginary parts
    whole = outer[: columns // 2] + 1j * outer[columns // 2 :]
    expected = np.fft.fft(x.reshape(-1))[: rows * columns // 2]
    np.testing.assert_allclose(whole.reshape(-1), expected, atol=1e-9)


def test_bands_are_triangles_of_equal_width_in_mel() -> None:
    bank = mel_bank(LogMelConfig(bands=20, lowest_hz=0.0), 8000, 4096)
    hz = np.arange(2048) * 8000 / 4096
    tops = 2595 * np.log10(1 + hz[bank.argmax(axis=1)] / 700)
    np.testing.assert_allclose(np.diff(tops), 2595 * np.log10(1 + 4000 / 700) / 21, rtol=0.05)
    assert (bank.max(axis=1) > 0.98).all()
    covered = slice(bank[0].argmax() + 1, bank[-1].argmax())
    np.testing.assert_allclose(bank.sum(axis=0)[covered], 1, atol=1e-9)


def test_every_band_hears_something_at_usual_rates() -> None:
    for rate in (8000, 11_025, 16_000):
        assert mel_bank(LogMelConfig(), rate, 32 * rate // 1000).any(axis=1).all()


def test_powers_are_the_bank_times_the_spectrum() -> None:
    features = LogMel(LogMelConfig(bands=24), SPEC)
    sounds = torch.from_numpy(noise(2, SPEC))
    bank = torch.from_numpy(mel_bank(LogMelConfig(bands=24), 8000, 256)).float()
    torch.testing.assert_close(features.powers(sounds), bank @ features.spectrum(sounds))


def test_a_tone_is_loudest_in_its_band() -> None:
    tone = (9000 * np.sin(2 * np.pi * 1000 * np.arange(8064) / 8000)).astype(np.int16)
    powers = LogMel(LogMelConfig(), SPEC).powers(torch.from_numpy(tone[None]))[0]
    bank = mel_bank(LogMelConfig(), 8000, 256)
    assert set(powers.argmax(0).tolist()) == {int(bank[:, 32].argmax())}


def test_learned_scaling_brings_bands_to_mean_0_and_deviation_1() -> None:
    features = LogMel(LogMelConfig(), SPEC)
    sounds = torch.from_numpy(noise(8, SPEC))
    features.learn_scaling(sounds)
    scaled = features(sounds)
    torch.testing.assert_close(scaled.mean((0, 2)), torch.zeros(40), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2)), torch.ones(40), atol=1e-2, rtol=0)


def test_silence_has_finite_features_even_if_there_is_nothing_else() -> None:
    features = LogMel(LogMelConfig(), SPEC)
    silence = torch.zeros(2, 8064, dtype=torch.int16)
    features.learn_scaling(silence)
    assert features(silence).abs().max() < 1e-3


def test_bfloat16_around_it_does_not_change_it() -> None:
    features = LogMel(LogMelConfig(), SPEC)
    sounds = torch.from_numpy(noise(1, SPEC))
    with torch.autocast("cpu", torch.bfloat16):
        inside = features(sounds)
    torch.testing.assert_close(inside, features(sounds), rtol=0, atol=0)


def test_bfloat16_is_turned_off_where_the_sounds_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device ``meta`` stands for a graphics processor; torch computes in one type on it."""
    turned: list[tuple[str, bool]] = []

    def autocast(device: str, *, enabled: bool) -> nullcontext[None]:
        turned.append((device, enabled))
        return nullcontext()

    monkeypatch.setattr("torch.autocast", autocast)
    LogMel(LogMelConfig(), SPEC).to("meta")(torch.zeros(1, 8064, dtype=torch.int16, device="meta"))
    assert turned == [("meta", False)]


def test_constants_take_little_space_and_are_no_weights() -> None:
    features = LogMel(LogMelConfig(), SPEC)
    assert sum(buffer.numel() for buffer in features.buffers()) * 4 < 14_000
    assert not list(features.parameters())
    assert set(features.state_dict()) == {"mean", "deviation"}


def test_sounds_shorter_than_a_frame_are_refused() -> None:
    with pytest.raises(ConfigError, match="256 samples are shorter than a frame of 512"):
        LogMel(LogMelConfig(), AudioSpec(sample_rate=16_000, samples=256))
