"""Pictures of a source: what sizes they have, what to make of them, and decoding them all.

Shapes: N items, H height, W width, C channels.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter
from diptych.core.specs import ImageSpec, InputSpec
from diptych.core.values import Assets
from diptych.data.decoding import decode_each, each
from diptych.data.raw import Content, RawSplit
from diptych.data.reading import Decoded, Learned, Options
from diptych.tasks.image import decode as decode_picture
from diptych.tasks.image import prepare, probe, read_file

LARGEST_COMMON_SIDE = 256
LEAST_SIDE, MOST_SIDE, SIDE_STEP = 32, 128, 8
MOST_SIZES = 10


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What pictures there are: how many of each (height, width), and 1 or 3 channels for all."""

    sizes: Counter[tuple[int, int]]
    channels: int

    def facts(self) -> tuple[str, ...]:
        """Say what sizes there are, the most frequent first."""
        found = self.sizes.most_common(MOST_SIZES)
        lines = [f"{count:,} of {height} x {width}" for (height, width), count in found]
        more = len(self.sizes) - len(found)
        return (*lines, *([f"and {more} other sizes"] if more else []))


def learn(splits: Mapping[str, RawSplit], options: Options, report: Reporter) -> Learned:
    """Decide what pictures are made into.

    Args:
        splits: The splits as read.
        options: The side wanted, if any.
        report: Told how far it is.

    Returns:
        The spec, and the sizes seen.
    """
    seen = survey(splits, report)
    most = options.largest.height if isinstance(options.largest, ImageSpec) else MOST_SIDE
    return Learned(spec=choose_spec(seen, options.image_size, most), facts=seen.facts())


def survey(splits: Mapping[str, RawSplit], report: Reporter) -> Survey:
    """Look at every picture's header.

    Args:
        splits: The splits as read.
        report: Told how far it is.

    Returns:
        The sizes of those that have a header, and their channels.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    channels = 1
    for name, split in splits.items():
        if isinstance(split.contents, np.ndarray):
            height, width = split.contents.shape[1:3]
            sizes[height, width] += len(split.contents)
            continue
        for found in each(split, _probe, f"look at {name}", report):
            if not isinstance(found, DataError):
                sizes[found[:2]] += 1
                channels = max(channels, found[2])
    return Survey(sizes=sizes, channels=channels)


def choose_spec(seen: Survey, image_size: int | None, most: int = MOST_SIDE) -> ImageSpec:
    """Decide what the pictures are made into.

    Args:
        seen: The sizes and channels there are; may be empty.
        image_size: The side of the square wanted; by default the size that all have, if its sides
            are at most 256, else a square of the median short side, rounded to a multiple of 8,
            from 32 to `most`.
        most: The largest side of pictures that differ, or are larger than 256.

    Returns:
        The spec: grey if all are grey, else RGB.
    """
    height, width = next(iter(seen.sizes), (LEAST_SIDE, LEAST_SIDE))
    if image_size is not None:
        height = width = image_size
    elif len(seen.sizes) > 1 or max(height, width) > LARGEST_COMMON_SIDE:
        middle = median(min(size) for size in seen.sizes.elements())
        rounded = SIDE_STEP * round(middle / SIDE_STEP)
        height = width = min(max(rounded, LEAST_SIDE), most)
    return ImageSpec(height=height, width=width, channels=1 if seen.channels == 1 else 3)


def decode(
    name: str, split: RawSplit, spec: InputSpec, assets: Assets, report: Reporter
) -> Decoded:
    """Decode a split's pictures.

    Args:
        name: The split's name.
        split: The split as read.
        spec: What to make of each.
        assets: Not used.
        report: Told how far it is.

    Returns:
        uint8 (M, H, W, C) of those that can be read; their numbers (M,); and those that cannot be
        read, with the reason.

    Raises:
        DataError: If the spec is not of pictures.
    """
    if not isinstance(spec, ImageSpec):
        raise DataError(f"{split.items[0]} is a picture, and something else is wanted")
    shape = (len(split.items), spec.height, spec.width, spec.channels)
    if isinstance(split.contents, np.ndarray) and _is_prepared(split.contents, shape):
        return split.contents.reshape(shape), np.arange(len(split.items)), []
    known: ImageSpec = spec
    return decode_each(
        split,
        spec.tensor(),
        lambda picture, item: _prepare(picture, known, item),
        f"decode {name}",
        report,
    )


def _is_prepared(pictures: np.ndarray, shape: tuple[int, ...]) -> bool:
    return pictures.shape[:3] == shape[:3] and pictures.size == np.prod(shape)


def _probe(picture: Content, item: str) -> tuple[int, int, int]:
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1], 1
    return probe(picture, item)


def _prepare(picture: Content, spec: ImageSpec, item: str) -> np.ndarray:
    if isinstance(picture, np.ndarray):
        return prepare(picture, spec)
    content = picture if isinstance(picture, bytes) else read_file(picture, item)
    return decode_picture(content, spec, item)
