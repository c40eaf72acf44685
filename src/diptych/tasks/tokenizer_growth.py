"""How long a tokenizer can make a text: its steps, and what each makes of one character.

A step is taken to lengthen all that comes to it as much as it can, so the factors multiply. Unicode
forms that follow one another count once, by the largest: what one of them has taken apart no other
takes apart again (so it is for each character and each order of up to four of them).
"""

from collections.abc import Iterable
from itertools import groupby
from math import prod
from typing import Any

from diptych.tasks.character_map import longest_replacement

Step = dict[str, Any]

CHARACTERS = "precompiled_charsmap"
INSIDE = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
}
"""Where the sequences of each part of a tokenizer keep their steps."""
FORMS = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "Strip": 1, "StripAccents": 1}
"""The most characters that a Unicode form makes of one: U+FDFA is a sentence of 18."""
FACTORS = {"BertNormalizer": 3, "ByteLevel": 5, "Metaspace": 2}
"""The same of other steps: spaces around a sign, 4 bytes with a space in front, a mark in front."""


def steps(part: Step | list[Any] | str | float | None, inside: str) -> list[Step]:
    """List the steps of a part, those of sequences in their place.

    Args:
        part: The part, as JSON has it.
        inside: Where a sequence keeps its steps; see `INSIDE`.

    Returns:
        The steps, in order; none where there is no part.

    Raises:
        ValueError: If a step does not name its kind, which the library would guess.
    """
    match part:
        case None:
            return []
        case {"type": "Sequence", **rest}:
            found = rest.get(inside)
            parts = found if isinstance(found, list) else []
            return [step for each in parts for step in steps(each, inside)]
        case dict() if isinstance(part.get("type"), str):
            return [part]
    raise ValueError(f"has a step without a kind, {str(part)[:40]!r}")


def growth(taken: Iterable[Step]) -> int:
    """Bound how many times as long a text can become.

    Args:
        taken: The steps, in order; a replacement is not longer than what it replaces.

    Returns:
        The most characters that they make of one, all together.

    Raises:
        ValueError: If a map of characters is damaged.
    """
    total = 1
    for are_forms, stretch in groupby(taken, key=lambda step: step["type"] in FORMS):
        factors = [_factor(step) for step in stretch]
        total *= max(factors) if are_forms else prod(factors)
    return total


def _factor(step: Step) -> int:
    kind = step["type"]
    if kind == "Prepend":
        return 1 + len(str(step.get("prepend", "")))
    if kind == "Precompiled":
        return longest_replacement(step.get(CHARACTERS))
    return (FORMS | FACTORS).get(kind, 1)
