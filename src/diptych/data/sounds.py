"""Sounds of a source: what rates and lengths they have, what to make of them, and decoding them.

Shapes: N items, T samples.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter
from diptych.core.specs import AudioSpec, InputSpec
from diptych.core.values import Assets
from diptych.data.decoding import decode_each, each
from diptych.data.raw import Content, RawSplit
from diptych.data.reading import Decoded, Learned, Options
from diptych.tasks.audio import SoundHeader, hop_samples, prepare, probe
from diptych.tasks.audio import decode as decode_sound
from diptych.tasks.image import read_file

USUAL_RATE = 16_000
FITTING_SHARE = 0.99
LEAST_S, MOST_S, STEP_S = 0.5, 4.0, 0.25
MOST_RATES = 5


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What sounds there are: how many of each rate, and the length of each in seconds."""

    rates: Counter[int]
    seconds: Sequence[float]


def learn(splits: Mapping[str, RawSplit], options: Options, report: Reporter) -> Learned:
    """Decide what sounds are made into.

    Args:
        splits: The splits as read.
        options: Not used.
        report: Told how far it is.

    Returns:
        The spec; rates and lengths as facts; cuts and mixed rates as warnings.
    """
    seen = survey(splits, report)
    spec = choose_spec(seen)
    return Learned(spec=spec, facts=_facts(seen), warnings=_warnings(seen, spec))


def survey(splits: Mapping[str, RawSplit], report: Reporter) -> Survey:
    """Look at every sound's header.

    Args:
        splits: The splits as read.
        report: Told how far it is.

    Returns:
        The rates and lengths of those that have a header.
    """
    rates: Counter[int] = Counter()
    seconds = []
    for name, split in splits.items():
        for found in each(split, _probe, f"look at {name}", report):
            if not isinstance(found, DataError):
                rates[found.sample_rate] += 1
                seconds.append(found.seconds)
    return Survey(rates=rates, seconds=seconds)


def choose_spec(seen: Survey) -> AudioSpec:
    """Decide what the sounds are made into.

    Args:
        seen: The rates and lengths there are; may be empty.

    Returns:
        The rate that all have, or the lowest of those of at least a twentieth of the sounds, and
        16,000 at most; as long as 99 % of the sounds, rounded up to a quarter of a second, from 0.5
        to 4 s, and to whole hops.
    """
    least = sum(seen.rates.values()) / 20
    rate = min((USUAL_RATE, *(rate for rate, count in seen.rates.items() if count >= least)))
    fitting = float(np.quantile(seen.seconds, FITTING_SHARE)) if seen.seconds else LEAST_S
    length = min(max(STEP_S * np.ceil(fitting / STEP_S), LEAST_S), MOST_S)
    hop = hop_samples(rate)
    return AudioSpec(sample_rate=rate, samples=hop * int(np.ceil(length * rate / hop)))


def decode(
    name: str, split: RawSplit, spec: InputSpec, assets: Assets, report: Reporter
) -> Decoded:
    """Decode a split's sounds.

    Args:
        name: The split's name.
        split: The split as read.
        spec: What to make of each.
        assets: Not used.
        report: Told how far it is.

    Returns:
        int16 (M, T) of those that can be read; their numbers (M,); and those that cannot be read,
        with the reason.

    Raises:
        DataError: If the spec is not of sounds.
    """
    if not isinstance(spec, AudioSpec):
        raise DataError(f"{split.items[0]} is a sound, and something else is wanted")
    known: AudioSpec = spec
    return decode_each(
        split,
        spec.tensor(),
        lambda sound, item: _prepare(sound, known, item),
        f"decode {name}",
        report,
    )


def _probe(sound: Content, item: str) -> SoundHeader:
    if isinstance(sound, np.ndarray):
        raise DataError(f"{item} is an array without a sample rate", "give sounds as WAV files")
    return probe(sound, item)


def _prepare(sound: Content, spec: AudioSpec, item: str) -> np.ndarray:
    if isinstance(sound, np.ndarray):
        return prepare(sound, spec)
    content = sound if isinstance(sound, bytes) else read_file(sound, item)
    return decode_sound(content, spec, item)


def _facts(seen: Survey) -> tuple[str, ...]:
    rates = [
        f"{count:,} sounds at {rate:,} Hz" for rate, count in seen.rates.most_common(MOST_RATES)
    ]
    if not seen.seconds:
        return tuple(rates)
    low, middle, high = np.quantile(seen.seconds, (0, 0.5, 1))
    return (*rates, f"from {low:.2f} to {high:.2f} s long, half of them up to {middle:.2f} s")


def _warnings(seen: Survey, spec: AudioSpec) -> tuple[str, ...]:
    length = spec.samples / spec.sample_rate
    cut = sum(seconds > length for seconds in seen.seconds)
    lines = []
    if cut:
        lines.append(
            f"{cut} of {len(seen.seconds)} sounds are longer than {length:.2f} s: of each the "
            "loudest part is taken"
        )
    if len(seen.rates) > 1:
        lines.append(
            f"sounds of {len(seen.rates)} sample rates are brought to {spec.sample_rate:,} Hz"
        )
    return tuple(lines)
