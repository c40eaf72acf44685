from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from diptych.core.errors import DataError
from diptych.data.sources import recognize

Tree = Callable[..., Path]


def test_a_built_in_name_is_known_and_a_path_is_never_one() -> None:
    assert recognize("digits") == ("builtin", Path("digits"))
    with pytest.raises(DataError, match=r"'\./digits' does not exist"):
        recognize("./digits")
    with pytest.raises(DataError, match="'digits' does not exist"):
        recognize(Path("digits"))


def test_an_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(DataError, match="'digit' is neither a built-in") as caught:
        recognize("digit")
    assert caught.value.hint == "did you mean 'digits'?"


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("train-images-idx3-ubyte.gz", "idx"),
        ("train-0.parquet", "parquet"),
        ("data/train-0.parquet", "parquet"),
        ("cat/1.png", "folders"),
    ],
)
def test_a_folder_is_recognized_by_what_lies_in_it(tmp_path: Path, file: str, kind: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"")
    assert recognize(str(tmp_path)) == (kind, tmp_path)


def test_a_parquet_file_is_recognized_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.PARQUET").write_bytes(b"")
    assert recognize(tmp_path / "a.PARQUET")[0] == "parquet"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("")
    with pytest.raises(DataError, match="is empty"):
        recognize(tmp_path)


@pytest.mark.parametrize(("name", "noun"), [("1.jpg", "pictures"), ("1.WAV", "sounds")])
def test_files_without_class_folders_are_refused_with_what_is_expected(
    tmp_path: Path, name: str, noun: str
) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=f"holds 1 {noun} but no class folders") as caught:
        recognize(tmp_path)
    assert caught.value.hint.endswith(f"CLASS/{name}")


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.jsonl", "a.json"])
def test_a_table_is_recognized_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text,label\n")
    assert recognize(tmp_path / name)[0] == recognize(tmp_path)[0] == "table"


def test_parquet_without_pictures_is_a_table(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1], "label": [1]}), tmp_path / "a.parquet")
    assert recognize(tmp_path)[0] == recognize(tmp_path / "a.parquet")[0] == "table"
    parquet.write_table(pa.table({"image": [b""], "label": [1]}), tmp_path / "a.parquet")
    assert recognize(tmp_path)[0] == recognize(tmp_path / "a.parquet")[0] == "parquet"


def test_a_table_beside_class_folders_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("file,label\n")
    assert recognize(tmp_path)[0] == "folders"


@pytest.mark.parametrize("name", ["a.xlsx", "folder/a.txt"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / name).write_text("")
    with pytest.raises(DataError, match="tables and text of other formats"):
        recognize((tmp_path / name) if name == "a.xlsx" else (tmp_path / name).parent)
