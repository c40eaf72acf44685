import numpy as np
import pytest

from diptych.training.symmetry import mirroring_keeps_labels


def test_digits_may_not_be_mirrored() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra 'train'")
    digits = datasets.load_digits()
    pixels = (digits.images * 15).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(pixels))
    assert not mirroring_keeps_labels(pixels, digits.target, order)


def test_symmetric_patterns_may_be_mirrored() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(400) % 2
    pixels = random.integers(0, 60, (400, 8, 8, 1)).astype(np.uint8)
    pixels[targets == 1, :4] += 150
    assert mirroring_keeps_labels(pixels, targets, random.permutation(400))


def test_labels_that_are_left_and_right_may_not_be_mirrored() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(400) % 2
    pixels = random.integers(0, 60, (400, 8, 8, 1)).astype(np.uint8)
    pixels[targets == 1, :, :4] += 150
    pixels[targets == 0, :, 4:] += 150
    assert not mirroring_keeps_labels(pixels, targets, random.permutation(400))
