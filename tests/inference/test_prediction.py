"""What goes into a prediction and what comes out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diptych.core.errors import DataError
from diptych.inference.prediction import from_logits, name_of, pictures


@given(logits=hnp.arrays(np.float32, (3, 4), elements=st.floats(-50, 50, width=32)))
def test_scores_are_probabilities_in_the_order_of_the_logits(logits):
    answers = from_logits(["x", "y", "z"], logits, ["a", "b", "c", "d"])
    exact = np.exp(logits.astype(np.longdouble))
    for answer, row, powers in zip(answers, logits, exact, strict=True):
        found = np.array(list(answer.scores.values()))
        np.testing.assert_allclose(found, (powers / powers.sum()).astype(float), rtol=1e-9)
        assert row["abcd".index(answer.label)] == row.max()
        assert answer.score == found.max()
    assert [answer.input for answer in answers] == ["x", "y", "z"]


def test_inputs_are_named_for_people(tmp_path):
    assert name_of("a/b.png") == "a/b.png"
    assert name_of(tmp_path / "b.png", 3) == str(tmp_path / "b.png")
    assert name_of(b"...") == "bytes"
    assert name_of(np.zeros(3), 3) == "array#3"


def test_pictures_are_found_sorted_and_without_hidden_ones(tmp_path):
    for name in ("b.PNG", "a.jpg", "deep/c.webp", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in pictures(tmp_path)]
    assert found == ["a.jpg", "b.PNG", "deep/c.webp"]


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no pictures") as seen:
        list(pictures(tmp_path))
    assert ".png" in seen.value.hint
