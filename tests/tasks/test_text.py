"""Texts of every kind that users bring, and tokenizer files that nobody should open."""

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from diptych.core.errors import BundleError, DataError
from diptych.core.progress import silent
from diptych.core.specs import TextSpec
from diptych.data.raw import RawSplit
from diptych.data.reading import Options
from diptych.data.texts import learn
from diptych.tasks.text import (
    CHARACTERS_PER_TOKEN,
    MAX_TOKENIZER_BYTES,
    TOKENIZER,
    encode,
    load,
    pieces,
    preparer,
    speller,
)

TEXTS = ["the cat sat on the mat .", "a hat is on the cat", "שלום עולם", "the café is 😀 today"] * 3
TEXTS += ["reddish", "bluish", "greenish", "yellowish"]
LEARNED = learn(
    {"train": RawSplit(items=TEXTS, labels=[0] * len(TEXTS), contents=TEXTS)}, Options(), silent
)
SPEC = TextSpec(tokens=8, vocabulary=LEARNED.spec.vocabulary)
ASSETS = LEARNED.assets
MODEL = msgspec.json.decode(ASSETS[TOKENIZER])["model"]
PREPARE = preparer(SPEC, ASSETS)
SPELL = speller(SPEC, ASSETS)


def shown(value: object) -> str:
    return "".join(SPELL(PREPARE(value)))


def changed(**fields: object) -> dict[str, bytes]:
    return {TOKENIZER: msgspec.json.encode(msgspec.json.decode(ASSETS[TOKENIZER]) | fields)}


def with_vocabulary(vocabulary: dict[str, int]) -> dict[str, bytes]:
    return changed(model=MODEL | {"vocab": vocabulary, "merges": []})


def test_pieces_are_spelled_as_the_tokens_that_texts_become() -> None:
    spelled = pieces(SPEC, ASSETS)
    assert len(spelled) == SPEC.vocabulary
    assert spelled[:2] == ("", "")
    tokens = PREPARE("the cat reddish")
    assert "".join(spelled[token] for token in tokens) == "▁the▁cat▁reddish"


def test_a_text_becomes_tokens_and_then_padding() -> None:
    row = PREPARE("the cat")
    assert row.dtype == np.int32
    assert row.shape == (8,)
    assert (row[:2] > 1).all()
    assert not row[2:].any()


def test_case_and_width_of_letters_make_no_difference_and_accents_do() -> None:
    assert np.array_equal(PREPARE("The CAT"), PREPARE("ｔｈｅ cat"))
    assert not np.array_equal(PREPARE("café"), PREPARE("cafe"))


def test_a_text_is_the_same_as_its_bytes_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    for content in ("the café", "שלום עולם 😀", ""):
        for mark in (b"", b"\xef\xbb\xbf"):
            path.write_bytes(mark + content.encode())
            for form in (path, mark + content.encode()):
                assert np.array_equal(PREPARE(form), PREPARE(content))


def test_tokens_are_spelled_as_the_network_sees_them() -> None:
    assert shown("The CAT  sat\ton the mat.") == "the cat sat on the mat ."
    assert shown("שלום עולם") == "שלום עולם"
    assert len(SPELL(PREPARE("the cat sat"))) == 3


def test_a_word_that_was_never_seen_is_spelled_from_known_pieces() -> None:
    assert shown("catish") == "catish"
    assert len(SPELL(PREPARE("catish"))) > 1


@pytest.mark.parametrize("text", ["", " ", "\n\t\r ", "\x00", "\x00\x01\x7f", "\u200b"])
def test_a_text_without_signs_is_all_padding(text: str) -> None:
    assert not PREPARE(text).any()


def test_signs_that_were_never_seen_are_unknown() -> None:
    assert shown("the 漢字 cat") == "the [UNK] cat"
    assert shown("the 😀") == "the 😀"


def test_half_a_surrogate_pair_is_dropped_and_a_whole_one_is_its_character() -> None:
    assert np.array_equal(PREPARE("the \ud800 cat"), PREPARE("the cat"))
    assert np.array_equal(PREPARE("the \ud83d\ude00"), PREPARE("the 😀"))


def test_the_names_of_padding_and_unknown_are_ordinary_text() -> None:
    assert (PREPARE("[PAD]")[:2] > 0).all()
    assert PREPARE("the [PAD] cat")[-1] >= 0
    assert np.count_nonzero(PREPARE("cat [PAD] cat")) > 3


