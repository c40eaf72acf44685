from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as replace_value

from diptych.core.errors import ConfigError
from diptych.core.manifest import Machine
from diptych.core.specs import AudioSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.plans.teacher import with_labels, with_teacher
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.encoder import EncoderConfig
from diptych.training.models import NgramsConfig
from diptych.training.pretrained import fingerprint
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
STUDENT = ModelPlan(name="student", network=NgramsConfig(), training=TrainingRecipe())
PLANNED = FitRecipe(
    teacher=ModelPlan(name="wide", network=NgramsConfig(), training=TrainingRecipe(balance=True)),
    students=(STUDENT,),
    seed=7,
)


def texts(make_dataset: MakeDataset, items: int) -> Dataset:
    dataset = make_dataset(items=items)
    splits = {
        name: replace(
            split,
            inputs=np.ones((len(split), 4), np.int32),
            originals=tuple(f"text {n}" for n in range(len(split))),
        )
        for name, split in vars(dataset).items()
        if name in {"train", "validation", "test"}
    }
    return replace(dataset, spec=TextSpec(tokens=4, vocabulary=8), **splits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_given_teacher_takes_the_place_of_the_planned_one(
    make_dataset: MakeDataset, machine: Machine, folder: Path
) -> None:
    recipe = with_teacher(PLANNED, folder, texts(make_dataset, 4000), machine)
    assert recipe.teacher.network == EncoderConfig(folder=str(folder), sha256=fingerprint(folder))
    assert (recipe.teacher.name, recipe.students, recipe.seed) == ("wide", (STUDENT,), 7)
    training = recipe.teacher.training
    assert (training.balance, training.threads, training.arithmetic) == (True, 2, "fp32")
    assert (training.epochs, training.batch_size, training.label_smoothing) == (4, 16, 0)
    fast = replace_value(machine, flags=("amx_bf16",))
    faster = with_teacher(PLANNED, folder, texts(make_dataset, 4000), fast)
    assert faster.teacher.training.arithmetic == "bf16"


@pytest.mark.parametrize(("items", "epochs"), [(40, 10), (100_000, 3)])
def test_few_texts_are_seen_more_often(
    make_dataset: MakeDataset, machine: Machine, folder: Path, items: int, epochs: int
) -> None:
    dataset = texts(make_dataset, items)
    assert with_teacher(PLANNED, folder, dataset, machine).teacher.training.epochs == epochs


def test_a_given_teacher_works_with_texts_and_pictures_only(
    make_dataset: MakeDataset, machine: Machine, folder: Path
) -> None:
    sounds = replace(make_dataset(), spec=AudioSpec(sample_rate=8000, samples=4096))
    with pytest.raises(ConfigError, match="texts or pictures, and this is audio-classification"):
        with_teacher(PLANNED, folder, sounds, machine)


def test_a_teacher_of_pictures_sees_them_varied_as_the_planned_one_did(
    make_dataset: MakeDataset, machine: Machine, folder: Path
) -> None:
    variation = PictureVariation(translate=1)
    teacher = replace_value(PLANNED.teacher, training=TrainingRecipe(variation=variation))
    planned = replace_value(PLANNED, teacher=teacher)
    recipe = with_teacher(planned, folder, make_dataset(), machine)
    assert recipe.teacher.training.variation == variation
    told = with_teacher(planned, folder, texts(make_dataset, 40), machine)
    assert told.teacher.training.variation is None


@pytest.mark.parametrize(("planned", "share"), [(0.0, 0.5), (0.8, 0.8)])
def test_students_of_a_teacher_that_nobody_knows_learn_labels_too(
    planned: float, share: float
) -> None:
    student = replace_value(STUDENT, training=TrainingRecipe(label_share=planned, epochs=3.0))
    recipe = with_labels(replace_value(PLANNED, students=(student,)))
    assert recipe.students[0].training == TrainingRecipe(label_share=share, epochs=3.0)
    assert replace_value(recipe, students=PLANNED.students) == PLANNED
