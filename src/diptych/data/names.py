"""Names: spelled so that they can be written down, and told apart."""

from collections import Counter
from collections.abc import Iterable

from diptych.core.errors import DataError


def spelled(name: str) -> str:
    r"""Spell what UTF-8 cannot hold, as names of files may be any bytes.

    Args:
        name: As the system gives it.

    Returns:
        The name; of a byte that is not UTF-8 such as ``\udce9``, written out.
    """
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def check_distinct(place: object, names: Iterable[str]) -> None:
    """Check that no two columns have one name.

    Args:
        place: Where they are, for the error.
        names: Theirs.

    Raises:
        DataError: If two are the same.
    """
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise DataError(f"{place} has {count} columns {name!r}", "rename all but one")
