"""Oracle: the program itself, asked about pictures and their mirror images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import TargetError
from diptych.inference.runtimes import open_session

pytest.importorskip("ai_edge_litert", reason="the extra edge is not installed")

from diptych.targets.second_look import second_look

Ask = Callable[[bytes, np.ndarray], np.ndarray]
SHAPE, CLASSES = (1, 6, 5, 3), 4
WHOLE = int(np.prod(SHAPE))


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def ask(content: bytes, pictures: np.ndarray) -> np.ndarray:
        (tmp_path / "model.tflite").write_bytes(content)
        session = open_session("litert", [tmp_path / "model.tflite"])
        answers = session.run(pictures)
        session.close()
        return answers

    return ask


@pytest.fixture
def program(linear_tflite: Callable[..., bytes]) -> bytes:
    weights = np.random.default_rng(0).normal(size=(CLASSES, WHOLE)) / 1000
    return linear_tflite(weights, SHAPE)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (200, *SHAPE[1:]), dtype=np.uint8)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 1.0, 99.0])
def test_mirror_images_are_looked_at_where_the_first_answer_is_unsure(
    ask: Ask, program: bytes, pictures: np.ndarray, threshold: float
) -> None:
    first = ask(program, pictures)
    mirrored = ask(program, np.ascontiguousarray(pictures[:, :, ::-1]))
    inorder = np.sort(first)
    unsure = inorder[:, -1] - inorder[:, -2] < threshold
    expected = np.where(unsure[:, None], (first + mirrored) / 2, first)
    assert {0.0: 0, 99.0: len(pictures)}.get(threshold, unsure.sum()) == unsure.sum()
    assert 0 < unsure.sum() < len(pictures) or threshold in {0.0, 99.0}
    np.testing.assert_allclose(ask(second_look(program, threshold), pictures), expected, rtol=1e-5)


def test_weights_are_in_the_file_once(linear_tflite: Callable[..., bytes]) -> None:
    large = linear_tflite(np.ones((1000, WHOLE)), SHAPE)
    assert len(large) > 4 * 1000 * WHOLE
    assert len(second_look(large, 0.5)) < len(large) + 3_000


def test_what_does_not_map_pictures_to_logits_is_refused(
    linear_tflite: Callable[..., bytes], program: bytes
) -> None:
    with pytest.raises(TargetError, match="only programs from pictures"):
        second_look(linear_tflite(np.ones((CLASSES, WHOLE)), (1, WHOLE)), 0.5)
    with pytest.raises(TargetError, match="several graphs"):
        second_look(second_look(program, 0.5), 0.5)
