import msgspec
import pytest

from diptych.core.errors import DataError
from diptych.core.specs import NumberColumn, TableSpec
from diptych.data.limits import MOST_CELLS, MOST_COLUMNS, check_cells


def test_a_table_of_too_many_cells_is_refused_with_its_size() -> None:
    check_cells("a table", MOST_CELLS // 10, 10)
    with pytest.raises(DataError, match="a table would be 100,000,001 × 10 cells") as caught:
        check_cells("a table", MOST_CELLS // 10 + 1, 10)
    assert caught.value.hint


@pytest.mark.parametrize("more", [0, 1])
def test_the_limit_of_columns_is_that_of_a_spec(more: int) -> None:
    columns = tuple(NumberColumn(name=f"{place}") for place in range(MOST_COLUMNS + more))
    content = msgspec.json.encode(TableSpec(columns=columns))
    if more:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(content, type=TableSpec)
    else:
        assert msgspec.json.decode(content, type=TableSpec).columns == columns
