import pytest
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import Step, silent
from diptych.fitting.plans.compressed import tuning_recipe, with_model, with_pruned
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.targets.adopted import ForeignConfig
from diptych.training.models import GivenConfig, PrunedConfig, ResidualNetConfig
from diptych.training.models.given import Scaling
from diptych.training.recipe import TrainingRecipe
from diptych.training.trees import TreesConfig
from diptych.training.variation import PictureVariation

SHA = "0" * 64
SHAPE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
GIVEN = GivenConfig(source="net.py:make", sha256=SHA)
VARIED = TrainingRecipe(epochs=20.0, batch_size=32, variation=PictureVariation(translate=1))
STUDENT = ModelPlan(name="student", network=SHAPE, training=VARIED)
PLANNED = FitRecipe(
    teacher=ModelPlan(name="wide", network=SHAPE, training=TrainingRecipe()),
    students=(STUDENT,),
    seed=7,
)


def test_a_model_takes_the_place_of_the_planned_teacher() -> None:
    recipe = with_model(PLANNED, GIVEN)
    assert (recipe.teacher.name, recipe.teacher.network) == ("wide", GIVEN)
    assert (recipe.students, recipe.seed) == ((STUDENT,), 7)
    trees = replace(PLANNED, teacher=replace(PLANNED.teacher, name="trees", network=TreesConfig()))
    assert with_model(trees, GIVEN).teacher.name == "teacher"


def test_what_was_pruned_from_a_module_is_pruned_again_from_the_one_that_is_given() -> None:
    first = with_pruned(with_model(PLANNED, GIVEN), silent)
    cut = PrunedConfig(network=GIVEN, widths={"network.stem": (1, 8)})
    done = replace(first, students=(replace(first.students[0], network=cut), *first.students[1:]))
    again = with_model(done, replace(GIVEN, channels_first=True))
    assert again.students[0].network == again.teacher.network
    assert again.students[-1] == STUDENT


def test_half_and_three_quarters_are_pruned_one_after_the_other() -> None:
    recipe = with_pruned(with_model(PLANNED, GIVEN), silent)
    half, most, student = recipe.students
    assert (half.name, half.source, most.name, most.source) == (
        "pruned-50",
        None,
        "pruned-75",
        "pruned-50",
    )
    assert student == STUDENT
    assert half.training.variation == VARIED.variation
    assert half.training.epochs == 10.0
    assert recipe.left_with([student]).students == recipe.students


def test_a_model_without_weights_of_its_own_is_not_pruned_and_it_is_said() -> None:
    scaling = Scaling(name="made", mean=(0.0,), deviation=(1.0,))
    recipe = with_model(PLANNED, ForeignConfig(path="a.onnx", sha256=SHA, scaling=scaling))
    told = list[Step]()
    assert with_pruned(recipe, told.append) is recipe
    assert "not pruned" in told[0].note


def test_any_network_can_be_tuned_by_small_steps() -> None:
    recipe = tuning_recipe(replace(VARIED, optimizer="sgd", learning_rate=0.5, clip=0.0))
    assert (recipe.optimizer, recipe.learning_rate, recipe.clip) == ("adamw", 3e-3, 1.0)


def test_a_module_teaches_and_is_no_student() -> None:
    student = replace(STUDENT, network=GIVEN)
    with pytest.raises(ConfigError, match="students can be pruned from it"):
        replace(PLANNED, students=(student,))
