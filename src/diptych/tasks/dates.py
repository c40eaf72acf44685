"""Dates in tables: the forms that are read, and the number that stands for a date."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  times are in UTC, without saying so
DAY = timedelta(days=1)
ISO = "iso"
DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%b %d, %Y"),
)
FORMS = (ISO, *DAYS, *(f"{day} {clock}" for day in DAYS for clock in ("%H:%M", "%H:%M:%S")))
"""The forms looked for in a column; where two fit all of it, the first."""
ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def date_parser(form: str) -> Callable[[str], float]:
    """Make what reads dates of one form.

    Args:
        form: ``iso`` (a day, or a moment with or without an offset), or a format of `strptime`.

    Returns:
        A function from a date to days since 2000-01-01, UTC; it raises ValueError for another.
    """

    def parse(word: str) -> float:
        if form != ISO:
            return days_since_2000(datetime.strptime(word, form))  # noqa: DTZ007  taken as UTC
        if not ISO_DATE.fullmatch(word):
            raise ValueError("not a date")
        return days_since_2000(datetime.fromisoformat(word))

    return parse


def days_since_2000(moment: date) -> float:
    """Tell the number that stands for a date.

    Args:
        moment: A day or a moment; taken as UTC where it does not say.

    Returns:
        Days since 2000-01-01, UTC.

    Raises:
        OverflowError: If the moment, moved to UTC, is out of the calendar.
    """
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - EPOCH) / DAY


def example_of(form: str) -> str:
    """Write a date in a form.

    Args:
        form: As for :func:`date_parser`.

    Returns:
        The 31st of January 2000, so that days and months can be told apart.
    """
    day = EPOCH + 30 * DAY
    return day.date().isoformat() if form == ISO else day.strftime(form)
