from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn, TableSpec
from diptych.reporting.cells import MISSING, MOST_COLUMNS, UNSEEN, cells, value_of
from diptych.tasks.table import preparer

NUMBER = NumberColumn(name="n")
WORD = CategoryColumn(name="w", values=("inland", "bay"))
DATE = DateColumn(name="d", format="%d/%m/%Y")


def shown(row: list[object]) -> list[str]:
    spec = TableSpec(columns=(NUMBER, WORD, DATE))
    names = [column.name for column in spec.columns]
    prepared = preparer(spec, {})(dict(zip(names, row, strict=True)))
    return [cell.value for cell in cells(prepared, spec)]


def test_a_row_is_shown_as_it_was_given() -> None:
    assert shown([8.3252, "bay", "29/02/2024"]) == ["8.3252", "bay", "2024-02-29"]
    assert shown([226802, "inland", "01/01/1970"]) == ["226802", "inland", "1970-01-01"]


def test_what_is_missing_or_unseen_is_said() -> None:
    assert shown([None, "sea", None]) == [MISSING, UNSEEN, MISSING]
    spec = TableSpec(columns=(NUMBER, WORD))
    assert all(cell.missing for cell in cells(np.array([np.nan, 0], np.float32), spec))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_with_just_the_digits_it_has(number: float) -> None:
    assert np.float32(value_of(NUMBER, number)) == np.float32(number)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)))  # noqa: DTZ001
def test_a_moment_is_shown_to_the_minute(moment: datetime) -> None:
    minute = moment.replace(second=0, microsecond=0)
    days = (minute.replace(tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() / 86400
    written = value_of(DATE, days + 1e-9)
    assert abs((datetime.fromisoformat(written) - minute).total_seconds()) <= 60


@pytest.mark.parametrize("number", [1e30, -1e30, 1e9])
def test_a_date_beyond_the_calendar_is_still_something(number: float) -> None:
    assert "days" in value_of(DATE, number)


@pytest.mark.parametrize("number", [-1.0, 0.5, 3.0, 1e30])
def test_a_code_that_no_word_has_is_unseen(number: float) -> None:
    assert value_of(WORD, number) == UNSEEN


def test_of_a_wide_row_the_first_cells_are_shown() -> None:
    spec = TableSpec(columns=tuple(NumberColumn(name=f"c{k}") for k in range(99)))
    assert len(cells(np.zeros(99, np.float32), spec)) == MOST_COLUMNS
