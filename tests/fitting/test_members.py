import msgspec
import pytest

from diptych.core.errors import ConfigError
from diptych.fitting.members import EnsembleConfig, FunctionConfig, Member
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import StartPlan

NETWORK = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
BUNDLE = Member(network=NETWORK, start=StartPlan(path="a.dip", sha256="a" * 64))
FUNCTION = FunctionConfig(function="module:function", sha256="b" * 64)
STUDENT = ModelPlan(name="student", network=NETWORK, training=TrainingRecipe())


def taught_by(network: EnsembleConfig | FunctionConfig) -> ModelPlan:
    return ModelPlan(name="teacher", network=network, training=TrainingRecipe())


def test_a_recipe_with_several_teachers_is_written_and_read() -> None:
    several = EnsembleConfig(members=(BUNDLE, Member(network=FUNCTION)))
    recipe = FitRecipe(teacher=taught_by(several), students=(STUDENT,))
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=FitRecipe) == recipe


def test_one_model_is_no_ensemble() -> None:
    told = {"name": "ensemble", "members": [msgspec.to_builtins(BUNDLE)]}
    with pytest.raises(msgspec.ValidationError, match="length >= 2"):
        msgspec.convert(told, EnsembleConfig)


@pytest.mark.parametrize("network", [FUNCTION, EnsembleConfig(members=(BUNDLE, BUNDLE))])
def test_functions_and_ensembles_only_teach(network: EnsembleConfig | FunctionConfig) -> None:
    with pytest.raises(ConfigError, match="can only teach"):
        FitRecipe(teacher=taught_by(network))
    student = ModelPlan(name="other", network=network, training=TrainingRecipe())
    with pytest.raises(ConfigError, match="can only teach"):
        FitRecipe(teacher=STUDENT, students=(student,))
