"""Sound in chunks, against one-shot answers on the same windows."""

import io
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from diptych.core.errors import ConfigError, DataError
from diptych.inference.bundle import Bundle, load
from diptych.inference.stream import Stream
from diptych.tasks import audio

RATE, WINDOW = 8000, 2048


@pytest.fixture(scope="module")
def bundle(kind_bundle):
    with load(kind_bundle("audio").path) as opened:
        yield opened


def sound(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)


def one_shot(bundle: Bundle, samples: np.ndarray, hop: int) -> list[tuple[float, dict]]:
    ends = range(hop, len(samples) + 1, hop)
    windows = [samples[max(0, end - WINDOW) : end] for end in ends]
    return [
        (end / RATE, bundle.predict(window).scores)
        for end, window in zip(ends, windows, strict=True)
    ]


def said(decisions) -> list[tuple[float, dict]]:
    return [(decision.time_s, decision.prediction.scores) for decision in decisions]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 1500), max_size=12),
    st.integers(50, 3000),
    st.sampled_from(["int16", "float32", "float64", "pcm"]),
)
def test_any_chunks_give_bit_for_bit_what_one_shot_gives(bundle, lengths, hop, form):
    samples = sound(sum(lengths), seed=hop)
    if form.startswith("float"):
        samples = (samples / 32768 * 1.1).astype(form)
    stream = bundle.stream(hop_s=hop / RATE)
    parts = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    fed = [part.tobytes() if form == "pcm" else part for part in parts]
    found = [decision for part in fed for decision in stream.feed(part)]
    assert said(found) == one_shot(bundle, samples, hop)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=30))
@settings(max_examples=20)
def test_bytes_may_be_cut_anywhere(bundle, cuts):
    samples = sound(3000)
    content = samples.tobytes()
    places = [0, *sorted(6 * cut for cut in cuts), *sorted({6 * cuts[0] + 1}), len(content)]
    stream = bundle.stream(hop_s=0.1)
    places.sort()
    pairs = pairwise(places)
    found = [each for start, end in pairs for each in stream.feed(content[start:end])]
    assert said(found) == one_shot(bundle, samples, 800)


def test_another_rate_gives_what_a_recording_of_that_rate_gives(bundle):
    samples = sound(9000)
    stream = bundle.stream(hop_s=0.25, rate=11_025)
    found = [decision for part in np.array_split(samples, 7) for decision in stream.feed(part)]
    width, hop = -(-WINDOW * 11_025 // RATE), round(0.25 * 11_025)
    assert len(found) == 9000 // hop
    for place, decision in enumerate(found, start=1):
        file = io.BytesIO()
        with wave.open(file, "wb") as recording:
            recording.setparams((1, 2, 11_025, 0, "NONE", ""))
            recording.writeframes(samples[max(0, hop * place - width) : hop * place].tobytes())
        assert decision.prediction.scores == bundle.predict(file.getvalue()).scores


def test_channels_are_mixed_and_a_used_buffer_may_be_used_again(bundle):
    buffer = np.stack([sound(800), sound(800)], axis=1)
    stream, mono = bundle.stream(hop_s=0.2), bundle.stream(hop_s=0.2)
    for _ in range(2):
        chunk = buffer.copy()
        found = stream.feed(chunk)
        chunk[:] = 0
        expected = mono.feed(buffer[:, 0])
    assert said(found) == said(expected)


def test_events_are_detections_of_the_decisions(bundle):
    samples = np.concatenate([sound(2048)] * 10)
    sure = max(said(bundle.stream(hop_s=2048 / RATE).feed(samples))[-1][1].values())
    events = bundle.stream(hop_s=2048 / RATE, threshold=sure - 1e-6).events(samples)
    assert [round(event.time_s, 3) for event in events] == [0.512, 1.536, 2.56]
    assert bundle.stream(threshold=1.0).events(samples) == []


@pytest.mark.parametrize(
    "wrong",
    [{"hop_s": 0.0}, {"hop_s": float("nan")}, {"hop_s": 99.0}, {"rate": 10}, {"threshold": 2.0}],
)
def test_impossible_settings_are_refused(bundle, wrong):
    with pytest.raises(ConfigError):
        bundle.stream(**wrong)


def test_only_sound_is_streamed(tiny_bundle):
    with load(tiny_bundle) as pictures, pytest.raises(ConfigError, match="takes image"):
        pictures.stream()


@pytest.mark.parametrize("chunk", [np.array([np.nan]), np.zeros((2, 2, 2)), np.array(["a"])])
def test_what_is_no_sound_is_refused(bundle, chunk):
    with pytest.raises(DataError):
        bundle.stream().feed(chunk)
    stream = bundle.stream()
    stream.feed(b"x")
    with pytest.raises(DataError, match="within a sample"):
        stream.feed(np.zeros(3))


def test_a_long_recording_of_a_low_rate_is_taken_in_at_once(kind_bundle):
    with load(kind_bundle("audio").path) as opened:
        spec = structs.replace(opened.manifest.input, sample_rate=audio.LEAST_RATE)
    seconds = 2 * audio.MAX_SECONDS
    stream = Stream(spec, lambda window: window, hop_s=60.0, rate=None, threshold=0.5)
    found = stream.feed(np.zeros(seconds * audio.LEAST_RATE, np.float32))
    assert [decision.time_s for decision in found] == list(range(60, seconds + 1, 60))
