from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(
    epochs=4, batch_size=64, variation=PictureVariation(translate=1, cutout=2)
)
RECIPE = FitRecipe(teacher=ModelPlan(name="teacher", network=NETWORK, training=TRAINING))


@pytest.mark.slow
def test_the_same_seed_trains_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        recipe = FitRecipe(teacher=RECIPE.teacher, seed=seed)
        bundle = train("digits", out=tmp_path / name, seed=seed, settings=Settings(recipe=recipe))
        bundle.close()
        return sha256_of_file(tmp_path / name / "weights.safetensors")

    first = digest("a.dip", 1)
    assert first == digest("b.dip", 1)
    assert first != digest("c.dip", 2)


@pytest.mark.slow
def test_a_trained_model_predicts_what_its_manifest_says(tmp_path: Path) -> None:
    data = read("digits", Options(seed=3))
    with train(data, out=tmp_path / "a.dip", seed=3, settings=Settings(recipe=RECIPE)) as bundle:
        right = bundle.run(data.test.inputs).argmax(1) == data.test.targets
        assert bundle.manifest.model.score.value == pytest.approx(np.mean(right))
        assert bundle.manifest.terms == ()
        assert [p.precision for p in bundle.manifest.programs] == ["fp32"]


def test_training_alone_takes_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a teacher"):
        train("digits", out=tmp_path / "a.dip", settings=Settings(teacher=tmp_path))
