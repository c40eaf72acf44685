"""Whole fits of toy texts with a local Hugging Face encoder as the teacher."""

import csv
import dataclasses
import random
from pathlib import Path

import msgspec
import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.fit import fit
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.inference.bundle import Bundle
from diptych.training.encoder import EncoderConfig
from diptych.training.models import NgramsConfig
from diptych.training.recipe import TrainingRecipe

WORDS = ("good", "bad", "so", "not", "film", "very")
TRAINING = TrainingRecipe(
    epochs=10.0, batch_size=16, optimizer="adamw", learning_rate=3e-3, label_smoothing=0.0
)
STUDENT = ModelPlan(
    name="student",
    network=NgramsConfig(width=8, buckets=256),
    training=TrainingRecipe(epochs=20.0, batch_size=16, learning_rate=0.2),
)
PROGRAMS = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write reviews whose only opinion is good or bad."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        for number in range(400):
            words = draw.choices(WORDS[2:], k=draw.randint(2, 6))
            words.insert(draw.randint(0, len(words)), WORDS[number % 2])
            rows.writerow((" ".join(words), ("liked", "disliked")[number % 2]))
    return path


def recipe(folder: Path) -> FitRecipe:
    network = EncoderConfig(folder=str(folder))
    teacher = ModelPlan(name="teacher", network=network, training=TRAINING)
    return FitRecipe(teacher=teacher, students=(STUDENT,), programs=PROGRAMS)


@pytest.fixture(scope="module")
def fitted(reviews: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "reviews.dip"
    settings = Settings(recipe=recipe(encoder_folder))
    return fit(reviews, "drop<=10%, p99<=1s", out=out, settings=settings)


@pytest.mark.slow
def test_a_student_of_an_encoder_is_a_bundle_like_any_other(
    fitted: Bundle, encoder_folder: Path
) -> None:
    manifest = fitted.manifest
    assert manifest.verdict == "PASS"
    assert manifest.teacher.score.value > 0.9
    assert manifest.teacher.parameters > 10_000
    assert manifest.teacher.flops > 10_000
    assert manifest.model.name == "student"
    assert {point.model for point in manifest.curves} == {"teacher", "student"}
    assert manifest.training.flops > 3 * manifest.teacher.flops * 10 * 200
    predictions = fitted.predict(["a very good film", "so bad so very bad"])
    assert [p.label for p in predictions] == ["liked", "disliked"]
    written = (fitted.path / "bundle.json").read_bytes()
    assert msgspec.json.decode(written)["provenance"]["recipe"]["teacher"]["network"] == {
        "name": "encoder",
        "folder": str(encoder_folder),
        "sha256": None,
        "max_tokens": 128,
        "answered": None,
    }


@pytest.mark.slow
def test_a_fit_with_a_teacher_is_done_again_from_its_bundle(
    fitted: Bundle, reviews: Path, tmp_path: Path
) -> None:
    replay = Settings(recipe=read_recipe(fitted.path))
    with fit(reviews, "drop<=10%, p99<=1s", out=tmp_path / "again.dip", settings=replay) as again:
        for name in ("weights.safetensors", "golden.npz"):
            assert (again.path / name).read_bytes() == (fitted.path / name).read_bytes()
        assert again.manifest.teacher == fitted.manifest.teacher
    with train(reviews, out=tmp_path / "alone.dip", settings=replay) as alone:
        assert alone.manifest.model.name == "student"


@pytest.mark.slow
def test_a_given_teacher_takes_the_place_of_that_of_a_recipe(
    reviews: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    planned = FitRecipe(
        teacher=ModelPlan(name="wide", network=NgramsConfig(), training=TRAINING),
        students=(STUDENT,),
        programs=PROGRAMS,
    )
    settings = Settings(recipe=planned, teacher=encoder_folder)
    out = tmp_path / "given.dip"
    with fit(reviews, "p99<=1s", out=out, time_limit=60, settings=settings) as bundle:
        taught = bundle.manifest.provenance.recipe["teacher"]
        assert (taught["name"], taught["network"]["name"]) == ("wide", "encoder")
        assert len(taught["network"]["sha256"]) == 64
        assert bundle.manifest.teacher.name == "wide"


@pytest.mark.slow
def test_other_data_with_a_teacher_is_one_clear_line(
    reviews: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(teacher=encoder_folder)
    with pytest.raises(ConfigError, match="an encoder of texts, and this is image-class"):
        fit("digits", out=tmp_path / "a.dip", settings=settings)
    dataset = read(reviews, Options())
    bare = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, originals=None))
    with pytest.raises(DataError, match="train split does not hold its texts as they were"):
        fit(bare, out=tmp_path / "a.dip", settings=settings)
