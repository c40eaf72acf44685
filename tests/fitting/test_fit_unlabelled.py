"""Fits whose students learn from items without labels too."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.assembly import hash_items
from diptych.fitting.calibration import calibration_items
from diptych.fitting.fit import fit
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.training.models import ResidualNetConfig, TabularConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.trees import TreesConfig

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=4, batch_size=32)
SMALL = TabularConfig(pieces=8, number_width=8, category_width=4, widths=(32,))
ROWS = TrainingRecipe(epochs=20, batch_size=16, optimizer="adamw", learning_rate=5e-3)
PLAN = ModelPlan(name="student", network=NETWORK, training=TRAINING)
PLANNED = FitRecipe(
    teacher=ModelPlan(name="teacher", network=NETWORK, training=TRAINING),
    students=(PLAN,),
    programs=(ProgramPlan(runtime="onnxruntime", precision="fp32"),),
    calibration_items=64,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write 400 digits into class folders, and 300, a third of them the same, beside each other."""
    digits: Dataset = read("digits", Options(seed=0))
    root = tmp_path_factory.mktemp("digits")
    (root / "more").mkdir()
    for row, (pixels, label) in enumerate(
        zip(digits.train.inputs, digits.train.targets, strict=True)
    ):
        picture = Image.fromarray(pixels[..., 0])
        if row < 400:
            folder = root / "labelled" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{row}.png")
        if 300 <= row < 600:
            picture.save(root / "more" / f"{row}.png")
    return root / "labelled", root / "more"


@pytest.mark.slow
def test_students_learn_from_all_items_and_nothing_is_judged_by_the_unlabelled(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    labelled, more = folders
    settings = Settings(recipe=PLANNED, unlabelled=more)
    with fit(labelled, "drop<=90%", out=tmp_path / "a.dip", settings=settings) as bundle:
        manifest = bundle.manifest
    data = read(labelled, Options(seed=0))
    record = manifest.provenance.data
    assert record.counts == data.record.counts
    assert record.sha256 == data.record.sha256
    told = record.unlabelled
    assert (told.name, told.skipped) == ("more", 0)
    assert told.held_out > 0
    assert told.known > 0
    assert told.count == 300 - told.held_out - told.known == 200
    learned = len(data.train)
    steps = 4 * (learned // 32) + 4 * ((learned + told.count) // 32)
    assert manifest.training.samples == 32 * steps
    assert manifest.teacher.score.n == manifest.model.score.n == len(data.test)
    calibration = calibration_items(data, 64, 0, lambda step: None)
    assert manifest.provenance.calibration_sha256 == hash_items(calibration)
    written = (tmp_path / "a.dip" / "README.md").read_text()
    assert "200 items without labels" in written


@pytest.mark.slow
def test_rows_without_labels_learn_from_trees(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 2)).round(4)
    for name, part in (("rows", rows[:200]), ("more", rows[200:])):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("a", "b", "label") if name == "rows" else ("a", "b"))
            for a, b in part:
                writer.writerow((a, b, "yn"[int(a > b)]) if name == "rows" else (a, b))
    trees = TreesConfig(trees=20, folds=2)
    recipe = FitRecipe(
        teacher=ModelPlan(name="trees", network=trees, training=TrainingRecipe()),
        students=(ModelPlan(name="student", network=SMALL, training=ROWS),),
        programs=PLANNED.programs,
    )
    settings = Settings(recipe=recipe, unlabelled=tmp_path / "more.csv")
    with fit(tmp_path / "rows.csv", out=tmp_path / "a.dip", settings=settings) as bundle:
        assert bundle.manifest.provenance.data.unlabelled.count == 200
        known = bundle.manifest.provenance.data.counts["train"]
        assert bundle.manifest.training.samples == known + 20 * 16 * ((known + 200) // 16)
        assert bundle.manifest.model.score.value > 0.7


def test_somebody_has_to_learn_from_them(folders: tuple[Path, Path], tmp_path: Path) -> None:
    labelled, more = folders
    settings = Settings(recipe=FitRecipe(teacher=PLAN), unlabelled=more)
    with pytest.raises(ConfigError, match="no student is planned to learn from items without"):
        fit(labelled, out=tmp_path / "a.dip", settings=settings)
    with pytest.raises(ConfigError, match="without a teacher, from labels"):
        train(labelled, out=tmp_path / "a.dip", settings=settings)
