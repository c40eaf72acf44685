from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.tasks.dates import FORMS, ISO, date_parser, days_since_2000, example_of

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


@given(MOMENTS)
def test_iso_moments_are_seconds_since_2000_in_days(moment: datetime) -> None:
    seconds = (moment - datetime(2000, 1, 1)).total_seconds()  # noqa: DTZ001
    assert date_parser(ISO)(moment.isoformat()) == pytest.approx(seconds / 86_400)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.sampled_from(FORMS))
def test_a_day_in_any_form_is_that_day(day: date, form: str) -> None:
    word = day.isoformat() if form == ISO else day.strftime(form)
    assert date_parser(form)(word) == (day - date(2000, 1, 1)).days == days_since_2000(day)


def test_offsets_are_moved_to_utc() -> None:
    there = datetime(2000, 1, 2, 1, 0, tzinfo=UTC) + timedelta(0)
    assert date_parser(ISO)("2000-01-02T03:00+02:00") == days_since_2000(there)
    assert date_parser(ISO)("2000-01-02T01:00Z") == 1 + 1 / 24


@pytest.mark.parametrize("word", ["", "2020", "20200131", "2020-W01-1", "2020-13-01", "x"])
def test_what_is_no_iso_date_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"date|month"):
        date_parser(ISO)(word)


@pytest.mark.parametrize("form", FORMS)
def test_an_example_is_read_in_its_own_form(form: str) -> None:
    assert date_parser(form)(example_of(form)) == 30
