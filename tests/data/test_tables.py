from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from diptych.core.errors import DataError
from diptych.core.specs import CategoryColumn, NumberColumn, TableSpec, TextSpec
from diptych.data.tables import (
    choose_target,
    label_cells,
    name_of_text,
    read_tables,
    text_column,
)

FILE = Path("a.csv")
TEXT = TextSpec(tokens=8, vocabulary=9)
SENTENCES = [f"this is the film number {number}, seen twice" for number in range(20)]


def write(folder: Path, columns: dict[str, list[object]]) -> Path:
    header, *rows = [list(columns), *zip(*columns.values(), strict=True)]
    lines = [";".join(str(cell) for cell in row) for row in [header, *rows]]
    (folder / "a.csv").write_text("\n".join(lines))
    return folder / "a.csv"


@pytest.mark.parametrize("name", ["label", "labels", "target", "class", "y"])
def test_the_label_is_known_by_its_name(name: str) -> None:
    assert choose_target(FILE, ["a", name, "b"], target=None) == name


def test_the_second_of_two_columns_is_the_label_and_of_three_it_must_be_said() -> None:
    assert choose_target(FILE, ["a", "b"], target=None) == "b"
    with pytest.raises(DataError, match=r"none of the 3 columns of a\.csv is called") as caught:
        choose_target(FILE, ["a", "b", "c"], target=None)
    assert caught.value.hint == (
        "say which one is the label, such as --label 'c'; there are a, b, c"
    )


def test_a_label_that_is_absent_comes_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="has no column 'incme'") as caught:
        choose_target(FILE, ["age", "income"], target="incme")
    assert caught.value.hint == "did you mean 'income'?"


def test_one_column_is_too_few() -> None:
    with pytest.raises(DataError, match="has one column only, 'a'"):
        choose_target(FILE, ["a"], target=None)
    with pytest.raises(DataError, match="has no columns"):
        choose_target(FILE, [], target=None)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"any": SENTENCES}, "any"),
        ({"id": list(range(20)), "text": SENTENCES}, "text"),
        ({"id": list(range(20)), "name": SENTENCES}, None),
        ({"stars": [1, 2] * 10, "text": SENTENCES}, None),
        ({"word": ["red", "blue"] * 10}, None),
        ({"code": [f"A{number}" for number in range(20)]}, None),
        ({"text": SENTENCES[:2] * 10}, None),
        ({"n": list(range(20))}, None),
        ({"text": [None] * 20}, None),
        ({"tags": [["a"], ["b"]] * 10, "text": SENTENCES}, None),
        ({"place": [{"x": 1}, {"x": 2}] * 10, "text": SENTENCES}, None),
        ({"nothing": [None] * 20, "text": SENTENCES}, None),
    ],
)
def test_free_text_alone_is_text(columns: dict[str, list[object]], text: str | None) -> None:
    assert text_column(pa.table(columns)) == text


@pytest.mark.parametrize(
    "columns",
    [
        {"text": ["good", "bad"] * 3},
        {"words": ["good", "bad"] * 3},
        {"id": [1, 1, 2, 2, 3, 3], "Sentence": SENTENCES[:6]},
    ],
)
def test_texts_that_are_wanted_are_found_also_where_they_do_not_look_like_texts(
    tmp_path: Path, columns: dict[str, list[object]]
) -> None:
    path = write(tmp_path, columns | {"label": ["p", "q"] * 3})
    assert read_tables(path).kind == "table"
    raw = read_tables(path, spec=TEXT)
    assert (raw.kind, raw.splits["train"].contents) == ("text", [*columns.values()][-1])


def test_texts_that_are_wanted_and_could_be_in_two_columns_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": ["x", "y"], "b": ["p", "q"], "label": [0, 1]})
    with pytest.raises(DataError, match=r"which column is the text .* of a, b\?") as caught:
        read_tables(path, spec=TEXT)
    assert caught.value.hint == "call it text, or leave only it beside the label"


