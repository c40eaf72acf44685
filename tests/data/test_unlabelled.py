import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import Step, silent
from diptych.core.specs import OwnSpec
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.fingerprint import digests
from diptych.data.reading import Options
from diptych.data.unlabelled import with_unlabelled

POINTS = str.maketrans("_.", ".,")

Tree = Callable[..., Path]
WORDS = ("good", "bad", "fine", "poor", "nice", "dull", "warm", "cold")


@pytest.fixture
def pictures(tree: Tree) -> tuple[Path, Dataset]:
    root = tree({"a": 12, "b": 12})
    return root, read(root, Options(cache=False))


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 5)) + f" {seed} {row}" for row in range(count)]


def test_pictures_however_they_lie_are_prepared_as_the_labelled_ones(
    pictures: tuple[Path, Dataset], tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    _, data = pictures
    folder = tmp_path / "more"
    for number, place in enumerate(("x.png", "deep/er/y.png", "a/z.png", "a/notes.txt")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(picture(1000 + number, 11, 9))
    more = with_unlabelled(data, folder, silent)
    extra = more.unlabelled
    assert extra.items == ("a/z.png", "deep/er/y.png", "x.png")
    assert extra.inputs.shape == (3, *data.train.inputs.shape[1:])
    assert np.array_equal(extra.joined[: len(data.train)], data.train.inputs)
    assert np.array_equal(more.train.inputs, data.train.inputs)
    assert np.shares_memory(more.train.inputs, extra.joined)
    assert more.num_learned == len(data.train) + 3
    for name in ("validation", "test"):
        assert getattr(more, name) is getattr(data, name)
    record = more.record.unlabelled
    assert (record.name, record.count, record.held_out, record.known) == ("more", 3, 0, 0)
    assert more.record.sha256 == data.record.sha256


def test_files_whose_names_are_not_utf_8_are_read_and_spelled(
    pictures: tuple[Path, Dataset], tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    folder = tmp_path / "more\udce9"
    folder.mkdir()
    (folder / "x\udcff.png").write_bytes(picture(1000))
    more = with_unlabelled(pictures[1], folder, silent)
    assert more.unlabelled.items == ("x\\udcff.png",)
    assert more.record.unlabelled.name == "more\\udce9"


def test_items_that_are_held_out_or_known_are_left_out_and_counted(
    pictures: tuple[Path, Dataset], picture: Callable[..., bytes]
) -> None:
    """The labelled pictures lie among the unlabelled ones, as they do in real life."""
    root, data = pictures
    (root / "new.png").write_bytes(picture(5000))
    told: list[Step] = []
    more = with_unlabelled(data, root, told.append)
    assert more.unlabelled.items == ("new.png",)
    record = more.record.unlabelled
    assert record.held_out == len(data.validation) + len(data.test)
    assert record.known == len(data.train)
    assert f"{record.held_out} left out, in the validation or test split" in told[-1].note
    held_out = digests(np.concatenate([data.validation.inputs, data.test.inputs]))
    assert not np.isin(digests(more.unlabelled.inputs), held_out).any()
    (root / "new.png").unlink()
    with pytest.raises(DataError, match="no pictures but those that are labelled already"):
        with_unlabelled(data, root, silent)


def test_the_hash_is_of_what_is_learned(
    pictures: tuple[Path, Dataset], tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    _, data = pictures

    def sha256(*seeds: int) -> str:
        folder = tmp_path / "-".join(map(str, seeds))
        folder.mkdir()
        for place, seed in enumerate(seeds):
            (folder / f"{place}.png").write_bytes(picture(seed))
        return with_unlabelled(data, folder, silent).record.unlabelled.sha256

    assert sha256(900, 901) != sha256(900, 902)
    again = tmp_path / "again"
    (tmp_path / "900-901").rename(again)
    assert with_unlabelled(data, again, silent).record.unlabelled.sha256 == sha256(900, 901)


def test_damaged_pictures_are_refused_or_counted(
    pictures: tuple[Path, Dataset], tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    _, data = pictures
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "good.png").write_bytes(picture(700))
    (tmp_path / "more" / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 of 2 pictures cannot be read \(bad.png"):
        with_unlabelled(data, tmp_path / "more", silent)
    more = with_unlabelled(data, tmp_path / "more", silent, skip_unreadable=True)
    assert more.unlabelled.items == ("good.png",)
    assert more.record.unlabelled.skipped == 1


def test_sounds_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in ("data/x/1", "data/x/2", "data/x/3", "data/y/1", "data/y/2", "data/y/3", "n/m/1"):
        file = tmp_path / f"{place}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(file), "wb") as stream:
            stream.setparams((1, 2, 8000, 0, "NONE", ""))
            stream.writeframes(rng.integers(-9999, 9999, 4000, dtype=np.int16).tobytes())
    data = read(tmp_path / "data", Options(cache=False))
    more = with_unlabelled(data, tmp_path / "n", silent)
    assert more.unlabelled.items == ("m/1.wav",)
    assert more.unlabelled.inputs.dtype == np.int16
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(DataError, match=r"notes\.txt holds no sounds"):
        with_unlabelled(data, tmp_path / "notes.txt", silent)


@pytest.fixture
def texts(tmp_path: Path) -> Dataset:
    lines = [f"{text},{'pn'[row % 2]}" for row, text in enumerate(sentences(60))]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return read(tmp_path / "texts.csv", Options(cache=False))


def test_texts_are_lines_or_a_column(tmp_path: Path, texts: Dataset) -> None:
    new = sentences(5, seed=1)
    (tmp_path / "more.txt").write_text("\n".join([*new[:3], "", *new[3:], *sentences(60)]))
    (tmp_path / "more.csv").write_text("\n".join(["text", *new]))
    (tmp_path / "labelled.csv").write_text("\n".join(["label,text", *(f"p,{t}" for t in new)]))
    from_lines = with_unlabelled(texts, tmp_path / "more.txt", silent)
    assert from_lines.unlabelled.originals == tuple(new)
    assert from_lines.unlabelled.items[3] == "more.txt#5"
    assert from_lines.record.unlabelled.held_out == len(texts.validation) + len(texts.test)
    for name in ("more.csv", "labelled.csv"):
        found = with_unlabelled(texts, tmp_path / name, silent).unlabelled
        assert np.array_equal(found.inputs, from_lines.unlabelled.inputs), name


def test_a_text_file_beside_a_table_is_about_it(tmp_path: Path, texts: Dataset) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "README.txt").write_text("What the table holds.\nWhere it came from.")
    (folder / "more.csv").write_text("\n".join(["text", *sentences(5, seed=1)]))
    found = with_unlabelled(texts, folder, silent).unlabelled
    assert found.originals == tuple(sentences(5, seed=1))


def test_rows_come_without_the_labels_column(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 2)).round(3)
    lines = [f"{a},{b},{'yn'[int(a > 0)]}" for a, b in rows]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,label", *lines[:60]]))
    data = read(tmp_path / "rows.csv", Options(cache=False))
    (tmp_path / "more.csv").write_text(
        "\n".join(["extra,b,a", *(f"x,{b},{a}" for a, b in rows[60:])])
    )
    more = with_unlabelled(data, tmp_path / "more.csv", silent)
    np.testing.assert_allclose(more.unlabelled.inputs, rows[60:], rtol=1e-6)
    (tmp_path / "few.csv").write_text("b,c\n1,2\n3,4\n")
    with pytest.raises(DataError, match=r"few\.csv has no column 'a'"):
        with_unlabelled(data, tmp_path / "few.csv", silent)


def test_numbers_are_read_as_the_labelled_rows_write_them(tmp_path: Path) -> None:
    lines = [f"{n + 0.5:_.2f};{'yn'[n % 2]}".translate(POINTS) for n in range(1000, 7000, 75)]
    (tmp_path / "rows.csv").write_text("\n".join(["a;label", *lines]))
    data = read(tmp_path / "rows.csv", Options(cache=False))
    (tmp_path / "more.csv").write_text("a;b\n1.234;x\n9.876;x\n")
    more = with_unlabelled(data, tmp_path / "more.csv", silent)
    assert more.unlabelled is not None
    assert more.unlabelled.inputs.tolist() == [[1234.0], [9876.0]]


def test_what_cannot_be_read_is_one_clear_line(
    pictures: tuple[Path, Dataset], tmp_path: Path
) -> None:
    _, data = pictures
    with pytest.raises(DataError, match="does not exist"):
        with_unlabelled(data, tmp_path / "nowhere", silent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no pictures"):
        with_unlabelled(data, tmp_path / "empty", silent)


def test_a_task_of_ones_own_has_labels(pictures: tuple[Path, Dataset]) -> None:
    root, data = pictures
    own = replace(data, spec=OwnSpec(task="mine", dtype="float32", shape=(3,)))
    with pytest.raises(ConfigError, match="mine reads labelled items only"):
        with_unlabelled(own, root, silent)
