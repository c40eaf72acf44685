import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from diptych.core.errors import DataError
from diptych.data.parquet import class_names, holds_rows, parquet_files, read_parquet, split_of
from diptych.data.raw import RawSplit

PICTURES = [b"one", b"two", b"three"]
STRUCTS = [{"bytes": content, "path": None} for content in PICTURES]
LABELS = ["cat", "dog", "cat"]


def write(file: Path, columns: dict[str, object], names: list[str] | None = None) -> Path:
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        metadata = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": metadata})
    file.parent.mkdir(exist_ok=True)
    parquet.write_table(table, file)
    return file


def content(split: RawSplit) -> list[object]:
    return [picture for batch in split.batches() for picture in batch]


@pytest.mark.parametrize("image", ["image", "img"])
@pytest.mark.parametrize("label", ["label", "labels", "target"])
@pytest.mark.parametrize("pictures", [STRUCTS, PICTURES])
def test_a_file_is_the_training_split(
    tmp_path: Path, image: str, label: str, pictures: object
) -> None:
    raw = read_parquet(write(tmp_path / "a.parquet", {image: pictures, label: LABELS}))
    assert set(raw.splits) == {"train"}
    assert content(raw.splits["train"]) == PICTURES
    assert list(raw.splits["train"].labels) == LABELS
    assert raw.splits["train"].items[2] == "a.parquet#2"


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_folder_is_read_split_by_split_and_shard_by_shard(tmp_path: Path, inside: str) -> None:
    for name, rows in (("train-00001-of-2", 1), ("train-00000-of-2", 3), ("test", 2), ("val-0", 1)):
        columns = {"image": STRUCTS[:rows], "label": LABELS[:rows]}
        write(tmp_path / inside / f"{name}.parquet", columns)
    raw = read_parquet(tmp_path)
    counts = {name: len(split.items) for name, split in raw.splits.items()}
    assert counts == {"train": 4, "test": 2, "validation": 1}
    assert content(raw.splits["train"]) == [*PICTURES, b"one"]


def test_large_pictures_come_a_few_at_a_time(tmp_path: Path) -> None:
    pictures = [bytes([number]) + random.Random(number).randbytes(1 << 20) for number in range(30)]
    columns = {"image": pictures, "label": LABELS * 10}
    split = read_parquet(write(tmp_path / "a.parquet", columns)).splits["train"]
    sizes = [sum(map(len, batch)) for batch in split.batches()]
    assert content(split) == pictures
    assert max(sizes) <= 9 << 20


def test_files_that_name_no_split_are_training_data_together(tmp_path: Path) -> None:
    for name in ("part-0", "part-1"):
        write(tmp_path / f"{name}.parquet", {"image": STRUCTS, "label": LABELS})
    assert len(read_parquet(tmp_path).splits["train"].items) == 6


def test_a_file_that_names_no_split_beside_others_is_told(tmp_path: Path) -> None:
    for name in ("train", "extra"):
        write(tmp_path / f"{name}.parquet", {"image": STRUCTS, "label": LABELS})
    assert read_parquet(tmp_path).warnings == (
        "extra.parquet belongs to no split and was passed over",
    )


def test_the_training_split_is_needed(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", {"image": STRUCTS, "label": LABELS})
    with pytest.raises(DataError, match=r"no train-\*\.parquet"):
        read_parquet(tmp_path)


def test_class_names_come_from_the_schema(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"image": STRUCTS, "label": [0, 1, 0]}, ["cat", "dog"])
    raw = read_parquet(file)
    assert raw.classes == ("cat", "dog")
    assert list(raw.splits["train"].labels) == [0, 1, 0]


OTHER_JSON = st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner))


@settings(deadline=None, max_examples=30)
@given(st.binary() | OTHER_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_other_metadata_gives_no_names(value: bytes) -> None:
    assert class_names({b"huggingface": value}, "label") is None


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"info": "\xff"}'], ids=["deep", "not UTF-8"])
def test_metadata_that_cannot_be_read_gives_no_names(value: bytes) -> None:
    assert class_names({b"huggingface": value}, "label") is None


def test_labels_as_a_dictionary_are_their_words(tmp_path: Path) -> None:
    labels = pa.array(LABELS).dictionary_encode()
    raw = read_parquet(write(tmp_path / "a.parquet", {"image": STRUCTS, "label": labels}))
    assert list(raw.splits["train"].labels) == LABELS