def test_numbers_are_read_as_the_model_has_them_and_its_words_are_left(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": ["1.234"], "size": ["38,5"], "label": ["x"]})
    columns = (
        NumberColumn(name="a", notation="1.234,5"),
        CategoryColumn(name="size", values=("38,5",)),
    )
    contents = read_tables(path, spec=TableSpec(columns=columns)).splits["train"].contents
    assert contents.to_pydict() == {"a": ["1234"], "size": ["38,5"]}


def test_the_labels_numbers_are_read_as_they_were_learned(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": [1, 2], "price": ["1.250.000", "350.000"]})
    learned = read_tables(path, "price")
    assert learned.target_notation == "1.234,5"
    assert learned.splits["train"].labels == [1_250_000, 350_000]
    path = write(tmp_path, {"a": [1], "price": ["350.000"]})
    assert read_tables(path, "price").splits["train"].labels == [350.0]
    raw = read_tables(path, "price", None, learned.target_notation)
    assert raw.splits["train"].labels == [350_000]


@pytest.mark.parametrize(
    ("names", "words", "found"),
    [
        (["id", "Text"], ["id", "Text"], "Text"),
        (["text", "review"], ["review"], "review"),
        (["label", "a"], ["label", "a"], "a"),
        (["a", "b"], ["a", "b"], None),
    ],
)
def test_the_column_of_texts_is_known_by_its_name_or_as_the_only_one(
    names: list[str], words: list[str], found: str | None
) -> None:
    assert name_of_text(names, words) == found


def test_text_is_a_list_of_strings(tmp_path: Path) -> None:
    columns = {"text": SENTENCES, "mood": ["good", "bad"] * 10}
    raw = read_tables(write(tmp_path, columns))
    assert (raw.kind, raw.target, raw.name) == ("text", "mood", "a")
    assert raw.splits["train"].contents == SENTENCES
    assert raw.splits["train"].labels == columns["mood"]


def test_a_table_comes_without_its_label_but_knows_its_name(tmp_path: Path) -> None:
    raw = read_tables(write(tmp_path, {"a": [1, 2], "y": ["p", "q"], "b": [3, 4]}))
    contents = raw.splits["train"].contents
    assert (raw.kind, raw.target) == ("table", "y")
    assert contents.to_pylist() == [{"a": "1", "b": "3"}, {"a": "2", "b": "4"}]
    assert contents.schema.metadata == {b"label": b"y"}


def test_parquet_keeps_its_types_and_class_names_of_datasets(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "label": [0, 1]}).replace_schema_metadata(
        {"huggingface": '{"info": {"features": {"label": {"names": ["no", "yes"]}}}}'}
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    raw = read_tables(tmp_path / "a.parquet")
    assert raw.classes == ("no", "yes")
    assert raw.splits["train"].labels == [0, 1]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1", "2", ""], [1, 2, None]),
        (["1.0", "2"], [1.0, 2.0]),
        (["1.5", "-2e3"], [1.5, -2000.0]),
        (["007", "1"], ["007", "1"]),
        (["0", "10"], [0, 10]),
        (["10000000000000001", " +5"], [10_000_000_000_000_001, 5]),
        ([" a ", "1", "NA"], ["a", "1", None]),
        (["None", "none", "x"], ["None", "none", "x"]),
        (["", ""], [None, None]),
    ],
)
def test_labels_are_numbers_where_all_are(cells: list[str], labels: list[object]) -> None:
    found = label_cells(pa.chunked_array([pa.array(cells)]))
    assert found == labels
    assert [type(one) for one in found] == [type(one) for one in labels]


def test_typed_labels_are_as_they_are() -> None:
    assert label_cells(pa.chunked_array([pa.array([["a"], []])])) == [["a"], []]


def test_a_label_that_python_cannot_hold_is_its_words() -> None:
    days = pa.array([2_932_897, None], pa.int32()).cast(pa.date32())
    assert label_cells(pa.chunked_array([days])) == ["10000-01-01", None]


@pytest.mark.data
def test_adult_is_a_table_and_sst2_is_text(shared_data: Path) -> None:
    adult, sst2 = read_tables(shared_data / "adult", "income"), read_tables(shared_data / "sst2")
    assert (adult.kind, sst2.kind) == ("table", "text")
    assert {name: len(split.labels) for name, split in adult.splits.items()} == {
        "train": 32_561,
        "test": 16_281,
    }
    assert {name: len(split.labels) for name, split in sst2.splits.items()} == {
        "train": 67_349,
        "validation": 872,
        "test": 1_821,
    }


@pytest.mark.data
def test_trec_is_text_and_house_values_are_numbers(shared_data: Path) -> None:
    assert read_tables(shared_data / "trec").kind == "text"
    houses = read_tables(shared_data / "california-housing", "median_house_value")
    assert houses.splits["train"].labels[:2] == [452600.0, 358500.0]


@pytest.mark.data
def test_two_tables_of_different_columns_are_refused(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"beside movies\.csv, ratings\.csv lacks"):
        read_tables(shared_data / "movielens-latest-small")
