import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.scalings import check_knows, check_labels, knowledge, scalings, some_items

LABELS = ("a", "b", "c")
TRUE = np.arange(300) % 3


def test_all_known_scalings_are_of_one_unit() -> None:
    digits = read("digits", Options(seed=0))
    found = {scaling.name: scaling for scaling in scalings(digits)}
    assert found["from 0 to 1"].deviation == (255.0,)
    assert found["from 0 to 255"].deviation == pytest.approx((1.0,))
    assert "as for ImageNet" not in found
    assert [s.name for s in scalings(digits, takes_bytes=True)] == ["as bytes"]
    own = found["by their own mean"]
    assert own.mean == pytest.approx((digits.train.inputs.mean(),), rel=0.05)
    assert len(some_items(digits)[1]) == len(digits.validation)


def test_who_knows_more_knows_more_and_then_who_is_surer() -> None:
    targets = np.array([0, 1])
    broken = np.full((2, 2), np.nan, np.float32)
    sure = np.array([[9.0, 0.0], [0.0, 9.0]], np.float32)
    unsure = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    wrong = np.array([[9.0, 0.0], [9.0, 0.0]], np.float32)
    ranked = sorted((wrong, sure, broken, unsure), key=lambda x: knowledge(x, targets))
    assert ranked[2] is unsure
    assert ranked[3] is sure


def test_knowing_everything_is_enough_and_another_order_is_told() -> None:
    check_knows("a model", TRUE, TRUE, LABELS)
    with pytest.raises(ConfigError, match="its output 0 is mostly 'b', which is 'a' in the data"):
        check_knows("a model", np.array([2, 0, 1])[TRUE], TRUE, LABELS)


def test_knowing_no_more_than_chance_is_told() -> None:
    guess = np.random.default_rng(0).integers(0, 3, 300)
    with pytest.raises(ConfigError, match="no more than chance"):
        check_knows("a model", guess, TRUE, LABELS)


def test_as_many_scores_as_labels_are_wanted() -> None:
    check_labels("a model", 3, LABELS)
    with pytest.raises(ConfigError, match=r"gives 4 scores, and the data has 3 labels \(a, b, c"):
        check_labels("a model", 4, LABELS)
