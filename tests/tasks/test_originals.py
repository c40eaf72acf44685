"""From prepared inputs back: preparing them again gives the same."""

import numpy as np
import pytest

from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    DateColumn,
    ImageSpec,
    NumberColumn,
    OwnSpec,
    TableSpec,
)
from diptych.tasks import PREPARERS, preparer
from diptych.tasks.originals import ORIGINALS, original

COLUMNS = (
    NumberColumn(name="n"),
    CategoryColumn(name="c", values=("x", "y")),
    DateColumn(name="d", format="iso"),
    DateColumn(name="e", format="%d/%m/%Y"),
)


def noise(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    ("spec", "prepared"),
    [
        (ImageSpec(height=5, width=7, channels=1), noise((5, 7, 1), np.uint8)),
        (ImageSpec(height=5, width=7, channels=3), noise((5, 7, 3), np.uint8)),
        (AudioSpec(sample_rate=8000, samples=300), noise((300,), np.int16)),
        (TableSpec(columns=COLUMNS), np.array([-2.5, 2, 7000.25, -40], np.float32)),
        (TableSpec(columns=COLUMNS), np.array([np.nan, 0, np.nan, np.nan], np.float32)),
    ],
)
def test_what_is_prepared_again_is_the_same(spec, prepared):
    back = original(spec, {})(prepared)
    assert isinstance(back, bytes | dict)
    np.testing.assert_array_equal(preparer(spec, {})(back), prepared)


def test_a_text_is_spelled_as_the_network_sees_it(kind_bundle):
    kind = kind_bundle("text")
    prepare = preparer(kind.spec, kind.assets)
    tokens = prepare("so good film")
    back = original(kind.spec, kind.assets)(tokens)
    assert back == "so good film"
    np.testing.assert_array_equal(prepare(back), tokens)


def test_a_number_has_no_more_digits_than_it_needs():
    spec = TableSpec(columns=(NumberColumn(name="n"),))
    row = original(spec, {})(np.array([-118.29], np.float32))
    assert str(row) == "{'n': -118.29}"


def test_a_date_outside_the_calendar_is_missing():
    row = original(TableSpec(columns=COLUMNS[2:3]), {})(np.array([1e30], np.float32))
    assert row == {"d": None}


def test_every_kind_has_its_way_back_but_a_users_own():
    assert set(ORIGINALS) == set(PREPARERS)
    assert original(OwnSpec(task="mine", dtype="float32", shape=(3,)), {}) is None
