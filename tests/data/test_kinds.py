from pathlib import Path

import pytest

from diptych.core.errors import DataError
from diptych.data.kinds import fail_unknown


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [
        ("a.xlsx", r"tables and text of other formats \(\.xlsx\)", "CSV"),
        ("a.MP3", "sound of other formats", "ffmpeg"),
        ("a.zip", "archives", "unpack"),
        ("a.tif", "pictures of other formats", "PNG"),
    ],
)
def test_a_kind_that_is_not_read_yet_is_called_by_name(name: str, kind: str, remedy: str) -> None:
    with pytest.raises(DataError, match=f"here: {kind}.* cannot be read yet") as caught:
        fail_unknown(Path("here"), [Path("README"), Path(name)])
    assert remedy in caught.value.hint


def test_anything_else_is_of_no_known_kind() -> None:
    with pytest.raises(DataError, match="here holds no data of a known kind"):
        fail_unknown(Path("here"), [Path("a.xyz")])
