from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.progress import Step, silent
from diptych.core.specs import AudioSpec, ImageSpec
from diptych.data.pictures import Survey, choose_spec, decode, learn, survey
from diptych.data.raw import RawSplit
from diptych.data.reading import Options
from diptych.tasks.image import decode as decode_one
from diptych.tasks.image import prepare

SMALL = ImageSpec(height=4, width=4, channels=3)


def split_of(pictures: list[bytes] | np.ndarray, batch: int = 3) -> RawSplit:
    items = [f"p{number}" for number in range(len(pictures))]
    starts = range(0, len(pictures), batch)
    content = (
        pictures
        if isinstance(pictures, np.ndarray)
        else lambda: iter([pictures[start : start + batch] for start in starts])
    )
    return RawSplit(items=items, labels=[0] * len(items), contents=content)


def spec_of(*sizes: tuple[int, int], image_size: int | None = None) -> tuple[int, int]:
    spec = choose_spec(Survey(sizes=Counter(sizes), channels=3), image_size)
    return spec.height, spec.width


def test_a_survey_counts_sizes_and_is_grey_only_if_all_are(picture: Callable[..., bytes]) -> None:
    greys = [picture(0, 4, 6, grey=True), picture(1, 4, 6, grey=True), picture(2, 5, 6, grey=True)]
    found = survey({"train": split_of(greys)}, silent)
    assert found == Survey(sizes=Counter({(4, 6): 2, (5, 6): 1}), channels=1)
    splits = {"train": split_of(greys), "test": split_of([picture(3, 4, 6)])}
    assert survey(splits, silent) == Survey(sizes=Counter({(4, 6): 3, (5, 6): 1}), channels=3)


def test_a_survey_passes_over_what_has_no_header() -> None:
    assert not survey({"train": split_of([b"", b"text"])}, silent).sizes


def test_one_size_for_all_is_kept_up_to_256() -> None:
    assert spec_of((28, 20), (28, 20)) == (28, 20)
    assert spec_of((256, 256)) == (256, 256)
    assert spec_of((257, 300)) == (128, 128)


def test_different_sizes_become_a_square_of_the_median_short_side() -> None:
    assert spec_of((50, 90), (60, 70), (99, 61)) == (64, 64)
    assert spec_of((10, 12), (8, 9)) == (32, 32)
    assert spec_of((480, 640), (600, 800)) == (128, 128)


def test_a_size_asked_for_wins() -> None:
    assert spec_of((28, 28), image_size=17) == (17, 17)


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=2, unique=True))
def test_an_inferred_square_is_a_multiple_of_eight_from_32_to_128(
    sizes: list[tuple[int, int]],
) -> None:
    height, width = spec_of(*sizes)
    assert height == width
    assert height in range(32, 129, 8)


def test_decoding_many_in_threads_is_decoding_each(picture: Callable[..., bytes]) -> None:
    pictures = [picture(seed, 5 + seed % 3, 7) for seed in range(100)]
    inputs, rows, skipped = decode("train", split_of(pictures, batch=70), SMALL, {}, silent)
    expected = np.stack([decode_one(content, SMALL) for content in pictures])
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(rows, np.arange(100))
    assert skipped == []


def test_what_cannot_be_read_is_left_out_and_named(picture: Callable[..., bytes]) -> None:
    pictures = [b"text", picture(1), picture(2)[:60], picture(3)]
    inputs, rows, skipped = decode("train", split_of(pictures), SMALL, {}, silent)
    assert rows.tolist() == [1, 3]
    np.testing.assert_array_equal(inputs[1], decode_one(pictures[3], SMALL))
    assert [each.item for each in skipped] == ["p0", "p2"]
    assert skipped[0].reason.startswith("is not a JPEG")


def test_files_are_named_as_their_items(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_text("text")
    split = RawSplit(items=["cat/x.png"], labels=[0], contents=lambda: iter([[file]]))
    assert decode("train", split, SMALL, {}, silent)[2][0].reason.startswith("is not")


def test_an_array_of_the_right_size_is_not_copied() -> None:
    pictures = np.zeros((5, 4, 4), np.uint8)
    inputs, _, _ = decode(
        "train", split_of(pictures), ImageSpec(height=4, width=4, channels=1), {}, silent
    )
    assert np.shares_memory(inputs, pictures)
    assert inputs.shape == (5, 4, 4, 1)


@pytest.mark.parametrize("spec", [ImageSpec(height=8, width=2, channels=1), SMALL])
def test_an_array_of_another_size_is_resized(spec: ImageSpec) -> None:
    pictures = np.full((5, 4, 4), 7, np.uint8)
    inputs, rows, _ = decode("train", split_of(pictures), spec, {}, silent)
    assert inputs.shape == (5, spec.height, spec.width, spec.channels)
    assert (inputs == 7).all()
    assert len(rows) == 5


def test_an_array_of_other_sides_and_as_many_pixels_is_resized_not_refilled() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 16, 4), dtype=np.uint8)
    spec = ImageSpec(height=8, width=8, channels=1)
    inputs, _, _ = decode("train", split_of(pictures), spec, {}, silent)
    np.testing.assert_array_equal(inputs, np.stack([prepare(each, spec) for each in pictures]))


def test_progress_grows_to_the_whole(picture: Callable[..., bytes]) -> None:
    steps: list[Step] = []
    decode("test", split_of([picture(seed) for seed in range(7)]), SMALL, {}, steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("decode test", 3, 7),
        ("decode test", 6, 7),
        ("decode test", 7, 7),
    ]


def test_what_is_learned_is_the_shape_for_all_splits_and_lines_about_the_sizes(
    picture: Callable[..., bytes],
) -> None:
    splits = {
        "train": split_of([picture(n, 40, 30, grey=True) for n in range(3)]),
        "test": split_of([picture(9, 50, 70)]),
    }
    learned = learn(splits, Options(), silent)
    assert learned.spec == ImageSpec(height=32, width=32, channels=3)
    assert learned.facts == ("3 of 40 x 30", "1 of 50 x 70")
    assert (learned.assets, learned.warnings) == ({}, ())
    asked = learn(splits, Options(image_size=20), silent)
    assert asked.spec == ImageSpec(height=20, width=20, channels=3)


def test_many_sizes_are_told_by_the_ten_most_frequent() -> None:
    sizes = Counter({(n, 5): 10 + n for n in range(10, 25)})
    facts = Survey(sizes=sizes, channels=1).facts()
    assert facts[0] == "34 of 24 x 5"
    assert facts[9:] == ("25 of 15 x 5", "and 5 other sizes")
    assert Survey(sizes=Counter({(2, 3): 1234}), channels=1).facts() == ("1,234 of 2 x 3",)


def test_pictures_for_a_model_of_something_else_are_refused(
    picture: Callable[..., bytes],
) -> None:
    sound = AudioSpec(sample_rate=8000, samples=8000)
    with pytest.raises(DataError, match="p0 is a picture"):
        decode("train", split_of([picture(0)]), sound, {}, silent)
