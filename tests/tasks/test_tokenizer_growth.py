"""How long a tokenizer can make a text: against what the library makes of the worst characters."""

import base64
import json
from typing import Any

import pytest

from diptych.tasks.tokenizer_growth import growth, steps

WORST = ("\ufdfa", "\u0130", "\u1f82", "\ufb2c", "\u3400", "\u00e9", "\U0001f600", "a")
"""18 letters, a dot come loose, three accents, two points, a Chinese sign, 2 bytes, 4 bytes."""
SENTENCE = "\ufdfa"


def of(*kinds: str) -> list[dict[str, Any]]:
    return [{"type": kind} for kind in kinds]


def a_map(longest: int) -> dict[str, Any]:
    """Make a map of characters: an empty tree of 256 places, then what it gives."""
    content = (1024).to_bytes(4, "little") + bytes(1024) + b"a\0" + b"b" * longest + b"\0c\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def test_the_steps_of_sequences_are_listed_in_their_place() -> None:
    inner = {"type": "Sequence", "normalizers": of("NFD", "StripAccents")}
    whole = {"type": "Sequence", "normalizers": [*of("Nmt"), inner, *of("Lowercase")]}
    assert steps(whole, "normalizers") == of("Nmt", "NFD", "StripAccents", "Lowercase")
    assert steps(whole, "pretokenizers") == []
    assert steps(None, "normalizers") == []
    assert steps({"type": "NFC"}, "normalizers") == of("NFC")


@pytest.mark.parametrize("part", [["QQ"], {"prepend": "QQ"}, {"type": ["Prepend"]}, "NFC"])
def test_a_step_that_the_library_would_guess_is_refused(part: Any) -> None:
    for each in (part, {"type": "Sequence", "normalizers": [part]}):
        with pytest.raises(ValueError, match="a step without a kind"):
            steps(each, "normalizers")


@pytest.mark.parametrize(
    ("taken", "times"),
    [
        ([], 1),
        (of("Nmt", "Strip", "Digits", "Whitespace"), 1),
        (of("NFKD", "StripAccents", "Lowercase", "NFC"), 18),
        (of("NFKD", "Replace", "NFKD"), 18 * 18),
        (of("BertNormalizer", "BertNormalizer"), 9),
        (of("ByteLevel", "ByteLevel"), 25),
        ([{"type": "Prepend", "prepend": "abc"}] * 2, 16),
        ([a_map(18)], 18),
        ([a_map(0)], 1),
    ],
)
def test_the_steps_multiply_and_forms_in_a_row_count_once(
    taken: list[dict[str, Any]], times: int
) -> None:
    assert growth(taken) == times


@pytest.mark.parametrize("packed", ["é", "AAA", base64.b64encode(bytes(4) + b"\xff").decode(), 3])
def test_a_damaged_map_of_characters_is_refused(packed: object) -> None:
    with pytest.raises(ValueError, match="a map of characters that is damaged"):
        growth([{"type": "Precompiled", "precompiled_charsmap": packed}])


@pytest.mark.parametrize(
    "kinds",
    [
        ["NFC"],
        ["NFD"],
        ["NFKC", "NFD", "Lowercase"],
        ["Lowercase", "NFKD", "NFC", "NFKD"],
        ["NFKD", "Replace", "NFKD", "Replace", "NFKD"],
        ["BertNormalizer", "BertNormalizer"],
        ["Prepend", "NFKC", "Prepend"],
    ],
)
def test_the_library_makes_no_text_longer_than_that(kinds: list[str]) -> None:
    library = pytest.importorskip("tokenizers")
    replace = {"pattern": {"String": "\u0644"}, "content": SENTENCE}
    bert = {"clean_text": True, "handle_chinese_chars": True, "lowercase": True}
    more = {"Replace": replace, "Prepend": {"prepend": SENTENCE}}
    more["BertNormalizer"] = bert | {"strip_accents": None}
    taken = [{"type": kind} | more.get(kind, {}) for kind in kinds]
    file = json.loads(library.Tokenizer(library.models.BPE()).to_str())
    file["normalizer"] = {"type": "Sequence", "normalizers": taken}
    normalizer = library.Tokenizer.from_str(json.dumps(file)).normalizer
    longest = max(len(normalizer.normalize_str(each)) for each in WORST)
    assert 1 < longest <= growth(taken)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_library_makes_no_pieces_longer_than_that(count: int) -> None:
    library = pytest.importorskip("tokenizers")
    usual = {"add_prefix_space": True, "trim_offsets": True, "use_regex": False}
    mark = {"replacement": "_", "prepend_scheme": "always", "split": True}
    for one in ({"type": "ByteLevel"} | usual, {"type": "Metaspace"} | mark):
        file = json.loads(library.Tokenizer(library.models.BPE()).to_str())
        file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [one] * count}
        cut = library.Tokenizer.from_str(json.dumps(file)).pre_tokenizer
        pieces = [cut.pre_tokenize_str(each) for each in WORST]
        longest = max(sum(len(piece) for piece, _ in each) for each in pieces)
        assert 1 < longest <= growth([one] * count)
