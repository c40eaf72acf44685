import hashlib
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

pytest.importorskip("tokenizers")

from diptych.core.errors import DataError
from diptych.core.progress import Step, silent
from diptych.core.specs import ImageSpec, TextSpec
from diptych.data.raw import RawSplit
from diptych.data.reading import Learned, Options
from diptych.data.texts import MOST_TOKENS, decode, learn
from diptych.tasks.text import TOKENIZER, preparer, speller

TEXTS = ["the cat sat on the mat", "a hat is on the cat", "no cat , no hat"] * 4
PROGRAM = """
import hashlib
from diptych.core.progress import silent
from diptych.data.raw import RawSplit
from diptych.data.reading import Options
from diptych.data.texts import learn
texts = [f"word{n % 97} is {n % 13} and {n}" for n in range(500)]
split = RawSplit(items=texts, labels=texts, contents=texts)
learned = learn({"train": split}, Options(), silent)
print(hashlib.sha256(learned.assets["tokenizer.json"]).hexdigest())
"""


def split_of(texts: Sequence[str], labels: Sequence[object] | None = None) -> RawSplit:
    items = [f"t{number}" for number in range(len(texts))]
    return RawSplit(items=items, labels=labels or [0] * len(texts), contents=texts)


def learned_from(texts: Sequence[str], **others: Sequence[str]) -> Learned:
    splits = {"train": texts} | others
    return learn({name: split_of(each) for name, each in splits.items()}, Options(), silent)


def test_frequent_words_stay_whole_and_others_are_spelled() -> None:
    learned = learned_from(TEXTS)
    spell, prepare = speller(learned.spec, learned.assets), preparer(learned.spec, learned.assets)
    assert spell(prepare("the cat")) == ("the", " cat")
    assert spell(prepare("no mat , no hat")) == ("no", " mat", " ,", " no", " hat")


def test_pieces_that_training_texts_do_not_hold_are_unknown() -> None:
    learned = learned_from(["the cat sat", "the sat cat"] * 9 + ["cats"] * 9)
    prepare = preparer(learned.spec, learned.assets)
    words = msgspec.json.decode(learned.assets[TOKENIZER])["model"]["vocab"]
    assert {words["▁the"], words["▁sat"], words["▁cat"], words["▁cats"]} == {2, 3, 4, 5}
    assert learned.spec.vocabulary == 6 < len(words)
    assert set(prepare("th").tolist()) == {0, 1}
    assert prepare("the").tolist()[:2] == [words["▁the"], 0]


def test_the_length_covers_nearly_all_texts_in_steps_of_eight() -> None:
    assert learned_from(TEXTS).spec.tokens == 8
    assert learned_from([*TEXTS, "the " * 21]).spec.tokens == 24
    assert learned_from(["the cat " * 6] * 995 + ["the " * 60] * 5).spec.tokens == 16
    assert learned_from(["the " * 5000] * 3).spec.tokens == MOST_TOKENS


def test_the_length_covers_every_split_for_sentences_may_be_longer_than_training_phrases() -> None:
    assert learned_from(TEXTS, test=["the " * 30]).spec.tokens == 32
    assert learned_from(["the " * 30] * 3, test=TEXTS).spec.tokens == 32
    assert learned_from(TEXTS, test=[]).spec.tokens == 8


def test_the_vocabulary_is_learned_from_the_training_split_alone() -> None:
    alone = learned_from(TEXTS)
    assert learned_from(TEXTS, test=["quite other words"] * 9).assets == alone.assets


@pytest.mark.slow
def test_the_same_texts_give_the_same_tokenizer_in_any_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
        ).stdout
        for _ in range(3)
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == len(hashlib.sha256().hexdigest())


def test_a_split_becomes_what_its_texts_become_one_by_one() -> None:
    learned, steps = learned_from(TEXTS), list[Step]()
    texts = ["the cat", "", "never seen 漢字 \ud800 😀", "the cat sat on a mat and a hat"]
    inputs, rows, skipped = decode(
        "test", split_of(texts), learned.spec, learned.assets, steps.append
    )
    prepare = preparer(learned.spec, learned.assets)
    assert inputs.dtype == np.int32
    np.testing.assert_array_equal(inputs, [prepare(text) for text in texts])
    assert rows.tolist() == [0, 1, 2, 3]
    assert not skipped
    assert steps[-1].done == steps[-1].total == 4


def test_people_are_told_of_lengths_and_pieces() -> None:
    facts = learned_from(TEXTS).facts
    assert facts[0] == "texts of 5 to 6 word pieces, 6 in the middle"
    assert facts[1].endswith("the first 8 of a text are used")


def test_people_are_warned_of_empty_cut_and_doubtful_texts() -> None:
    texts = [*TEXTS, "", " \n", "the " * 3000]
    labels = [*["yes", "no"] * 6, "yes", "no", "yes"]
    learned = learn({"train": split_of(texts, labels)}, Options(), silent)
    assert "2 train texts are empty" in learned.warnings
    assert "3 training texts occur with different labels" in learned.warnings
    assert "1 training texts are longer than 256 word pieces and are cut" in learned.warnings
    assert not learned_from(TEXTS).warnings


def test_texts_without_any_sign_are_refused() -> None:
    with pytest.raises(DataError, match="no training text holds"):
        learned_from(["", " ", "\x00"])


def test_texts_are_not_made_for_a_model_of_pictures() -> None:
    with pytest.raises(DataError, match="holds texts"):
        decode("test", split_of(TEXTS), ImageSpec(height=8, width=8, channels=1), {}, silent)


def test_many_letters_and_long_words_keep_the_limits() -> None:
    random = np.random.default_rng(0)
    texts = ["".join(map(chr, random.integers(0x4E00, 0x9FFF, 60))) for _ in range(50)]
    learned = learned_from([*texts, "x" * 100_000])
    assert learned.spec.vocabulary <= 32_768
    assert learned.spec == TextSpec(tokens=64, vocabulary=learned.spec.vocabulary)
    assert len(learned.assets[TOKENIZER]) < 1 << 20
