import numpy as np
from msgspec.structs import replace

from diptych.core.specs import OwnSpec
from diptych.reporting.examples import MOST, pick
from diptych.reporting.passages import Piece


def picked(case, **changed):
    parts = {"assets": case.assets, "run": case.run} | changed
    return pick(case.manifest, case.inputs, case.outputs, **parts)


def test_as_many_classes_as_possible_are_shown_first(manifest, pictures) -> None:
    chosen = pick(
        replace(manifest, labels=tuple("abcdefghij")), pictures.inputs, pictures.logits, {}
    )
    assert len(chosen) == MOST["image"]
    assert "".join(one.answer.text for one in chosen[:10]) == "abcdefghij"


def test_the_score_is_the_softmax_of_the_winner(manifest) -> None:
    outputs = np.array([[0.0, np.log(3.0)]], np.float32)
    two = replace(manifest, labels=("no", "yes"))
    (only,) = pick(two, np.zeros((1, 28, 28, 1), np.uint8), outputs, {})
    assert (only.answer.text, only.answer.detail) == ("yes", "0.75")


def test_without_golden_examples_there_are_none(manifest) -> None:
    assert pick(manifest, np.zeros((0, 28, 28, 1), np.uint8), np.zeros((0, 10)), {}) == ()


def test_numbers_are_shown_from_the_lowest_to_the_highest(tabled) -> None:
    shown = [float(one.answer.text.replace(",", "")) for one in picked(tabled)]
    assert len(shown) == MOST["table"]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (1e5, 8e5)


def test_rows_that_show_different_sets_of_labels_come_first(tagged) -> None:
    sets = len(np.unique(tagged.outputs >= 0, axis=0))
    answers = [one.answer.text for one in picked(tagged)]
    assert len(set(answers[:sets])) == sets


def test_a_sound_can_be_seen_and_heard(sound) -> None:
    chosen = picked(sound)
    assert len(chosen) == MOST["audio"]
    assert all(one.shown.spectrogram.startswith("data:image/png") for one in chosen)
    assert all(one.shown.clip.startswith("data:audio/wav") for one in chosen)


def test_words_are_marked_by_what_they_say_for_the_answer(written) -> None:
    mixed = next(one for one in picked(written) if len(one.shown.pieces) == 5)
    assert mixed.answer.text == "positive"
    assert mixed.shown.pieces == (
        Piece(text="a"), Piece(text=" good", level=4), Piece(text=" film"),
        Piece(text=" bad", level=-4), Piece(text=" good", level=4),
    )  # fmt: skip


def test_without_a_program_words_are_shown_unmarked_and_without_a_tokenizer_not(written) -> None:
    plain = picked(written, run=None)
    assert {piece.level for one in plain for piece in one.shown.pieces} == {0}
    assert len(plain) == len(written.inputs)
    assert picked(written, assets={}) == ()


def test_a_row_has_its_cells(tabled) -> None:
    first = picked(tabled)[0].shown
    assert [cell.name for cell in first.cells] == ["rooms", "place", "sold"]
    assert first.more == 0


def test_an_input_of_a_users_own_task_cannot_be_shown(manifest, pictures) -> None:
    own = OwnSpec(task="sensor", dtype="uint8", shape=(28, 28, 1))
    assert pick(replace(manifest, input=own), pictures.inputs, pictures.logits, {}) == ()
