"""Fits whose teacher is a bundle that was trained before."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.fit import NO_TIME, fit
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.inference.bundle import Bundle
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

WIDE = ResidualNetConfig(stem=16, widths=(32,), blocks=(0,))
NARROW = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=8, batch_size=64)
PLANNED = FitRecipe(
    teacher=ModelPlan(name="teacher", network=NARROW, training=TRAINING),
    students=(ModelPlan(name="student", network=NARROW, training=TRAINING),),
    programs=(ProgramPlan(runtime="onnxruntime", precision="fp32"),),
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    recipe = FitRecipe(teacher=ModelPlan(name="wide", network=WIDE, training=TRAINING))
    out = tmp_path_factory.mktemp("bundles") / "taught.dip"
    return train("digits", out=out, settings=Settings(recipe=recipe))


def settings(taught: Bundle, **changes: object) -> Settings:
    return dataclasses.replace(Settings(recipe=PLANNED, teacher=taught.path), **changes)


@pytest.mark.slow
def test_a_bundle_teaches_as_it_is_and_its_fit_is_done_again(
    taught: Bundle, tmp_path: Path
) -> None:
    pixels = np.full((3, 8, 8, 1), 7, np.uint8)
    with fit("digits", "drop<=20%", out=tmp_path / "a.dip", settings=settings(taught)) as bundle:
        manifest, answers = bundle.manifest, bundle.run(pixels)
    assert manifest.teacher.score == taught.manifest.model.score
    assert manifest.teacher.parameters == taught.manifest.model.parameters
    assert {point.model for point in manifest.curves} == {"student"}
    recipe = read_recipe(tmp_path / "a.dip")
    assert recipe.teacher.kept
    assert recipe.teacher.network == WIDE
    assert manifest.training.samples == 8 * 64 * (1294 // 64)
    again = Settings(recipe=recipe)
    with fit("digits", "drop<=20%", out=tmp_path / "b.dip", settings=again) as bundle:
        np.testing.assert_array_equal(bundle.run(pixels), answers)
        assert bundle.manifest.model.score == manifest.model.score


def test_a_teacher_is_not_scored_on_what_it_has_learned(taught: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another split of the same data, by seed 0") as told:
        fit("digits", out=tmp_path / "a.dip", seed=1, settings=settings(taught))
    assert "--seed 0 --validation-items 144" in told.value.hint
    fewer = dataclasses.replace(settings(taught), validation_items=50)
    with pytest.raises(ConfigError, match="by seed 0, with 144 items for validation"):
        fit("digits", out=tmp_path / "a.dip", settings=fewer)


def test_a_teacher_of_other_labels_is_refused(taught: Bundle, tmp_path: Path) -> None:
    digits = read("digits", Options(seed=0))
    letters = dataclasses.replace(digits, labels=tuple("abcdefghij"))
    with pytest.raises(ConfigError, match=r"tells 10 of classification \(0, 1, 2, ...\), and the"):
        fit(letters, out=tmp_path / "a.dip", settings=settings(taught))


def test_a_teacher_that_does_not_know_the_data_is_refused(taught: Bundle, tmp_path: Path) -> None:
    digits = read("digits", Options(seed=0))
    black = dataclasses.replace(digits.validation, inputs=np.zeros_like(digits.validation.inputs))
    record = replace(digits.record, name="night", sha256="0" * 64)
    other = dataclasses.replace(digits, validation=black, record=record)
    with pytest.raises(ConfigError, match=r"taught\.dip has learned digits: it knows .* of night"):
        fit(other, out=tmp_path / "a.dip", settings=settings(taught))
    assert not (tmp_path / "a.dip").exists()


@pytest.mark.slow
def test_that_there_is_no_time_for_a_student_is_told(taught: Bundle, tmp_path: Path) -> None:
    told: list[Step] = []
    ticks = iter(range(10**9))
    given = settings(taught, report=told.append, clock=lambda: 9.0 * next(ticks))
    with fit("digits", out=tmp_path / "a.dip", time_limit=10.0, settings=given) as bundle:
        assert {candidate.model for candidate in bundle.manifest.candidates} == {"teacher"}
    assert (NO_TIME, "student") in {(step.note, step.stage) for step in told}


def test_a_bundle_does_not_take_the_place_of_its_teacher(taught: Bundle) -> None:
    with pytest.raises(ConfigError, match="would take the place of its teacher"):
        fit("digits", out=taught.path, settings=settings(taught))


def test_only_weights_that_there_are_can_be_kept() -> None:
    with pytest.raises(ConfigError, match="student is to be kept, and starts from nothing"):
        replace(PLANNED.students[0], kept=True)
