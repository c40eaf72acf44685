"""Tokenizers of encoders: those that are usual may be opened, and nothing that could be slow."""

import json
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
        (changed(normalizer={"type": "Prepend", "prepend": "a" * 99}), "too long"),
        (changed(normalizer={"type": "Sequence", "normalizers": [{}] * 99}), "99 parts"),
        (changed(normalizer={"type": {"a": 1}}), "kind"),
        (changed(model=FILE["model"] | {"dropout": 0.5}), "dropout"),
        (changed(model=FILE["model"] | {"vocab": {"a": 9_999}}), "a token 9,999"),
    ],
)
def test_a_tokenizer_that_could_do_harm_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(content, COUNT)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be used") as error:
        preparer(SPEC, {TOKENIZER: content})
    assert "\n" not in error.value.message


def test_a_usual_replacement_is_let_through() -> None:
    check(changed(normalizer=REPLACE | {"pattern": {"Regex": " {2,}"}, "content": " "}), COUNT)