def test_the_label_can_be_chosen(tmp_path: Path) -> None:
    columns = {"image": STRUCTS, "label": LABELS, "coarse": ["x", "y", "x"]}
    file = write(tmp_path / "a.parquet", columns)
    assert list(read_parquet(file, "coarse").splits["train"].labels) == ["x", "y", "x"]
    with pytest.raises(DataError, match="no column 'corse'") as caught:
        read_parquet(file, "corse")
    assert caught.value.hint == "did you mean 'coarse'?"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": STRUCTS, "label": LABELS}, "no column 'image' or 'img'"),
        ({"image": STRUCTS, "word": LABELS}, "no column 'label' or 'labels' or 'target'"),
        ({"image": LABELS, "label": LABELS}, "column 'image' .* is string, not pictures"),
        ({"image": [{"path": "x"}], "label": ["a"]}, "is struct<path: string>, not pictures"),
    ],
)
def test_columns_that_cannot_be_used_are_named(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_parquet(write(tmp_path / "a.parquet", columns))


def test_a_shard_without_the_column_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", {"image": STRUCTS, "label": LABELS})
    write(tmp_path / "train-1.parquet", {"image": STRUCTS, "klass": LABELS})
    with pytest.raises(DataError, match=r"train-1\.parquet has no column 'label'"):
        read_parquet(tmp_path)


def test_a_picture_that_is_null_has_no_content(tmp_path: Path) -> None:
    pictures = [None, {"bytes": None, "path": "/etc/passwd"}, STRUCTS[0]]
    raw = read_parquet(write(tmp_path / "a.parquet", {"image": pictures, "label": LABELS}))
    assert content(raw.splits["train"]) == [b"", b"", b"one"]


@pytest.mark.parametrize("kept", [slice(-30), slice(0), slice(30, None), slice(0, None, 2)])
def test_a_damaged_file_is_named(tmp_path: Path, kept: slice) -> None:
    file = write(tmp_path / "a.parquet", {"image": STRUCTS, "label": LABELS})
    file.write_bytes(file.read_bytes()[kept])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        content(read_parquet(file).splits["train"])


def test_a_file_that_says_it_is_huge_is_refused_before_it_is_read(tmp_path: Path) -> None:
    rows = 1_000_000
    columns = {"image": pa.nulls(rows, pa.binary()), "label": np.zeros(rows, np.int8)}
    file = write(tmp_path / "a.parquet", columns)
    metadata = parquet.read_metadata(file)
    for _ in range(10):
        metadata.append_row_groups(metadata)
    metadata.write_metadata_file(file)
    with pytest.raises(DataError, match=r"a\.parquet would be 1,024,000,000 × 2 cells"):
        read_parquet(file)


def test_columns_of_one_name_are_told(tmp_path: Path) -> None:
    columns = [pa.array(PICTURES), pa.array(LABELS), pa.array(LABELS)]
    parquet.write_table(
        pa.table(columns, names=["image", "label", "label"]), tmp_path / "a.parquet"
    )
    with pytest.raises(DataError, match=r"a\.parquet has 2 columns 'label'"):
        read_parquet(tmp_path / "a.parquet")


def test_labels_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    columns = {"image": PICTURES, "label": ["right", "wrong", "right"]}
    parquet.write_table(pa.table(columns), file, compression="none")
    file.write_bytes(file.read_bytes().replace(b"wrong", b"wr\xffng"))
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet: 'utf-8'"):
        read_parquet(file)


def test_labels_that_python_cannot_hold_are_told(tmp_path: Path) -> None:
    days = pa.array([0, 1, 2_932_897], pa.int32()).cast(pa.date32())
    file = write(tmp_path / "a.parquet", {"image": PICTURES, "label": days})
    with pytest.raises(DataError, match="cannot be read as Parquet: date value out of range"):
        read_parquet(file)


def test_files_in_the_folder_come_before_those_in_data(tmp_path: Path) -> None:
    outer = write(tmp_path / "a.parquet", {"x": [1]})
    write(tmp_path / "data" / "b.parquet", {"x": [1]})
    assert parquet_files(tmp_path) == [outer]


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ({"a": [1], "label": ["x"]}, True),
        ({"image": STRUCTS}, False),
        ({"img": LABELS}, False),
        ({"sound": STRUCTS}, False),
        ({"content": PICTURES}, False),
    ],
)
def test_a_file_without_content_of_files_holds_rows(
    tmp_path: Path, columns: dict[str, object], rows: bool
) -> None:
    assert holds_rows(write(tmp_path / "a.parquet", columns)) is rows


def test_a_damaged_file_holds_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert not holds_rows(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("Val-0.tsv", "validation"),
        ("t10k.csv", "test"),
        ("trained.csv", ""),
    ],
)
def test_a_split_is_known_by_the_first_word_of_a_name(name: str, split: str) -> None:
    assert split_of(Path(name)) == split


@pytest.mark.data
def test_cifar10_has_its_official_splits(shared_data: Path) -> None:
    raw = read_parquet(shared_data / "cifar10")
    counts = {name: len(split.labels) for name, split in raw.splits.items()}
    assert counts == {"train": 50_000, "test": 10_000}
    assert next(raw.splits["test"].batches())[0][:4] == b"RIFF"
