"""Tokenizers of encoders: those that are usual may be opened, and nothing that could be slow."""

import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from diptych.core.errors import BundleError
from diptych.core.specs import TextSpec
from diptych.tasks.foreign_tokenizer import check, unknown_token, words_of
from diptych.tasks.text import TOKENIZER, pieces, preparer, speller

library = pytest.importorskip("tokenizers")

SIGNS = ["<s>", "<pad>", "</s>", "<unk>"]


def of_bytes() -> dict[str, Any]:
    """Train one like RoBERTa's: 1 is padding, 3 unknown, and pieces are of bytes."""
    tokenizer = library.Tokenizer(library.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(
        special_tokens=SIGNS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["so good", "so bad", "a café"] * 5, trainer)
    tokenizer.post_processor = library.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    found: dict[str, Any] = json.loads(tokenizer.to_str())
    return found


FILE = of_bytes()
COUNT = len(FILE["model"]["vocab"])
SPEC = TextSpec(tokens=12, vocabulary=COUNT, padding=1, unknown=3)


def changed(**parts: object) -> bytes:
    return json.dumps(FILE | parts).encode()


def test_padding_and_unknown_become_0_and_1_and_the_rest_is_the_encoders() -> None:
    row = preparer(SPEC, {TOKENIZER: changed()})("so good")
    ids = library.Tokenizer.from_str(json.dumps(FILE)).encode("so good").ids
    back = {number: own for own, number in SPEC.renumbered().items()}
    assert [back.get(n, n) for n in row[: len(ids)].tolist()] == ids
    assert not row[len(ids) :].any()
    assert sorted(SPEC.renumbered()) == sorted(SPEC.renumbered().values())
    assert (SPEC.renumbered()[1], SPEC.renumbered()[3]) == (0, 1)


def test_signs_in_a_text_are_letters() -> None:
    prepare = preparer(SPEC, {TOKENIZER: changed()})
    assert np.count_nonzero(prepare("so<pad>")) > 4
    assert not (prepare("<unk>") == 1).any()


def test_pieces_are_spelled_with_a_sign_where_words_begin() -> None:
    assets = {TOKENIZER: changed()}
    row = preparer(SPEC, assets)("so café")
    assert "".join(speller(SPEC, assets)(row)) == "so café"
    spelled = pieces(SPEC, assets)
    assert "".join(spelled[n] for n in row) == "▁so▁café"
    words = {"[CLS]": 0, "play": 1, "##ing": 2}
    content = {"model": {"type": "WordPiece", "vocab": words, "unk_token": "[UNK]"}}
    content["added_tokens"] = [{"id": 0, "content": "[CLS]", "special": True}]
    assert words_of(json.dumps(content).encode()) == {0: "", 1: "▁play", 2: "ing"}


def test_the_unknown_token_is_found() -> None:
    assert unknown_token(changed()) == 3
    model = {"type": "Unigram", "vocab": [["a", 0.0], ["b", -1.0]], "unk_id": 1}
    assert unknown_token(changed(model=model)) == 1


SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated"}
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
SWAP = {"type": "Replace", "pattern": {"String": "\u0644"}, "content": "\ufdfa"}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
SPACES = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
MARK = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def mapped(longest: int) -> dict[str, Any]:
    """Make a map of characters, an empty tree and what it gives for one."""
    content = (1024).to_bytes(4, "little") + bytes(1024) + b"b" * longest + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def leading_outside() -> dict[str, Any]:
    """Make a map of characters whose tree has two places: the library ends in a panic there."""
    content = (8).to_bytes(4, "little") + bytes(8) + b"b\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def normalizers(*taken: dict[str, Any] | str) -> dict[str, Any]:
    found = [{"type": each} if isinstance(each, str) else each for each in taken]
    return {"type": "Sequence", "normalizers": found}


def pretokenizers(*taken: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(taken)}


UNIGRAM = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["▁" + "a" * 15, -1.0]], "unk_id": 0}
WORDS = {
    "type": "WordPiece",
    "vocab": {"[UNK]": 0, "a": 1},
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
MANY = normalizers(*[normalizers(*["Nmt"] * 20)] * 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "truncated"),
        (b"\xff", "JSON"),
        (b'{"normalizer":' + b"[" * 100_000, "deeply"),
        (changed(pre_tokenizer=SPLIT), "kind 'Split'"),
        (changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [SPLIT]}), "kind 'Split'"),
        (changed(normalizer=REPLACE | {"pattern": {"Regex": "(a+)+b"}}), "pattern of its own"),
        (changed(normalizer=REPLACE), "by something longer"),
        (changed(normalizer=REPLACE | {"pattern": {"String": ""}}), "its pattern is empty"),
        (changed(normalizer=normalizers(*["NFKD", SWAP] * 16)), "times as long"),
        (changed(normalizer=normalizers(mapped(18), mapped(18), mapped(3))), "4,860 times as long"),
        (changed(normalizer=mapped(700)), "3,500 times as long, more than 648"),
        (
            changed(normalizer=mapped(3) | {"precompiled_charsmap": "?"}),
            "characters that is damaged",
        ),
        (changed(normalizer=leading_outside()), "characters that is damaged"),
        (changed(pre_tokenizer=pretokenizers(*[BYTES] * 5)), "3,125 times as long"),
        (changed(pre_tokenizer=pretokenizers(*[MARK] * 10)), "1,024 times as long"),
        (changed(normalizer=MANY), "40 steps in its normalizer, more than 32"),
        (changed(normalizer=normalizers() | {"normalizers": [[SPLIT["pattern"], "x"]]}), "a kind"),
        (changed(normalizer={"prepend": "QQ"}), "a step without a kind"),
        (changed(normalizer={"type": "Prepend", "prepend": "a" * 99}), "too long"),
        (changed(normalizer={"type": "Sequence", "normalizers": [{}] * 99}), "99 parts"),
        (changed(normalizer={"type": {"a": 1}}), "kind"),
        (changed(model=FILE["model"] | {"dropout": 0.5}), "dropout"),
        (changed(model=FILE["model"] | {"vocab": {"a": 9_999}}), "a token 9,999"),
        (changed(model=FILE["model"] | {"vocab": {"a" * 1025: 4}}), "length <= 1024"),
        (changed(model=UNIGRAM | {"vocab": [["a" * 257, 0.0]]}), "length <= 256"),
        (changed(model=WORDS | {"max_input_chars_per_word": 201}), "<= 200"),
        (changed(model=WORDS | {"continuing_subword_prefix": "#" * 65}), "length <= 64"),
        (changed(model=FILE["model"] | {"end_of_word_suffix": "a" * 65}), "length <= 64"),
        (changed(added_tokens=[{"id": 0, "content": "a" * 1025}]), "length <= 1024"),
    ],
)
def test_a_tokenizer_that_could_do_harm_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(content, COUNT)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be used") as error:
        preparer(SPEC, {TOKENIZER: content})
    assert "\n" not in error.value.message


