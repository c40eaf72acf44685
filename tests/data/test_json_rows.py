import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.data.json_rows import read_json_rows

ROWS = [{"a": 1, "b": "x"}, {"b": None, "c": 2.5}]


def write(folder: Path, content: str | bytes) -> Path:
    file = folder / "a.jsonl"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(map(json.dumps, ROWS)),
        "\ufeff" + "\r\n\n".join(map(json.dumps, ROWS)),
        json.dumps(ROWS),
    ],
)
def test_lines_and_lists_of_objects_are_rows(tmp_path: Path, content: str) -> None:
    assert read_json_rows(write(tmp_path, content)).to_pylist() == [
        {"a": 1, "b": "x", "c": None},
        {"a": None, "b": None, "c": 2.5},
    ]


def test_cells_of_several_types_become_words(tmp_path: Path) -> None:
    cells = [1, "x", True, None, 2.0]
    table = read_json_rows(write(tmp_path, "\n".join(json.dumps({"a": cell}) for cell in cells)))
    assert table.column("a").to_pylist() == ["1", "x", "true", None, "2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"a": 1}\n{"a": 2', "line 2 of .*a.jsonl"),
        ('{"a": 1}\n[1]', "line 2 of .*a.jsonl"),
        ('{"a": NaN}', "line 1 of"),
        ("[1]", "a.jsonl"),
        ('{"a": {"b": 1}}\n{"a": 1}', "column 'a' of .*: dict is not a word"),
        (b'{"a": "\xff"}', "line 1 of"),
    ],
)
def test_other_content_is_one_clear_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_json_rows(write(tmp_path, content))
    assert caught.value.hint


def test_rows_of_ever_other_names_are_refused_before_columns_are_made(tmp_path: Path) -> None:
    row = json.dumps({f"user{number}": 1 for number in range(10_001)})
    with pytest.raises(DataError, match="has more than 10,000 columns, such as 'user1"):
        read_json_rows(write(tmp_path, row))


def test_many_rows_of_which_one_is_wide_are_refused(tmp_path: Path) -> None:
    row = json.dumps({f"user{number}": 1 for number in range(10_000)})
    with pytest.raises(DataError, match="would be 100,001 × 10,000 cells"):
        read_json_rows(write(tmp_path, row + "\n{}" * 100_000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.text()), min_size=1
    )
)
def test_every_cell_comes_back(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    table = read_json_rows(write(tmp_path, "\n".join(map(json.dumps, rows))))
    assert set(table.column_names) == {name for row in rows for name in row}
    if table.num_columns:
        assert table.num_rows == len(rows)
