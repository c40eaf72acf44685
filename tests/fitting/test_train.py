from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.compress import find_again, taught_by
from diptych.fitting.evaluate import evaluate
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
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


@pytest.mark.slow
def test_what_was_held_back_is_held_back_by_whoever_opens_the_bundle(tmp_path: Path) -> None:
    path, other = tmp_path / "a.dip", tmp_path / "b.dip"
    settings = Settings(recipe=RECIPE, validation_items=40)
    with train("digits", out=path, settings=settings) as bundle:
        provenance = bundle.manifest.provenance
        score = bundle.manifest.model.score
    assert provenance.data.counts["validation"] == 40
    assert read_recipe(path).validation_items == 40
    result = evaluate(path, "digits")
    assert (result.items, result.scores["accuracy"]) == ("test split", score)
    taught = taught_by(path, Settings())
    assert find_again(taught, provenance.data).record.sha256 == provenance.data.sha256
    train("digits", out=other, settings=Settings(recipe=read_recipe(path))).close()
    digests = {sha256_of_file(each / "weights.safetensors") for each in (path, other)}
    assert len(digests) == 1
    train("digits", out=tmp_path / "c.dip", settings=Settings(recipe=RECIPE, start=path)).close()
    assert read_recipe(tmp_path / "c.dip").validation_items == 40


def test_training_alone_takes_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a teacher"):
        train("digits", out=tmp_path / "a.dip", settings=Settings(teacher=tmp_path))
