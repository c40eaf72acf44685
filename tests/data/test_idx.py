import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.data.idx import IMAGES_MAGIC, LABELS_MAGIC, idx_files, read_idx, read_idx_file

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0, 2], np.uint8)


def idx(array: np.ndarray, magic: int) -> bytes:
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def write(folder: Path, name: str = "{}-{}-idx{}-ubyte", split: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    for kind, content in (
        (("images", 3), idx(PICTURES, IMAGES_MAGIC)),
        (("labels", 1), idx(LABELS, LABELS_MAGIC)),
    ):
        file = folder / name.format(split, *kind)
        file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "{}-{}-idx{}-ubyte",
        "{}-{}-idx{}-ubyte.gz",
        "{}-{}.idx{}-ubyte",
        "emnist-{}-{}-idx{}-ubyte.gz",
    ],
)
def test_files_under_their_usual_names_are_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    write(tmp_path, name, "t10k")
    raw = read_idx(tmp_path)
    assert set(raw.splits) == {"train", "test"}
    for split in raw.splits.values():
        np.testing.assert_array_equal(split.contents, PICTURES)
        assert list(split.labels) == LABELS.tolist()
        assert len(set(split.items)) == 5


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("")
    (tmp_path / "extra-images-idx3-ubyte").write_text("")
    assert idx_files(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "split"), [("{}-{}-idx{}-ubyte", "test"), ("emnist-{}-{}-idx{}-ubyte.gz", "t10k")]
)
def test_two_sets_in_one_folder_are_refused(tmp_path: Path, name: str, split: str) -> None:
    write(write(tmp_path), split="t10k")
    write(tmp_path, name, split)
    with pytest.raises(DataError, match="two idx files of test images"):
        read_idx(tmp_path)


def test_a_file_beside_its_gzipped_form_is_read_once(tmp_path: Path) -> None:
    write(write(tmp_path), "{}-{}-idx{}-ubyte.gz")
    raw = read_idx(tmp_path)
    assert raw.splits["train"].items[0] == "train-images-idx3-ubyte#0"


def test_a_file_without_its_partner_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="the train split has no labels idx file"):
        read_idx(tmp_path)


def test_the_training_split_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no train-images"):
        read_idx(write(tmp_path, split="t10k"))


def test_files_of_different_counts_do_not_belong_together(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:4], LABELS_MAGIC))
    with pytest.raises(DataError, match="5 images but train-labels-idx1-ubyte 4 labels"):
        read_idx(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", idx(LABELS, LABELS_MAGIC)])
def test_another_magic_is_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"begins with {content[:4].hex()}, not .* 00000803"):
        read_idx_file(file, IMAGES_MAGIC)


@pytest.mark.parametrize(("change", "found"), [(-1, "75"), (1, "more")])
def test_a_length_that_lies_is_shown(tmp_path: Path, change: int, found: str) -> None:
    content = (idx(PICTURES, IMAGES_MAGIC) + b"x")[: 76 + change]
    for file in (tmp_path / "x", tmp_path / "x.gz"):
        file.write_bytes(gzip.compress(content) if file.suffix else content)
        with pytest.raises(DataError, match=f"says it holds 76 bytes .* but has {found}"):
            read_idx_file(file, IMAGES_MAGIC)


@pytest.mark.parametrize("count", [2**32 - 1, 0])
def test_an_absurd_shape_is_refused_before_memory_is_asked_for(tmp_path: Path, count: int) -> None:
    file = tmp_path / "x"
    file.write_bytes(struct.pack(">IIII", IMAGES_MAGIC, count, *[2**32 - 1] * 2))
    with pytest.raises(DataError, match="says its shape is"):
        read_idx_file(file, IMAGES_MAGIC)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_damaged_gzip_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = gzip.compress(idx(PICTURES, IMAGES_MAGIC), mtime=0)
    cut = data.draw(st.integers(0, len(content) - 9))
    file = tmp_path_factory.mktemp("idx") / "x.gz"
    file.write_bytes(content[:cut])
    with pytest.raises(DataError):
        read_idx_file(file, IMAGES_MAGIC)


@pytest.mark.data
def test_fashion_mnist_has_its_official_splits(shared_data: Path) -> None:
    raw = read_idx(shared_data / "fashion-mnist")
    shapes = {name: split.contents.shape for name, split in raw.splits.items()}
    assert shapes == {"train": (60_000, 28, 28), "test": (10_000, 28, 28)}
    assert np.bincount(raw.splits["train"].labels).tolist() == [6_000] * 10
