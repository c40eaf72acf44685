import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.inference.inputs import files_in, name_of


def test_inputs_are_named_for_people(tmp_path):
    assert name_of("a/b.png") == "a/b.png"
    assert name_of(tmp_path / "b.png", 3) == str(tmp_path / "b.png")
    assert name_of(b"...") == "bytes"
    assert name_of({"age": 3}, 7) == "row#7"
    assert len(name_of("a long text " * 100)) == 256
    assert name_of("x" * 256) == "x" * 256
    assert name_of("x" * 257) == "x" * 255 + "…"
    assert name_of({"age": 3}) == "row"
    assert name_of(np.zeros(3), 3) == "array#3"


def test_pictures_are_found_sorted_and_without_hidden_ones(tmp_path):
    hidden = (".hidden.png", ".ipynb_checkpoints/d.png", "deep/__MACOSX/e.png")
    for name in ("b.PNG", "a.jpg", "deep/c.webp", "notes.txt", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    found = [
        str(path.relative_to(tmp_path)) for path in files_in(tmp_path, (".png", ".jpg", ".webp"))
    ]
    assert found == ["a.jpg", "b.PNG", "deep/c.webp"]


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.png"):
        list(files_in(tmp_path, (".png", ".jpg", ".webp")))