def test_however_deep_a_file_is_nested_it_is_read_or_refused() -> None:
    for depth in range(380, 520):
        start, end = '{"type":"Sequence","normalizers":[' * depth, "]}" * depth
        with suppress(ValueError):
            check(changed(normalizer="@").replace(b'"@"', f"{start}{end}".encode()), COUNT)


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": SPACES},
        {"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}},
        {"normalizer": normalizers("NFC"), "pre_tokenizer": BYTES},
        {"normalizer": normalizers("Nmt", "NFKC", SPACES), "pre_tokenizer": MARK},
        {
            "normalizer": normalizers("Strip", mapped(18), SPACES),
            "pre_tokenizer": pretokenizers({"type": "WhitespaceSplit"}, MARK),
        },
        {
            "normalizer": normalizers(
                REPLACE | {"pattern": {"String": "``"}, "content": '"'},
                *("NFKD", "StripAccents", "Lowercase"),
                mapped(18),
                SPACES,
            ),
            "pre_tokenizer": pretokenizers({"type": "WhitespaceSplit"}, MARK),
        },
        {
            "normalizer": normalizers(
                {"type": "Prepend", "prepend": "▁"},
                REPLACE | {"pattern": {"String": " "}, "content": "▁"},
            )
        },
        {"model": WORDS},
        {"model": UNIGRAM},
        {"model": FILE["model"] | {"vocab": {"ÃÂ" * 64: 4, "Ġ" * 256: 5}}},
        {"model": FILE["model"] | {"end_of_word_suffix": "</w>"}},
    ],
    ids=[
        *("spaces", "BERT", "ModernBERT", "SentencePiece", "XLM-R", "ALBERT", "Llama"),
        *("words", "T5", "GPT-2", "CLIP"),
    ],
)
def test_what_encoders_usually_have_is_let_through(parts: dict[str, Any]) -> None:
    check(changed(**parts), COUNT)
