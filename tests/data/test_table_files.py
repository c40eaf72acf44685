from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from diptych.core.errors import DataError
from diptych.data.notation import notations_in
from diptych.data.table_files import load_table, read_splits, table_files

ROWS = "a,label\n1,x\n2,y\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


def last(file: Path, columns: list[str]) -> str:
    return columns[-1]


def counts(path: Path) -> dict[str, int]:
    return {name: split.table.num_rows for name, split in read_splits(path, last)[0].items()}


def test_a_file_is_the_training_split_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"test.csv": ROWS})
    splits, warnings = read_splits(tmp_path / "test.csv", last)
    assert splits["train"].items == ("test.csv#0", "test.csv#1")
    assert (set(splits), warnings) == ({"train"}, [])


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": ROWS, "val.tsv": ROWS.replace(",", "\t"), "Test_1.csv": ROWS})
    assert counts(tmp_path) == {"train": 2, "validation": 2, "test": 2}


def test_files_that_name_no_split_are_training_data_together(tmp_path: Path) -> None:
    write(tmp_path, {"one.csv": ROWS, "two.jsonl": '{"label": "x", "a": "3"}'})
    assert counts(tmp_path) == {"train": 3}


def test_a_file_of_no_split_beside_others_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": ROWS, "sample.csv": ROWS})
    warnings = read_splits(tmp_path, last)[1]
    assert warnings == ["sample.csv belongs to no split and was passed over"]


def test_a_test_split_without_labels_is_passed_over_and_told(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": ROWS, "test.csv": "a\n1\n2\n"})
    splits, warnings = read_splits(tmp_path, last)
    assert set(splits) == {"train"}
    assert warnings == ["test.csv has no labels and was passed over"]


def test_columns_may_be_in_another_order(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": ROWS, "test.csv": "label,a\nz,9\n"})
    table = read_splits(tmp_path, last)[0]["test"].table
    assert table.to_pylist() == [{"a": "9", "label": "z"}]


def test_tables_of_different_columns_are_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path, {"movies.csv": "id,title\n1,x\n", "ratings.csv": "id,stars\n1,5\n"})
    with pytest.raises(DataError) as caught:
        read_splits(tmp_path, last)
    assert caught.value.message == (
        "tables differ: beside movies.csv, ratings.csv lacks 'title' and has 'stars' more"
    )
    assert str(tmp_path / "movies.csv") in caught.value.hint


def test_the_training_split_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no train\.csv"):
        read_splits(write(tmp_path, {"test.csv": ROWS}), last)


def test_dictionaries_of_parquet_are_plain_cells(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert load_table(tmp_path / "a.parquet")[0].schema.field("a").type == pa.string()


def test_metadata_of_parquet_is_kept(tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"huggingface": "{}"})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert load_table(tmp_path / "a.parquet")[0].schema.metadata == {b"huggingface": b"{}"}


def test_a_file_that_says_it_is_huge_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": np.zeros(1_000_000, np.int8)}), file)
    metadata = parquet.read_metadata(file)
    for _ in range(10):
        metadata.append_row_groups(metadata)
    metadata.write_metadata_file(file)
    with pytest.raises(DataError, match=r"a\.parquet would be 1,024,000,000 × 1 cells"):
        load_table(file)


def test_columns_of_one_name_are_told(tmp_path: Path) -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet has 2 columns 'a'"):
        load_table(tmp_path / "a.parquet")


@pytest.mark.parametrize("cells", [["right", "wrong"], [["right"], ["wrong"]]])
def test_strings_of_parquet_that_are_not_utf_8_are_told(
    tmp_path: Path, cells: list[object]
) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"n": [1, 2], "a": cells}), file, compression="none")
    file.write_bytes(file.read_bytes().replace(b"wrong", b"wr\xffng"))
    with pytest.raises(DataError, match=r"column 'a' of .* cannot be read: .*UTF") as caught:
        load_table(file)
    assert caught.value.hint == "write strings as UTF-8"


def test_types_of_files_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1], "label": ["x"]}), tmp_path / "train-0.parquet")
    parquet.write_table(pa.table({"a": [[1]], "label": ["x"]}), tmp_path / "train-1.parquet")
    with pytest.raises(DataError, match="files differ"):
        read_splits(tmp_path, last)


def test_parquet_goes_before_other_files_and_the_folder_before_data(tmp_path: Path) -> None:
    write(tmp_path, {"data/a.csv": ROWS})
    assert [file.name for file in table_files(tmp_path)] == ["a.csv"]
    write(tmp_path, {"b.csv": ROWS, "notes.md": ""})
    assert [file.name for file in table_files(tmp_path)] == ["b.csv"]
    write(tmp_path, {"c.parquet": ""})
    assert [file.name for file in table_files(tmp_path)] == ["c.parquet"]


def test_parquet_in_data_goes_before_notes_in_json_beside_it(tmp_path: Path) -> None:
    write(tmp_path, {"data/train-0.parquet": "", "dataset_infos.json": "{}"})
    assert table_files(tmp_path) == [tmp_path / "data" / "train-0.parquet"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.xlsx is not a table that can be read"):
        load_table(tmp_path / "a.xlsx")


def test_numbers_are_read_as_all_training_files_write_them(tmp_path: Path) -> None:
    parts = {"train-1.csv": "a;label\n1.234;x\n", "train-2.csv": "a;label\n1.234,5;y\n"}
    write(tmp_path, parts | {"test.csv": "a;label\n2.500;x\n"})
    splits, warnings = read_splits(tmp_path, last)
    assert splits["train"].table.column("a").to_pylist() == ["1234", "1234.5"]
    assert splits["test"].table.column("a").to_pylist() == ["2500"]
    assert warnings == [
        "column 'a' of train-1.csv: '1.234' is read as 1234",
        "column 'a' of test.csv: '2.500' is read as 2500",
    ]


def test_a_column_of_words_stays_one_where_all_words_of_a_split_could_be_numbers(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"train.csv": "size;label\n38,5;x\nL;y\n", "test.csv": "size;label\n38,5;x\n"})
    splits, warnings = read_splits(tmp_path, last)
    assert splits["test"].table.column("size").to_pylist() == ["38,5"]
    assert warnings == []


def test_files_of_several_separators_have_numbers_in_ways_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, {"one.csv": "a;label\n1.234,5;x\n", "two.tsv": "a\tlabel\n1,234.5\ty\n"})
    table = read_splits(tmp_path, last)[0]["train"].table
    assert table.column("a").to_pylist() == ["1234.5", "1234.5"]


def test_csv_after_json_has_its_numbers_read(tmp_path: Path) -> None:
    write(tmp_path, {"one.jsonl": '{"a": null, "label": "x"}', "two.csv": "a;label\n1,5;y\n"})
    table = read_splits(tmp_path, last)[0]["train"].table
    assert table.column("a").to_pylist() == [None, "1.5"]
    assert notations_in(table)["a"] == "1.234,5"


def test_splits_beside_parquet_are_told(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1, 2], "label": ["x", "y"]}), tmp_path / "train.parquet")
    write(tmp_path, {"test.csv": ROWS, "sample.csv": ROWS})
    splits, warnings = read_splits(tmp_path, last)
    assert set(splits) == {"train"}
    assert warnings == ["test.csv is beside Parquet and was passed over"]
    assert read_splits(tmp_path / "train.parquet", last)[1] == []
