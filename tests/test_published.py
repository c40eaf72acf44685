"""The bundle in examples/ is what its own figures say."""

from pathlib import Path

import numpy as np
import pytest

import diptych
from diptych.data import read
from diptych.data.reading import Options

pytest.importorskip("ai_edge_litert", reason="the extra edge is not installed")

TINY = Path(__file__).parents[1] / "examples" / "cifar10-tiny.dip"
REFERENCE_BYTES, MOST_BYTES = 98_496, 1_000_000
"""MLPerf Tiny's int8 reference for the same task; what a bundle in the repository may weigh."""


def test_it_is_smaller_than_the_reference_and_names_nobodys_folders() -> None:
    with diptych.load(TINY) as bundle:  # re-runs its golden examples
        assert sum(file.size_bytes for file in bundle.program.files) < REFERENCE_BYTES
        assert bundle.predict(np.zeros((32, 32, 3), np.uint8)).label in bundle.manifest.labels
    content = [file.read_bytes() for file in TINY.iterdir()]
    assert sum(map(len, content)) < MOST_BYTES
    assert not any(place in each for each in content for place in (b"/home/", b"/tmp/", b"/root/"))


@pytest.mark.slow
@pytest.mark.data
def test_it_is_as_accurate_as_it_says(shared_data: Path) -> None:
    test = read(shared_data / "cifar10", Options(seed=0)).test
    with diptych.load(TINY) as bundle:
        right = bundle.run(test.inputs).argmax(1) == test.targets
        assert right.mean() == pytest.approx(bundle.manifest.model.score.value, abs=0.003)
