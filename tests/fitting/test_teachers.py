"""Fits with several teachers, and with functions."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych.compression.function import name_of
from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.fit import fit
from diptych.fitting.job import open_job
from diptych.fitting.members import EnsembleConfig, FunctionConfig
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings, Teacher
from diptych.fitting.teachers import (
    check_acquainted,
    function_config,
    is_pretrained,
    names_of,
    taught,
)
from diptych.fitting.train import train
from diptych.inference.bundle import Bundle
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
WIDE = ResidualNetConfig(stem=8, widths=(24,), blocks=(0,))
OTHER = ResidualNetConfig(stem=16, widths=(16,), blocks=(0,))
NARROW = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=3, batch_size=64)
PLANNED = FitRecipe(
    teacher=ModelPlan(name="teacher", network=NARROW, training=TRAINING),
    students=(
        ModelPlan(name="student", network=NARROW, training=TRAINING),
        ModelPlan(name="second", network=WIDE, training=TRAINING),
    ),
    programs=(ProgramPlan(runtime="onnxruntime", precision="fp32"),),
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return read("digits", Options(seed=0))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, paths = tmp_path_factory.mktemp("bundles"), []
    for name, network in (("wide", WIDE), ("other", OTHER)):
        recipe = FitRecipe(teacher=ModelPlan(name=name, network=network, training=TRAINING))
        out = folder / f"{name}.dip"
        train("digits", out=out, settings=Settings(recipe=recipe)).close()
        paths.append(out)
    return paths


def fitted(out: Path, teacher: Teacher | Sequence[Teacher] | None, **changes: object) -> Bundle:
    settings = dataclasses.replace(Settings(recipe=PLANNED, teacher=teacher), **changes)  # type: ignore[arg-type]
    return fit("digits", "drop<=20%", out=out, settings=settings)


@pytest.mark.slow
def test_a_bundle_that_has_learned_other_data_has_to_know_this(
    bundles: list[Path], digits: Dataset, tmp_path: Path
) -> None:
    told: list[str] = []

    def check(dataset: Dataset, right: float) -> None:
        job = open_job(dataset, Budget(), tmp_path / "a.dip", 0, Settings(teacher=bundles[0]))
        targets = dataset.validation.targets
        answers = np.where(np.arange(len(targets)) < right * len(targets), targets, 9 - targets)
        check_acquainted(job, np.eye(10)[answers], lambda step: told.append(step.note))

    check(digits, 0.0)  # its own
    record = replace(digits.record, name="clothes", sha256="0" * 64)
    other = dataclasses.replace(digits, record=record)
    check(other, 0.9)
    assert told == ["wide.dip has learned digits: it knows 130 of 144 validation items of clothes"]
    for right in (0.1, 0.3):
        with pytest.raises(ConfigError, match="has learned digits: it knows") as refused:
            check(other, right)
        assert refused.value.hint.endswith(f"diptych train DATA --start {bundles[0]}")


class Counted:
    """A bundle as a function, which counts the items that it is asked about."""

    def __init__(self, path: Path) -> None:
        self.bundle, self.items, self.calls = diptych.load(path), 0, 0

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        self.items += len(inputs)
        self.calls += 1
        return self.bundle.run(inputs)


@pytest.mark.slow
def test_several_bundles_teach_together_and_their_own_score_is_told(
    bundles: list[Path], digits: Dataset, tmp_path: Path
) -> None:
    with fitted(tmp_path / "a.dip", tuple(bundles)) as bundle:
        manifest = bundle.manifest
    shares = []
    for path in bundles:
        with diptych.load(path) as member:
            raised = np.exp(member.run(digits.test.inputs).astype(np.float64))
            shares.append(raised / raised.sum(1, keepdims=True))
    right = np.mean(np.mean(shares, 0).argmax(1) == digits.test.targets)
    assert manifest.teacher.score.value == pytest.approx(right)
    parameters = [diptych.load(path).manifest.model.parameters for path in bundles]
    assert manifest.teacher.parameters == sum(parameters)
    assert {c.model for c in manifest.candidates} == {"student", "second"}
    recipe = read_recipe(tmp_path / "a.dip")
    with fitted(tmp_path / "b.dip", None, recipe=recipe) as again:
        assert again.manifest.teacher == manifest.teacher
        assert again.manifest.model.score == manifest.model.score


@pytest.mark.slow
def test_a_function_teaches_and_is_asked_about_each_item_once(
    bundles: list[Path], digits: Dataset, tmp_path: Path
) -> None:
    function = Counted(bundles[0])
    with fitted(tmp_path / "a.dip", function) as bundle:
        assert bundle.manifest.teacher.score == function.bundle.manifest.model.score
    # looked at twice (what is asked for, and the plan), then scored; two students learn from it
    beside = 2 * 16 + len(digits.validation) + len(digits.test)
    assert function.items - beside <= len(digits.train)
    assert function.items - beside > 0.99 * len(digits.train)
    recipe = read_recipe(tmp_path / "a.dip")
    assert isinstance(recipe.teacher.network, FunctionConfig)
    with pytest.raises(ConfigError, match="Counted is a function, and was not handed over"):
        fitted(tmp_path / "b.dip", None, recipe=recipe)


@pytest.mark.slow
def test_a_teacher_that_prepares_its_inputs_otherwise_is_refused(
    bundles: list[Path], digits: Dataset, tmp_path: Path
) -> None:
    larger = read("digits", Options(seed=0))
    pixels = {
        name: dataclasses.replace(
            getattr(larger, name), inputs=getattr(larger, name).inputs.repeat(2, 1).repeat(2, 2)
        )
        for name in ("train", "validation", "test")
    }
    larger = dataclasses.replace(larger, spec=replace(larger.spec, height=16, width=16), **pixels)
    recipe = FitRecipe(
        teacher=ModelPlan(name="large", network=NARROW, training=replace(TRAINING, epochs=0.1))
    )
    out = tmp_path / "larger.dip"
    train(larger, out=out, settings=Settings(recipe=recipe)).close()
    with pytest.raises(ConfigError, match=r"larger\.dip prepares its inputs otherwise than wide"):
        fitted(tmp_path / "a.dip", (bundles[0], out))


def test_each_of_several_onnx_files_gives_the_output_that_was_chosen(
    digits: Dataset, tmp_path: Path
) -> None:
    pixels, targets = digits.train.inputs.reshape(-1, 64).astype(np.float32), digits.train.targets
    means = np.stack([pixels[targets == k].mean(0) for k in range(10)], 1)
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", ["x"], ["flat"]),
                helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
                helper.make_node("Neg", ["logits"], ["other"]),
            ],
            "linear",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 1, 8, 8))],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 10))
                for name in ("other", "logits")
            ],
            [numpy_helper.from_array((means - means.mean(1, keepdims=True)) / 100, "weights")],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    settings = Settings(teacher=paths, output="logits")
    job = open_job(digits, Budget(), tmp_path / "a.dip", 0, settings)
    network = taught(PLANNED, job, settings).teacher.network
    assert isinstance(network, EnsembleConfig)
    assert [getattr(each.network, "output", None) for each in network.members] == ["logits"] * 2


@pytest.mark.slow
def test_a_folder_with_an_encoder_teaches_alone(bundles: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no encoder")
    with pytest.raises(ConfigError, match="is not a folder"):
        fitted(tmp_path / "a.dip", (bundles[0], tmp_path / "notes.txt"))


@pytest.mark.slow
def test_the_bundle_does_not_take_the_place_of_any_teacher(bundles: list[Path]) -> None:
    with pytest.raises(ConfigError, match="would take the place of its teacher"):
        fitted(bundles[1], tuple(bundles))


def test_functions_are_known_by_what_they_answer(make_dataset: MakeDataset) -> None:
    data = make_dataset()

    def teacher(inputs: np.ndarray, sign: float = 1.0) -> np.ndarray:
        mean = inputs.reshape(len(inputs), -1).mean(1)
        return sign * np.stack([mean, -mean], 1)

    def changed(inputs: np.ndarray) -> np.ndarray:
        return teacher(inputs, -1.0)

    changed.__qualname__ = teacher.__qualname__
    assert name_of(teacher) == name_of(changed)
    assert function_config(teacher, data) == function_config(teacher, data)
    assert names_of((teacher,), data) != names_of((changed,), data)
    with pytest.raises(ConfigError, match=r"answers 16 items with \(16, 2\)"):
        function_config(teacher, make_dataset(classes=3))
    with pytest.raises(ConfigError, match="7 is no teacher"):
        function_config(7, data)  # type: ignore[arg-type]


@pytest.mark.slow
def test_only_encoders_have_yet_to_learn(bundles: list[Path], tmp_path: Path) -> None:
    assert not is_pretrained([*bundles, Path("a.onnx"), len])
    assert is_pretrained([tmp_path])
