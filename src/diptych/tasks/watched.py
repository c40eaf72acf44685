"""A picture's file that is watched while it is read: what takes long and tells little is refused.

Before it tells a picture's size, Pillow joins the Exif blocks of a JPEG one to the other, and
unpacks up to a megabyte of each colour profile and text of a PNG: a small file can hold so many
that this takes minutes.
"""

from typing import BinaryIO, cast

MOST_BLOCKS = 64
"""Files have one or two, and a few texts."""
MOST_PIECES = 1_000_000
"""A PNG of 64 MB with a chunk for each 8 KB is read in 25,000."""
EXIF = b"Exif\0\0"
PACKED = frozenset((b"iCCP", b"iTXt", b"zTXt"))
"""Chunks of a PNG whose content is packed, or may be."""


def watched(file: BinaryIO) -> BinaryIO:
    """Watch a file that Pillow is to read.

    Args:
        file: A picture's file.

    Returns:
        What reads it as far as Pillow needs it. Reading raises ValueError once there were more than
        64 blocks of Exif, colour profiles and packed texts, or more than a million pieces.
    """
    return cast(BinaryIO, _Watched(file))


class _Watched:
    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read
        self.num_blocks = self.num_pieces = 0

    def read(self, num_bytes: int = -1) -> bytes:
        piece = self._read(num_bytes)
        self.num_pieces += 1
        if piece.startswith(EXIF) or piece[4:8] in PACKED:
            self.num_blocks += 1
        if self.num_blocks > MOST_BLOCKS:
            raise ValueError(
                f"more than {MOST_BLOCKS} blocks of Exif, colour profiles and packed texts"
            )
        if self.num_pieces > MOST_PIECES:
            raise ValueError(f"it is in more than {MOST_PIECES:,} pieces")
        return piece
