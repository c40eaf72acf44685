import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.progress import Step, silent
from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn, TableSpec
from diptych.data.limits import MOST_COLUMNS
from diptych.data.notation import SEPARATOR, plain_tables
from diptych.data.raw import RawSplit
from diptych.data.reading import Learned, Options
from diptych.data.rows import decode, learn
from diptych.tasks.table import preparer

SPEC = TableSpec(
    columns=(
        NumberColumn(name="n"),
        CategoryColumn(name="w", values=("red", "7", "true", "1.5")),
        DateColumn(name="d", format="iso"),
    )
)
WORDS = [
    "",
    " NA ",
    "7",
    "+7.50",
    "1e400",
    "inf",
    "red",
    " red\t",
    "True",
    "\xa07",
    "1_0",
    "None",
    "?",
]
DATES = ["2020-02-30", "2020-02-29", "2020-02-29T12:00:00+01:00"]
CELLS = st.none() | st.sampled_from(WORDS + DATES)
TYPED = st.sampled_from(
    [
        pa.array([1, None, 7], pa.int32()),
        pa.array([1.5, math.nan, math.inf]),
        pa.array([True, False, None]),
        pa.array([date(2020, 1, 2), None, date(1, 1, 1)]),
        pa.array([datetime(2020, 1, 2, tzinfo=UTC), None, None], pa.timestamp("ns", "UTC")),
        pa.array(["7", "red", None], pa.large_string()),
        pa.nulls(3),
    ]
)


def split(table: pa.Table) -> RawSplit:
    items = [f"a.csv#{row}" for row in range(table.num_rows)]
    return RawSplit(items=items, labels=[0, 1] * (table.num_rows // 2), contents=table)


def check_agreement(table: pa.Table) -> None:
    inputs, rows, skipped = decode("train", split(table), SPEC, {}, silent)
    prepare, reasons, expected = preparer(SPEC, {}), {}, {}
    for number, row in enumerate(table.to_pylist()):
        try:
            expected[number] = prepare(row)
        except DataError as error:
            reasons[f"a.csv#{number}"] = error.message
    assert rows.tolist() == list(expected)
    assert {each.item: each.reason for each in skipped} == reasons
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs, np.array(list(expected.values())).reshape(-1, 3))


@settings(max_examples=300)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8))
def test_every_row_of_strings_is_as_it_is_prepared_alone(
    cells: list[tuple[str | None, ...]],
) -> None:
    columns = {
        name: pa.array(column, pa.string())
        for name, column in zip("nwd", zip(*cells, strict=True), strict=True)
    }
    check_agreement(pa.table(columns))


@given(TYPED, TYPED, TYPED)
def test_every_row_of_typed_columns_is_as_it_is_prepared_alone(
    n: pa.Array, w: pa.Array, d: pa.Array
) -> None:
    check_agreement(pa.table({"n": n, "w": w, "d": d}))


def test_a_column_keeps_how_its_file_wrote_numbers() -> None:
    file = pa.table({"n": ["1.234,5", "7"], "m": ["1", "2.5"]})
    tables, _ = plain_tables([file.replace_schema_metadata({SEPARATOR: ";"})], {}, ["a.csv"])
    learned = learn({"train": split(tables[0])}, Options(), silent)
    assert learned.spec == TableSpec(
        columns=(NumberColumn(name="n", notation="1.234,5"), NumberColumn(name="m"))
    )


def test_absent_columns_are_missing_and_unknown_ones_are_named() -> None:
    inputs, _, _ = decode("test", split(pa.table({"n": [1, 2]})), SPEC, {}, silent)
    np.testing.assert_array_equal(inputs, [[1, 0, np.nan], [2, 0, np.nan]])
    with pytest.raises(DataError, match="no column 'm', which the test split has"):
        decode("test", split(pa.table({"m": [1, 2]})), SPEC, {}, silent)


def learned(**columns: object) -> Learned:
    table = pa.table(columns).replace_schema_metadata({"label": "target"})
    return learn({"train": split(table)}, Options(), silent)


def test_columns_are_learned_from_the_training_split_alone() -> None:
    train = pa.table({"n": ["1", "2", "4", ""] * 5, "w": ["a", "b", "a", "c"] * 5})
    test = pa.table({"n": ["x"], "w": ["z"]})
    found = learn({"train": split(train), "test": split(test)}, Options(), silent)
    assert found.spec.columns == (
        NumberColumn(name="n"),
        CategoryColumn(name="w", values=("a", "b", "c")),
    )
    assert found.facts == (
        "n: numbers from 1 to 4; 25.0 % missing or rare",
        "w: 3 words, the most frequent a, b, c",
    )


def test_numbers_and_dates_are_told_as_people_write_them() -> None:
    found = learned(n=[-0.5, 2_500_000, 4, 1], d=["2024-02-28", "1999-12-31", "2024-03-01", ""])
    assert found.facts == (
        "n: numbers from -0.5 to 2,500,000",
        "d: dates (iso) from 1999-12-31 to 2024-03-01; 25.0 % missing or rare",
    )


def test_columns_that_are_not_used_and_the_label_may_be_in_a_row() -> None:
    found = learned(n=[1.5, 2, 4, 1], same=[1, 1, 1, 1])
    assert found.spec.ignored == ("same", "target")
    assert found.warnings == ("column 'same': all cells are 1; it is not used",)
    row = preparer(found.spec, {})({"n": 2, "same": 3, "target": "yes"})
    np.testing.assert_array_equal(row, np.array([2], np.float32))


def test_a_table_of_which_nothing_can_be_used_is_refused() -> None:
    with pytest.raises(DataError, match="no column can be used") as caught:
        learned(same=["a"] * 4)
    assert "all cells are 'a'" in caught.value.hint


def test_more_columns_than_a_bundle_holds_are_refused_before_anything_is_trained() -> None:
    unused = {f"u{place}": pa.nulls(4) for place in range(MOST_COLUMNS)}
    with pytest.raises(DataError, match="10,001 columns are not used, more than 10,000"):
        learned(n=[1.5, 2, 4, 1], **unused)
    with pytest.raises(DataError, match="column '' has 0 letters"):
        learned(**{"": [1.5, 2, 4, 1]})


def test_a_column_that_gives_the_label_away_is_told() -> None:
    rows = 100
    found = learned(n=np.random.default_rng(0).random(rows), leak=["no", "yes"] * (rows // 2))
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("column 'leak' alone tells 100.0 % of the classes")


def test_progress_is_told_column_by_column() -> None:
    steps: list[Step] = []
    learn({"train": split(pa.table({"n": [1, 2], "m": [2, 4]}))}, Options(), steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("look at train", 1, 2),
        ("look at train", 2, 2),
        ("decode train", 1, 2),
        ("decode train", 2, 2),
    ]
