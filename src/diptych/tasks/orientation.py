"""Which way up a picture is: the orientation tag of its EXIF block.

Read here and not through Pillow, which warns on stderr about a block that is cut short, and refuses
a picture whose pixels are whole.

Source: CIPA DC-008 (Exif 2.3), section 4.6.2: the TIFF header and its first directory.
"""

import struct

from PIL.Image import Transpose

ORIENTATION_TAG = 0x0112
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def orientation(exif: object) -> int:
    """Read the orientation.

    Args:
        exif: The EXIF block, with or without its ``Exif`` marker; may be empty or damaged, or no
            bytes at all, as where a text of a PNG is called so.

    Returns:
        1 (upright) to 8; from 5 on width and height are swapped. 1 where it is not told.
    """
    tiff = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, entry)
            if tag == ORIENTATION_TAG:
                return int(value) if value in TURNS else 1
    except struct.error:
        return 1
    return 1
