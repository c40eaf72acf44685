from pathlib import Path

import pytest

from diptych.core.errors import ConfigError, DataError, StorageError
from diptych.core.progress import Step
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.job import open_job
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.training.models import TextConvolutionConfig
from diptych.training.recipe import TrainingRecipe


def test_by_default_a_bundle_is_named_after_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_job("digits", Budget(), None, 0, Settings()).destination == Path("digits.dip")


def test_data_that_was_read_before_is_taken_as_it_is(tmp_path: Path) -> None:
    dataset = read("digits", Options(seed=7))
    assert open_job(dataset, Budget(), tmp_path / "a.dip", 0, Settings()).dataset is dataset


def test_the_seed_decides_the_splits_and_the_reader_is_told(tmp_path: Path) -> None:
    steps: list[Step] = []
    settings = Settings(report=steps.append)
    job = open_job("digits", Budget(), tmp_path / "a.dip", 7, settings)
    assert job.dataset.record.seed == 7
    assert "image-classification, 10 classes" in steps[-1].note


def test_that_a_bundle_will_be_replaced_is_told(tmp_path: Path, tiny_bundle: Path) -> None:
    steps: list[Step] = []
    settings = Settings(report=steps.append)
    open_job("digits", Budget(), tmp_path / "a.dip", 0, settings)
    assert not any("replaced" in step.note for step in steps)
    open_job("digits", Budget(), tiny_bundle, 0, settings)
    assert steps[-1].note == f"{tiny_bundle}, which is there already, will be replaced"


def test_items_are_not_held_back_twice(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        rows = "".join(f"{split} {row},{row % 2}\n" for row in range(40))
        (tmp_path / f"{split}.csv").write_text(f"text,label\n{rows}")
    out, settings = tmp_path / "a.dip", Settings(validation_items=5)
    with pytest.raises(ConfigError, match="a validation split of its own, of 40 items"):
        open_job(tmp_path, Budget(), out, 0, settings)
    (tmp_path / "validation.csv").unlink()
    assert len(open_job(tmp_path, Budget(), out, 0, settings).dataset.validation) == 5
    with pytest.raises(ConfigError, match="cannot hold back 21 of 40 items"):
        open_job(tmp_path, Budget(), out, 0, Settings(validation_items=21))


def test_that_fewer_items_are_held_back_than_a_recipe_says_is_told(tmp_path: Path) -> None:
    rows = "".join(f"text {row},{row % 2}\n" for row in range(40))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}")
    training = TrainingRecipe()
    teacher = ModelPlan(name="teacher", network=TextConvolutionConfig(), training=training)
    for wanted, told in ((5, False), (500, True)):
        steps: list[Step] = []
        recipe = FitRecipe(teacher=teacher, validation_items=wanted)
        settings = Settings(recipe=recipe, report=steps.append)
        held = len(open_job(tmp_path, Budget(), tmp_path / "a.dip", 0, settings).dataset.validation)
        notes = [step.note for step in steps if step.stage == "validation"]
        note = f"{held} items are held back for validation, and not 500: there are too few"
        assert notes == [note] * told


def test_a_destination_that_cannot_be_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError):
        open_job(tmp_path / "nothing", Budget(), tmp_path / "file", 0, Settings())
    with pytest.raises(DataError):
        open_job(tmp_path / "nothing", Budget(), tmp_path / "a.dip", 0, Settings())


def test_a_teacher_that_is_no_folder_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    settings = Settings(teacher=Path("bert-base-uncased"))
    with pytest.raises(ConfigError, match="there is no teacher 'bert-base-uncased'"):
        open_job(tmp_path / "nothing", Budget(), None, 0, settings)
