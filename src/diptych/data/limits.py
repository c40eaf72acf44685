"""Limits: how large a table may be, told before memory is asked for it."""

from diptych.core.errors import DataError

MOST_COLUMNS = 10_000
"""As many as a `TableSpec` holds."""
MOST_LABELS = 10_000
MOST_CELLS = 1_000_000_000


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
