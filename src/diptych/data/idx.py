"""idx files: the form of MNIST and of the sets made after it; images and labels, maybe gzipped.

Source: Y. LeCun, "The MNIST database", file formats: big-endian magic, dimensions, then bytes.
"""

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.data.raw import SPLIT_NAMES, RawData, RawSplit

IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801
NAME = re.compile(r"(.*?)([a-z0-9]+)-(images|labels)[-.]idx[13]-ubyte(\.gz)?", re.IGNORECASE)
MOST_COMPRESSION = 1_100
MAX_BYTES = 1 << 36


def idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Find the idx files of a folder.

    Args:
        folder: An existing folder.

    Returns:
        The file of each (split, ``images`` or ``labels``), rather one that is not gzipped.

    Raises:
        DataError: If there are several for one.
    """
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(folder.iterdir()):
        match = NAME.fullmatch(file.name)
        if not match or match[2].lower() not in SPLIT_NAMES:
            continue
        split, kind = SPLIT_NAMES[match[2].lower()], match[3].lower()
        other = found.setdefault((split, kind), file)
        if file.name.removesuffix(".gz") != other.name.removesuffix(".gz"):
            raise DataError(
                f"{folder} has two idx files of {split} {kind}: {other.name} and {file.name}",
                "keep each data set in a folder of its own, with one file of each split",
            )
    return found


def read_idx(folder: Path, target: str | None = None) -> RawData:
    """Read a folder of idx files.

    Args:
        folder: It holds such as ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``.
        target: Not used: these files have one label.

    Returns:
        Its splits; ``t10k`` is the test split.

    Raises:
        DataError: If a file is absent, of another form, or shorter or longer than it says.
    """
    files = idx_files(folder)
    splits = {split: _read_split(files, split) for split in dict.fromkeys(key[0] for key in files)}
    if "train" not in splits:
        raise DataError(f"{folder} has no train-images idx file", "the training split is needed")
    return RawData(name=folder.resolve().name, splits=splits)


def _read_split(files: dict[tuple[str, str], Path], split: str) -> RawSplit:
    for kind in ("images", "labels"):
        if (split, kind) not in files:
            raise DataError(f"the {split} split has no {kind} idx file", "both are needed")
    images = read_idx_file(files[split, "images"], IMAGES_MAGIC)
    labels = read_idx_file(files[split, "labels"], LABELS_MAGIC)
    file, other = files[split, "images"], files[split, "labels"]
    if len(images) != len(labels):
        raise DataError(
            f"{file} holds {len(images)} images but {other.name} {len(labels)} labels",
            "the two files do not belong together",
        )
    items = [f"{file.name}#{row}" for row in range(len(images))]
    return RawSplit(items=items, labels=labels.tolist(), contents=images)


def read_idx_file(file: Path, magic: int) -> np.ndarray:
    """Read one idx file of unsigned bytes.

    Args:
        file: The file; gzipped if its name ends in ``.gz``.
        magic: The magic number it must begin with; its last byte is the number of dimensions.

    Returns:
        uint8, of the shape that the header says.

    Raises:
        DataError: If the magic number is another, or the length is not what the header says.
    """
    num_dimensions = magic & 0xFF
    header_bytes = 4 + 4 * num_dimensions
    with _opened(file) as stream:
        header = stream.read(header_bytes)
        if len(header) < header_bytes or struct.unpack(">I", header[:4])[0] != magic:
            raise DataError(
                f"{file} begins with {header[:4].hex()}, not with the magic {magic:08x}",
                "it is not an idx file of this kind",
            )
        shape = struct.unpack(f">{num_dimensions}I", header[4:])
        num_bytes = math.prod(shape)
        if header_bytes + math.prod(max(side, 1) for side in shape) > MAX_BYTES:
            raise DataError(f"{file} says its shape is {shape}", f"the limit is {MAX_BYTES} bytes")
        can_hold = file.stat().st_size * (MOST_COMPRESSION if file.suffix == ".gz" else 1)
        content = arrays.empty((min(num_bytes, can_hold),), "uint8")
        found = _fill(content, stream)
        more = bool(stream.read(1))
    if found != num_bytes or more:
        seen = "more" if more else f"{header_bytes + found}"
        raise DataError(
            f"{file} says it holds {header_bytes + num_bytes} bytes (shape {shape}) but has {seen}",
            "it is damaged: get it again",
        )
    return content.reshape(shape)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file} is damaged: {error}", "get it again") from error


def _fill(content: np.ndarray, stream: BinaryIO) -> int:
    """Read until an array is full or the stream ends; return how many bytes there were."""
    found = 0
    for part in arrays.parts(content):
        view = part.data
        while view and (count := stream.readinto(view)):  # type: ignore[attr-defined]
            view = view[count:]
            found += count
    return found
