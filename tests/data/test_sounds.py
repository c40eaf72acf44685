import io
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.progress import silent
from diptych.core.specs import AudioSpec, ImageSpec
from diptych.data import read
from diptych.data.inspection import inspect
from diptych.data.raw import RawSplit
from diptych.data.reading import Options
from diptych.data.sounds import Survey, choose_spec, decode, learn
from diptych.tasks.audio import hop_samples

Sounds = Callable[..., RawSplit]
SPEC = AudioSpec(sample_rate=8000, samples=1024)


def wav(seconds: float, rate: int, seed: int) -> bytes:
    samples = np.random.default_rng(seed).integers(-99, 99, round(seconds * rate))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def split(*contents: bytes) -> RawSplit:
    items = [f"{number}.wav" for number in range(len(contents))]
    return RawSplit(items=items, labels=items, contents=lambda: iter([contents]))


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Give class folders of six short sounds each."""
    for label in ("no", "yes"):
        (tmp_path / label).mkdir()
        for number in range(6):
            content = wav(0.1 + number / 100, 8000, len(label) * 10 + number)
            (tmp_path / label / f"{number}.wav").write_bytes(content)
    return tmp_path


def test_one_rate_is_kept_and_the_length_fits_nearly_all() -> None:
    raw = split(*[wav(0.4 + number / 1000, 8000, number) for number in range(100)])
    learned = learn({"train": raw}, Options(), silent)
    assert learned.spec == AudioSpec(sample_rate=8000, samples=4096)
    assert learned.facts == (
        "100 sounds at 8,000 Hz",
        "from 0.40 to 0.50 s long, half of them up to 0.45 s",
    )
    assert learned.warnings == ()


def test_cuts_and_mixed_rates_are_told() -> None:
    raw = split(*[wav(0.1, 8000, n) for n in range(199)], wav(0.9, 16_000, 0))
    learned = learn({"train": raw}, Options(), silent)
    assert learned.warnings == (
        "1 of 200 sounds are longer than 0.51 s: of each the loudest part is taken",
        "sounds of 2 sample rates are brought to 8,000 Hz",
    )


@given(
    st.dictionaries(st.integers(1000, 192_000), st.integers(1, 1000), max_size=4),
    st.lists(st.floats(0.001, 600), max_size=50),
)
def test_whatever_there_is_the_spec_is_within_limits(
    rates: dict[int, int], seconds: list[float]
) -> None:
    spec = choose_spec(Survey(rates=Counter(rates), seconds=seconds))
    assert spec.sample_rate <= 16_000
    assert spec.samples % hop_samples(spec.sample_rate) == 0
    assert 0.5 <= spec.samples / spec.sample_rate < 4.1


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({44_100: 9}, 16_000),
        ({8000: 1, 44_100: 9}, 8000),
        ({8000: 1, 44_100: 99}, 16_000),
        ({11_025: 50, 8000: 50}, 8000),
        ({}, 16_000),
    ],
)
def test_the_lowest_rate_of_a_fair_share_is_taken(rates: dict[int, int], expected: int) -> None:
    assert choose_spec(Survey(rates=Counter(rates), seconds=[])).sample_rate == expected


def test_what_cannot_be_read_is_skipped_with_the_reason() -> None:
    raw = split(wav(0.1, 8000, 0), b"RIFF", wav(0.1, 8000, 1)[:60], wav(0.1, 8000, 2))
    inputs, rows, skipped = decode("train", raw, SPEC, {}, silent)
    assert inputs.shape == (2, 1024)
    assert inputs.dtype == np.int16
    assert rows.tolist() == [0, 3]
    assert [each.item for each in skipped] == ["1.wav", "2.wav"]
    assert skipped[1].reason.startswith("is cut off")


def test_arrays_are_decoded_as_they_are() -> None:
    samples = np.arange(2048, dtype=np.int16).reshape(2, 1024)
    raw = RawSplit(items=["a", "b"], labels=[0, 1], contents=samples)
    np.testing.assert_array_equal(decode("train", raw, SPEC, {}, silent)[0], samples)


def test_sounds_where_pictures_are_wanted_are_refused() -> None:
    spec = ImageSpec(height=8, width=8, channels=1)
    with pytest.raises(DataError, match=r"0\.wav is a sound"):
        decode("train", split(b""), spec, {}, silent)


def test_a_folder_of_sounds_is_a_data_set(sounds: Path) -> None:
    dataset = read(sounds)
    assert dataset.task == "audio-classification"
    assert dataset.labels == ("no", "yes")
    assert dataset.spec == AudioSpec(sample_rate=8000, samples=4096)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 12


def test_an_inspection_lists_unreadable_and_silent_sounds(sounds: Path) -> None:
    (sounds / "no" / "0.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    quiet = bytearray(wav(0.1, 8000, 0))
    quiet[44:] = bytes(len(quiet) - 44)
    (sounds / "yes" / "0.wav").write_bytes(quiet)
    seen = inspect(sounds)
    assert [each.item for each in seen.skipped] == ["no/0.wav"]
    assert any("items are blank or silent" in warning for warning in seen.warnings)


@pytest.mark.data
def test_spoken_digits_are_a_second_long(shared_data: Path) -> None:
    dataset = read(shared_data / "spoken-digits")
    assert dataset.spec == AudioSpec(sample_rate=8000, samples=8064)
    assert dataset.record.counts == {"train": 2430, "validation": 270, "test": 300}
    assert dataset.labels == tuple("0123456789")
