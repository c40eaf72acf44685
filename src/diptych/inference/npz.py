"""Arrays in a zip, read without trust: every size is checked before memory is taken.

A strict reader of what ``numpy.savez`` writes: plain little-endian uint8, int16, int32, int64 and
float32 arrays in C order. Headers are matched, not evaluated; there is no pickle.
Source: the NPY format, version 1.0 (numpy.lib.format).
"""

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from diptych.core.errors import BundleError

REFUSED = "do not use this bundle"
MAX_ARRAYS = 65
MAX_TOTAL_BYTES = 64 << 20
MAX_HEADER_BYTES = 4096
MEMBER_START = b"PK\x03\x04"
DIRECTORY_ENTRY = b"PK\x01\x02"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PREFIX = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '(\|u1|<i2|<i4|<i8|<f4)', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n"
)
DTYPES: dict[bytes, np.dtype[np.generic]] = {
    b"|u1": np.dtype(np.uint8),
    b"<i2": np.dtype(np.int16),
    b"<i4": np.dtype(np.int32),
    b"<i8": np.dtype(np.int64),
    b"<f4": np.dtype(np.float32),
}
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
)


def write_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write arrays.

    Args:
        arrays: uint8, int16, int32, int64 or float32 arrays of any shape, by name.

    Returns:
        The content of an ``.npz`` file; the same arrays give the same bytes.
    """
    buffer = io.BytesIO()
    plain: dict[str, np.ndarray] = {
        name: np.asarray(array, order="C") for name, array in arrays.items()
    }
    np.savez_compressed(buffer, allow_pickle=False, **plain)
    return buffer.getvalue()


def read_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Read arrays.

    Args:
        data: The content of an ``.npz`` file.

    Returns:
        The arrays by name, read-only.

    Raises:
        BundleError: If it is not a zip of plain arrays, or is too large when unpacked.
    """
    if not data.startswith(MEMBER_START) or len(data) > MAX_TOTAL_BYTES:
        _refuse("it is not a zip, or is too large")
    if data.count(DIRECTORY_ENTRY) > MAX_ARRAYS:
        _refuse(f"it has more than {MAX_ARRAYS} members")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            return {
                member.filename.removesuffix(".npy"): _parse(_unpack(archive, member))
                for member in members
            }
    except BundleError:
        raise
    except ZIP_ERRORS as error:
        raise BundleError(f"an array file is not a readable zip: {error}", REFUSED) from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = {member.filename for member in members}
    if len(names) < len(members) or not all(name.endswith(".npy") for name in names):
        _refuse("it holds something else than arrays")
    if any(member.compress_type not in COMPRESSIONS for member in members):
        _refuse("it is compressed in an unusual way")
    if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
        _refuse(f"it unpacks to more than {MAX_TOTAL_BYTES} bytes")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # Never more than the size that was checked; where there is more, the checksum fails.
    with archive.open(member) as file:
        return file.read(member.file_size)


def _parse(data: bytes) -> np.ndarray:
    start = len(PREFIX) + 2
    length = int.from_bytes(data[len(PREFIX) : start], "little")
    found = HEADER.fullmatch(data[start : start + length]) if length <= MAX_HEADER_BYTES else None
    if not data.startswith(PREFIX) or found is None:
        _refuse("it holds something else than plain uint8, int16, int32, int64 and float32 arrays")
    dtype = DTYPES[found[1]]
    shape = tuple(int(side) for side in found[2].split(b",") if side.strip())
    num_items = math.prod(shape)
    if len(shape) > 8 or start + length + num_items * dtype.itemsize != len(data):
        _refuse(f"an array of shape {str(shape)[:80]} does not fit its bytes")
    return np.frombuffer(data, dtype, num_items, start + length).reshape(shape)


def _refuse(reason: str) -> NoReturn:
    raise BundleError(f"an array file is refused: {reason}", REFUSED)