@given(st.text(max_size=400))
def test_any_text_becomes_tokens_of_the_vocabulary_followed_by_padding(text: str) -> None:
    row = PREPARE(text)
    count = np.count_nonzero(row)
    assert row[:count].all()
    assert 0 <= row.min() <= row.max() < SPEC.vocabulary


@given(st.lists(st.text(max_size=60), max_size=5))
def test_many_texts_become_what_they_become_one_by_one(texts: list[str]) -> None:
    rows = encode(load(SPEC, ASSETS), texts, SPEC)
    assert rows.shape == (len(texts), 8)
    for row, text in zip(rows, texts, strict=True):
        assert np.array_equal(row, PREPARE(text))


def test_what_comes_after_the_first_characters_is_not_looked_at() -> None:
    head = ("the " * CHARACTERS_PER_TOKEN * SPEC.tokens)[: CHARACTERS_PER_TOKEN * SPEC.tokens]
    assert np.array_equal(PREPARE(head + "cat" * 1000), PREPARE(head))
    spaces = " " * CHARACTERS_PER_TOKEN * SPEC.tokens
    assert not PREPARE(spaces + "cat").any()
    assert not PREPARE((spaces + "cat").encode()).all()


def test_a_cut_character_at_the_end_of_what_is_read_is_no_error() -> None:
    for shift in range(4):
        assert PREPARE(b"a" * shift + "😀".encode() * 10_000)[0] > 0


@pytest.mark.parametrize("text", ["a" * 10_000_000, "the " * 2_500_000, "ﷺ" * 5_000_000])
def test_ten_megabytes_take_little_time(text: str) -> None:
    started = time.process_time()
    PREPARE(text)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"caf\xe9 au lait", "0xe9 at 3"),
        ("the".encode("utf-16"), "0xff at 0"),
        (7, "int"),
        (None, "NoneType"),
        (["the"], "list"),
        ({"text": "the"}, "dict"),
        (np.zeros(3, np.int32), r"int32 \(3,\)"),
        (np.zeros(8, np.float32), "float32"),
        (np.full(8, 100_000), "100000"),
        (np.full(8, -1), "-1"),
        (Path("nowhere.txt"), "nowhere.txt"),
        (Path(__file__).parent, "directory"),
    ],
)
def test_what_is_no_text_is_refused_with_what_was_seen(value: object, seen: str) -> None:
    with pytest.raises(DataError, match=seen) as caught:
        PREPARE(value)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_an_array_of_tokens_is_taken_as_it_is() -> None:
    row = PREPARE("the cat")
    assert np.array_equal(PREPARE(row), row)
    assert PREPARE(row.astype(np.int64)).dtype == np.int32


@pytest.mark.parametrize(
    "assets",
    [
        {},
        {TOKENIZER: b""},
        {TOKENIZER: b"\xff\xfe"},
        {TOKENIZER: b"{}"},
        {TOKENIZER: b"[" * 100_000},
        {TOKENIZER: ASSETS[TOKENIZER][:-100]},
        {TOKENIZER: b" " * (MAX_TOKENIZER_BYTES + 1)},
        changed(normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+b"}, "content": ""}),
        changed(
            pre_tokenizer={
                "type": "Sequence",
                "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a+)+b"}}],
            }
        ),
        changed(model={"type": "WordLevel", "vocab": {"[PAD]": 0}, "unk_token": "[UNK]"}),
        changed(post_processor={"type": "TemplateProcessing"}),
        changed(added_tokens=[{"id": 0, "content": " "}]),
        with_vocabulary({"[PAD]": 0, "[UNK]": 1, "a": 70_000}),
        with_vocabulary({"[PAD]": 0, "[UNK]": 1, "a": -1}),
        with_vocabulary({"[PAD]": 0, "a": 1, "[UNK]": 2}),
        with_vocabulary({"[PAD]": 0, "[UNK]": 1, "a": 2}),
        with_vocabulary({}),
        changed(model=MODEL | {"merges": [["zz", "qq"]]}),
        changed(model=MODEL | {"continuing_subword_prefix": "##"}),
        changed(model=MODEL | {"end_of_word_suffix": "a" * 1000}),
    ],
)
def test_a_tokenizer_that_is_not_one_of_ours_is_refused(assets: dict[str, bytes]) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json") as caught:
        preparer(SPEC, assets)
    assert caught.value.hint
    assert "\n" not in caught.value.message
