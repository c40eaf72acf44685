import numpy as np
import pytest

from diptych.reporting.answers import NONE
from diptych.reporting.examples import MOST, Passage, Picture, Row, Sound, kind_of
from diptych.reporting.fallen import fallen, told

SHOWN = {"image": Picture, "audio": Sound, "text": Passage, "table": Row}


def inputs(case, number: int) -> np.ndarray:
    return case.inputs[np.arange(number) % len(case.inputs)]


def test_every_kind_of_input_is_shown_as_what_it_is(case, hurt) -> None:
    manifest = hurt(case.manifest)
    found = fallen(manifest, inputs(case, len(manifest.damage.items)), case.assets)
    kind = kind_of(manifest.input)
    assert len(found) == min(MOST[kind], len(manifest.damage.items)) > 1
    assert all(isinstance(one.shown, SHOWN[kind]) for one in found)
    assert [one.name for one in found] == [one.item for one in manifest.damage.items[: len(found)]]


def test_an_item_that_was_not_kept_has_its_name_alone(sound, hurt) -> None:
    manifest = hurt(sound.manifest)
    first, *others = fallen(manifest, inputs(sound, 1), {})
    assert first.shown is not None
    assert {one.shown for one in others} == {None}
    assert all(one.name.startswith("test/") for one in others)


def test_the_truth_what_was_told_and_what_is_told(sound, tabled, hurt) -> None:
    one = fallen(hurt(sound.manifest), sound.inputs[:0], {})[0]
    item = hurt(sound.manifest).damage.items[0]
    assert (one.truth, one.before) == ("two", f"{item.reference_share:.2f}")
    assert one.after == f"{item.model[0]} {item.model_share:.2f}"
    number = fallen(hurt(tabled.manifest), tabled.inputs[:0], {})[0]
    assert all(part.replace(",", "").isdigit() for part in (number.truth, number.before))


@pytest.mark.parametrize(
    ("answer", "words"), [(("a", "b"), "a, b"), ((), NONE), (1234.56, "1,235"), (0.0, "0")]
)
def test_labels_and_numbers_are_words(answer, words: str) -> None:
    assert told(answer) == words


def test_without_a_report_nothing_fell(sound) -> None:
    assert fallen(sound.manifest, sound.inputs, {}) == ()
