import msgspec
import pytest

from diptych.core.errors import DataError
from diptych.core.specs import CategoryColumn, NumberColumn, TableSpec
from diptych.data.limits import (
    LONGEST_NAME,
    MOST_CELLS,
    MOST_COLUMNS,
    MOST_SPEC_BYTES,
    check_cells,
    check_columns,
)
from diptych.inference.manifest import MAX_BYTES

ONE = (NumberColumn(name="n"),)


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


def numbered(count: int) -> tuple[NumberColumn, ...]:
    return tuple(NumberColumn(name=f"{place}") for place in range(count))


def of_words(columns: int) -> TableSpec:
    words = tuple(f"a word, number {place:,}" for place in range(4_096))
    return TableSpec(
        columns=tuple(CategoryColumn(name=f"{place}", values=words) for place in range(columns))
    )


@pytest.mark.parametrize(
    "spec",
    [
        TableSpec(columns=numbered(MOST_COLUMNS), ignored=("x",) * MOST_COLUMNS),
        TableSpec(columns=(NumberColumn(name="é" * LONGEST_NAME),)),
        of_words(25),
    ],
    ids=["columns", "name", "words"],
)
def test_what_a_bundle_holds_passes(spec: TableSpec) -> None:
    check_columns(spec)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TableSpec) == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (TableSpec(columns=numbered(12_345)), "12,345 columns can be used, more than 10,000"),
        (
            TableSpec(columns=ONE, ignored=("x",) * (MOST_COLUMNS + 1)),
            "10,001 columns are not used, more than 10,000",
        ),
        (TableSpec(columns=(NumberColumn(name=""),)), "column '' has 0 letters, not 1 to 512"),
        (
            TableSpec(columns=(*ONE, NumberColumn(name="x" * (LONGEST_NAME + 1)))),
            f"the name of column '{'x' * 40}' has 513 letters",
        ),
        (of_words(50), r"the names and words of 50 columns take [0-9.]+ MB, more than 3\.5 MB"),
    ],
    ids=["used", "ignored", "no name", "long name", "words"],
)
def test_more_columns_than_a_bundle_holds_are_refused_with_their_number(
    spec: TableSpec, said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        check_columns(spec)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_the_size_of_columns_is_what_a_bundle_writes_and_leaves_room_for_the_rest() -> None:
    spec = of_words(50)
    plain = msgspec.json.format(msgspec.json.encode({"input": spec}), indent=1)
    with pytest.raises(DataError, match=f"take {len(plain) / 1e6:.3g} MB"):
        check_columns(spec)
    assert MOST_SPEC_BYTES < 0.9 * MAX_BYTES
