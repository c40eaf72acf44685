"""Maps of characters: those that pass are read by the library as by us, and never in a panic."""

import base64
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.tasks.character_map import longest_replacement

REPLACEMENTS = "ll\0é\0".encode()
LETTERS = [*map(chr, range(1, 128)), "\r\n", "é", "あ", "😀"]


def packed(places: dict[int, int], replacements: bytes = REPLACEMENTS, size: int = 256) -> str:
    """Write a map: these places, all others empty, and the replacements."""
    tree = np.zeros(size, "<u4")
    for place, content in places.items():
        tree[place] = content
    return encoded(tree.nbytes.to_bytes(4, "little") + tree.tobytes() + replacements)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def step(letter: str, offset: int, *, leaf: bool = False, far: bool = False) -> dict[int, int]:
    """Lead on from a letter of one byte, which the root leads to."""
    at = ord(letter)
    return {at: at | leaf << 8 | far << 9 | offset << 10}


def entry(letter: str, start: int) -> dict[int, int]:
    """Replace a letter by what begins there; that is said in place 1."""
    return step(letter, ord(letter) ^ 1, leaf=True) | {1: 1 << 31 | start}


def normalizer(content: str) -> Any:
    library = pytest.importorskip("tokenizers")
    return library.normalizers.Precompiled(base64.b64decode(content))


@pytest.mark.parametrize(
    ("start", "given"), [(0, "ll"), (1, "l"), (2, ""), (3, "é"), (5, ""), (6, "")]
)
def test_a_map_passes_that_the_library_reads(start: int, given: str) -> None:
    content = packed(entry("a", start))
    assert longest_replacement(content) == 2
    assert normalizer(content).normalize_str("xax") == f"x{given}x"


@pytest.mark.parametrize(("replacements", "longest"), [(b"", 1), (b"a\0" + b"b" * 18, 18)])
def test_the_longest_replacement_is_found(replacements: bytes, longest: int) -> None:
    assert longest_replacement(packed({}, replacements)) == longest


DAMAGED = {
    "nothing": "",
    "no text": 3,
    "no base64": "é",
    "cut": packed({})[:400],
    "no tree": encoded(bytes(4) + b"a\0"),
    "not UTF-8": packed({}, b"\xff"),
    "small tree": packed({}, size=97),
    "root leads outside": packed({0: 256 << 10}),
    "step leads outside": packed(step("a", 256)),
    "step leads far outside": packed(step("a", 1, far=True)),
    "replacement is after the end": packed(entry("a", len(REPLACEMENTS) + 1)),
    "replacement begins inside a letter": packed(entry("a", 4)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_map_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="has a map of characters that is damaged"):
        longest_replacement(content)


STEPS = st.builds(
    lambda letter, offset, leaf, far: step(letter, offset, leaf=leaf, far=far),
    st.sampled_from(LETTERS[:127]),
    st.integers(0, 520),
    st.booleans(),
    st.sampled_from([False, False, True]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=4), st.integers(0, 8))
def test_no_letter_leads_the_library_outside_of_a_map_that_passes(
    steps: list[dict[int, int]], start: int
) -> None:
    places = entry("a", start)
    for each in steps:
        places |= each
    content = packed(places, size=512)
    with suppress(ValueError):
        longest, library = longest_replacement(content), normalizer(content)
        for letter in LETTERS:
            assert len(library.normalize_str(letter)) <= longest * len(letter)
