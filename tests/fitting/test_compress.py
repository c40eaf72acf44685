"""Models that are there already, compressed from Python."""

import dataclasses
from pathlib import Path

import pytest
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import Step, silent
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.compress import compress, find_again, taught_by
from diptych.fitting.fit import fit
from diptych.fitting.given import make_given
from diptych.fitting.given_use import find_given
from diptych.fitting.plans.compressed import with_model, with_pruned
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import SETTINGS, Settings
from diptych.training.models import PrunedConfig, ResidualNetConfig
from diptych.training.models.given import Given
from diptych.training.recipe import TrainingRecipe

SHAPE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=30, batch_size=64)
PLANNED = FitRecipe(
    teacher=ModelPlan(name="teacher", network=SHAPE, training=TRAINING),
    programs=(
        ProgramPlan(runtime="onnxruntime", precision="fp32"),
        ProgramPlan(runtime="onnxruntime", precision="int8"),
        ProgramPlan(runtime="onnxruntime", precision="int8", method="trained"),
    ),
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return read("digits", Options(seed=0))


@pytest.fixture(scope="module")
def given(elsewhere: Path) -> Given:
    return make_given(f"{elsewhere / 'net.py'}:make", silent, elsewhere / "net.safetensors")


def half(recipe: FitRecipe) -> FitRecipe:
    """Leave the first pruned model alone, and have it trained in 8 bits in any case."""
    first = recipe.students[0]
    quantized = TrainingRecipe(epochs=1, batch_size=64, optimizer="adamw", learning_rate=1e-3)
    return replace(recipe, students=(replace(first, quantized=quantized),))


@pytest.mark.slow
def test_a_module_is_pruned_tuned_and_trained_in_8_bits_and_all_is_done_again(
    tmp_path: Path, digits: Dataset, given: Given
) -> None:
    recipe = half(with_pruned(with_model(PLANNED, find_given(given, digits, silent)), silent))
    settings, said = Settings(recipe=recipe, given=given), list[Step]()
    settings = dataclasses.replace(settings, report=said.append)
    with fit(digits, "drop<=5%", out=tmp_path / "a.dip", settings=settings) as bundle:
        manifest = bundle.manifest
    names = {candidate.name for candidate in manifest.candidates}
    assert {"teacher onnxruntime int8", "pruned-50 onnxruntime int8 (trained)"} <= names
    whole, pruned = (
        next(c for c in manifest.candidates if c.name == f"{name} onnxruntime fp32")
        for name in ("teacher", "pruned-50")
    )
    assert pruned.parameters < 0.4 * whole.parameters
    assert pruned.size_bytes < 0.4 * whole.size_bytes
    assert pruned.score.value > 0.9
    assert any("teacher is pruned: " in step.note for step in said)
    written = read_recipe(tmp_path / "a.dip")
    assert isinstance(written.students[0].network, PrunedConfig)
    with pytest.raises(ConfigError, match="which no bundle or recipe holds"):
        fit(digits, "drop<=5%", out=tmp_path / "b.dip", settings=Settings(recipe=written))
    again = Settings(recipe=written, given=given)
    with fit(digits, "drop<=5%", out=tmp_path / "b.dip", settings=again) as bundle:
        weights = (bundle.path / "weights.safetensors").read_bytes()
    assert weights == (tmp_path / "a.dip" / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_what_is_pruned_of_a_module_is_timed_before_it_learns(
    tmp_path: Path, digits: Dataset, given: Given
) -> None:
    """It ended in an error, for nothing can build a user's module anew."""
    recipe = with_pruned(with_model(PLANNED, find_given(given, digits, silent)), silent)
    short = TrainingRecipe(epochs=0.5, batch_size=64, learning_rate=0.01)
    last = ModelPlan(name="last", network=SHAPE, training=short)
    students = (*(replace(each, training=short) for each in recipe.students), last)
    said = list[Step]()
    recipe = replace(recipe, students=students)
    settings = Settings(recipe=recipe, given=given, report=said.append)
    with fit(digits, "size<=1KB", out=tmp_path / "a.dip", settings=settings) as bundle:
        models = {candidate.model for candidate in bundle.manifest.candidates}
    assert models == {"teacher", "pruned-50", "last"}
    left_out = [step.stage for step in said if "can keep size" in step.note]
    assert left_out == ["pruned-75"]


@pytest.mark.slow
def test_a_network_as_it_is_may_be_given_and_stays_as_it_was(
    tmp_path: Path, digits: Dataset, given: Given
) -> None:
    network = given.network.train()
    settings = Settings(recipe=PLANNED)
    with compress(network, digits, "p99<=1s", out=tmp_path / "a.dip", settings=settings) as bundle:
        assert bundle.manifest.model.name == "teacher"
        assert bundle.manifest.teacher.score.value > 0.95
    assert network.training
    network.eval()


def test_what_compresses_is_found_by_what_is_given(elsewhere: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, output="scores")
    assert taught_by("a.onnx", settings).teacher == Path("a.onnx")
    assert taught_by(tmp_path / "a.dip", SETTINGS).teacher == tmp_path / "a.dip"
    own = taught_by(f"{elsewhere / 'net.py'}:gives_dict", settings).given
    assert own is not None
    assert own.output == "scores"
    assert taught_by(nn.Linear(2, 2), SETTINGS).given is not None


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("a.pt", "may hold code, and is not opened"),
        ("a.dip", "has one output"),
        ("net_of_nobody:make", "cannot import 'net_of_nobody'"),
    ],
)
def test_what_cannot_be_compressed_is_told(model: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        taught_by(model, dataclasses.replace(SETTINGS, output="scores"))


def test_only_a_bundle_says_what_it_was_trained_on() -> None:
    with pytest.raises(ConfigError, match="only a bundle says what it was trained on"):
        find_again(SETTINGS, None)


@pytest.mark.parametrize("model", [None, 7, {"0.weight": 1}, lambda: None])
def test_what_is_no_model_is_told_by_its_type(model: object) -> None:
    with pytest.raises(ConfigError, match=f"the model is of type {type(model).__name__}"):
        taught_by(model, SETTINGS)  # type: ignore[arg-type]


def test_what_is_no_data_is_told_by_its_type() -> None:
    with pytest.raises(DataError, match="data is of type list"):
        read([1, 2])  # type: ignore[arg-type]
