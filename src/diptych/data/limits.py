"""Limits: how large a table may be, told before memory is asked for it or anything is trained."""

import msgspec

from diptych.core.errors import DataError
from diptych.core.specs import TableSpec
from diptych.core.text import size

MOST_COLUMNS = 10_000
"""As many as a `TableSpec` holds, and as many more that it ignores."""
LONGEST_NAME = 512
"""Of a column of a `TableSpec`, in letters."""
MOST_SPEC_BYTES = 3_500_000
"""What is known of columns, as a bundle writes it: nearly all of the text that it may have."""
MOST_LABELS = 10_000
MOST_CELLS = 1_000_000_000
NAMED_LETTERS = 40


def check_cells(what: object, num_rows: int, num_columns: int) -> None:
    """Check that a table can be held: a small file may say that it is a large one.

    Args:
        what: What the table is, for the error.
        num_rows: Its rows.
        num_columns: Its columns.

    Raises:
        DataError: If it has more than 1,000,000,000 cells.
    """
    if num_rows * num_columns > MOST_CELLS:
        raise DataError(
            f"{what} would be {num_rows:,} × {num_columns:,} cells, more than {MOST_CELLS:,}",
            "give fewer rows or columns",
        )


def check_columns(spec: TableSpec) -> None:
    """Check that a bundle can hold what is known of a table's columns.

    Args:
        spec: The columns.

    Raises:
        DataError: If more than 10,000 can be used, or are not used; if the name of one that can is
            empty or has more than 512 letters; or if all names and words take more than 3.5 MB.
    """
    for columns, what in ((spec.columns, "can be used"), (spec.ignored, "are not used")):
        if len(columns) > MOST_COLUMNS:
            raise DataError(
                f"{len(columns):,} columns {what}, more than {MOST_COLUMNS:,}",
                "keep those that may tell something of the label, and leave others out",
            )
    for column in spec.columns:
        if not 1 <= len(column.name) <= LONGEST_NAME:
            shown, letters = column.name[:NAMED_LETTERS], f"{len(column.name):,} letters"
            raise DataError(
                f"the name of column {shown!r} has {letters}, not 1 to {LONGEST_NAME}", "rename it"
            )
    _check_size(spec)


def _check_size(spec: TableSpec) -> None:
    written = msgspec.json.format(msgspec.json.encode(spec), indent=1)
    num_bytes = len(written) + written.count(b"\n")  # a bundle indents it by one more
    if num_bytes > MOST_SPEC_BYTES:
        raise DataError(
            f"the names and words of {len(spec.columns):,} columns take {size(num_bytes)}, more "
            f"than {size(MOST_SPEC_BYTES)}",
            "leave out columns of many different words",
        )
