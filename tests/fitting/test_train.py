from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import StopRequest
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting import run_file
from diptych.fitting.compress import find_again, taught_by
from diptych.fitting.evaluate import evaluate
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import resume, train
from diptych.training.checkpoint import Checkpoint, Position
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
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


@pytest.mark.parametrize("run", ["a.dip", "a.dip/run"])
def test_a_run_in_its_bundle_is_refused_before_it_is_trained(tmp_path: Path, run: str) -> None:
    settings = Settings(recipe=RECIPE, run=tmp_path / run)
    with pytest.raises(ConfigError, match="would be in the bundle") as error:
        train("digits", out=tmp_path / "a.dip", settings=settings)
    assert error.value.hint == "choose another --run"
    assert not any(tmp_path.iterdir())


def test_a_new_run_in_a_folder_of_something_else_is_told_to_choose_another(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    settings = Settings(recipe=RECIPE, run=tmp_path / "mine")
    with pytest.raises(ConfigError, match="is not a run's folder") as error:
        train("digits", out=tmp_path / "a.dip", settings=settings)
    assert error.value.hint.startswith("choose another --run")


@pytest.mark.parametrize(
    ("steps", "message"),
    [(0, "the network of 'teacher' is for pictures"), (5, "began with other data than rows is")],
)
def test_a_run_does_not_go_on_with_data_of_another_kind(
    tmp_path: Path, steps: int, message: str
) -> None:
    rows, folder = tmp_path / "rows.csv", RunFolder(tmp_path / "a.run", lambda text: None)
    rows.write_text("a,y\n" + "".join(f"{i / 7},{i / 3}\n" for i in range(60)))
    run_file.write(folder.path, run_file.request_of("digits", tmp_path, RECIPE, Settings()))
    if steps:
        position = Position(
            name="teacher",
            seed=0,
            data_sha256="0" * 64,
            planned=TRAINING,
            recipe=TRAINING,
            step=steps,
            remaining=1,
        )
        folder.save(Checkpoint(position=position, tensors={}))
    folder.close()
    with pytest.raises(ConfigError, match=message):
        resume(folder.path, rows, out=tmp_path / "a.dip")


def test_a_run_goes_on_with_fewer_processes_where_that_is_asked(tmp_path: Path) -> None:
    RunFolder(tmp_path, lambda text: None).close()
    request = run_file.request_of("digits", tmp_path / "a.dip", RECIPE, Settings(devices=2))
    run_file.write(tmp_path, request)
    stopped = Settings(stop=StopRequest(requested=True))
    for devices, known in ((None, 2), (1, 1)):
        with pytest.raises(KeyboardInterrupt):
            resume(tmp_path, devices=devices, settings=stopped)
        assert run_file.read(tmp_path).devices == known
    with pytest.raises(ConfigError, match=r"each process of .* has all weights"):
        resume(tmp_path, devices=2, settings=Settings(shard=True))
