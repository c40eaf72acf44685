import os

import pytest

from diptych.core.errors import DataError
from diptych.data.names import check_distinct, spelled


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"cat", "cat"),
        ("café 猫".encode(), "café 猫"),
        (b"caf\xe9", "caf\\udce9"),
        ("猫".encode() + b"\xff.png", "猫\\udcff.png"),
    ],
)
def test_names_of_any_bytes_can_be_written(name: bytes, written: str) -> None:
    assert spelled(os.fsdecode(name)) == written


def test_columns_of_one_name_are_counted() -> None:
    check_distinct("a table", [])
    check_distinct("a table", ["a", "b"])
    with pytest.raises(DataError, match="a table has 3 columns 'b'") as caught:
        check_distinct("a table", ["a", "a", "b", "b", "b"])
    assert caught.value.hint
