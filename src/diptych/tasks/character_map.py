"""The map of characters in a tokenizer's file: is it whole, and how long is what it gives?

It is the size of a tree, the tree, and replacements with zeros in between. The tree is a double
array: a byte leads from where one stands to the place that is theirs in exclusive or, and on from
there if that place has the byte as its label. The library takes such steps as they come and ends in
a panic, which is no error of Python's, where one leads outside of the tree or of the replacements.
So every step that any text could take is looked at before.

Shapes: U places of the tree.

Source: S. Yata's darts-clone, as SentencePiece writes it and Hugging Face's spm_precompiled reads
it.
"""

import base64

import numpy as np

PLACE = np.dtype("<u4")
BYTE, LEAF, FAR, NO_LABEL = 0xFF, 1 << 8, 1 << 9, 1 << 31
"""In a place: its label, whether a replacement ends here, whether the next place is far, and what
tells the place of a replacement from one with a label."""
FAR_BITS, OFFSET_BITS = 6, 10
INSIDE_LETTER, FIRST_BITS = 0b1000_0000, 0b1100_0000


def longest_replacement(packed: object) -> int:
    """Read a map.

    Args:
        packed: The map in base64.

    Returns:
        The most characters that it gives for one, at least 1.

    Raises:
        ValueError: If it is damaged: it is not base64 or is cut, its replacements are not UTF-8, or
            a step leads outside of it.
    """
    try:
        content = base64.b64decode(str(packed), validate=True)
        end = PLACE.itemsize * (1 + int.from_bytes(content[:4], "little") // PLACE.itemsize)
        tree, replacements = content[PLACE.itemsize : end], content[end:]
        longest = max(1, *map(len, replacements.decode().split("\0")))
    except ValueError as error:
        raise ValueError("has a map of characters that is damaged") from error
    if not tree or end > len(content) or not _is_sound(np.frombuffer(tree, PLACE), replacements):
        raise ValueError("has a map of characters that is damaged")
    return longest


def _is_sound(tree: np.ndarray, replacements: bytes) -> bool:
    """Say whether each step stays in a tree (U,), and each replacement begins with a letter."""
    places = tree.astype(np.int64)
    labels = places & (NO_LABEL | BYTE)
    labelled = (labels > 0) & (labels <= BYTE)
    onward = np.arange(len(places)) ^ ((places >> OFFSET_BITS) << ((places & FAR) >> FAR_BITS))
    outside = (onward | BYTE) >= len(places)  # by some byte, which changes the last 8 bits alone
    if outside[0] or outside[labelled].any():
        return False
    found = places[onward[labelled & ((places & LEAF) > 0)]] & (NO_LABEL - 1)
    letters = np.frombuffer(replacements + b"\0", np.uint8)
    if found.max(initial=0) >= len(letters):
        return False
    return not bool(((letters[found] & FIRST_BITS) == INSIDE_LETTER).any())
