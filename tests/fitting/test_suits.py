from collections.abc import Callable
from dataclasses import replace as changed

import pytest
from msgspec.structs import replace

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, InputSpec, TableSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.fit import fit
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.suits import check_suits
from diptych.training.models import (
    DepthwiseNetConfig,
    NgramsConfig,
    PrunedConfig,
    ResidualNetConfig,
    TabularConfig,
)
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import StartPlan
from diptych.training.variation import PictureVariation, SoundVariation

MakeDataset = Callable[..., Dataset]
RESIDUAL = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
SPECS: dict[str, InputSpec] = {
    "sounds": AudioSpec(sample_rate=8000, samples=8064),
    "texts": TextSpec(tokens=8, vocabulary=100),
    "rows of a table": TableSpec(columns=()),
}


def recipe_of(network: object, **training: object) -> FitRecipe:
    plan = ModelPlan(name="mine", network=network, training=TrainingRecipe(**training))
    return FitRecipe(teacher=plan)


@pytest.mark.parametrize("items", SPECS)
def test_a_network_of_pictures_is_refused_for_anything_else(
    make_dataset: MakeDataset, items: str
) -> None:
    other = changed(make_dataset(), spec=SPECS[items])
    reason = f"the network of 'mine' is for pictures, and .* holds {items}"
    with pytest.raises(ConfigError, match=reason):
        check_suits(recipe_of(RESIDUAL), other)
    check_suits(recipe_of(RESIDUAL), make_dataset())


@pytest.mark.parametrize(
    ("network", "items"),
    [
        (DepthwiseNetConfig(), "sounds"),
        (NgramsConfig(), "texts"),
        (TabularConfig(), "rows of a table"),
        (PrunedConfig(network=DepthwiseNetConfig(), widths={}), "sounds"),
    ],
)
def test_other_networks_are_refused_for_pictures(
    make_dataset: MakeDataset, network: object, items: str
) -> None:
    with pytest.raises(ConfigError, match=f"is for {items}, and .* holds pictures"):
        check_suits(recipe_of(network), make_dataset())


def test_variations_are_of_one_kind_of_item_too_whoever_has_them(
    make_dataset: MakeDataset,
) -> None:
    recipe = recipe_of(RESIDUAL, variation=PictureVariation(translate=1, cutout=1))
    check_suits(recipe, make_dataset())
    student = replace(
        recipe.teacher, name="student", training=TrainingRecipe(variation=SoundVariation())
    )
    with pytest.raises(ConfigError, match="the variation of 'student' is for sounds"):
        check_suits(replace(recipe, students=(student,)), make_dataset())


def test_layers_wait_only_where_there_are_weights_to_start_from(
    make_dataset: MakeDataset,
) -> None:
    recipe = recipe_of(RESIDUAL, freeze_share=0.3)
    with pytest.raises(
        ConfigError, match=r"'mine' has freeze_share = 0\.3, and starts from nothing"
    ):
        check_suits(recipe, make_dataset())
    check_suits(recipe, make_dataset(), networks=False)
    start = StartPlan(path="a.dip", sha256="0" * 64)
    check_suits(replace(recipe, teacher=replace(recipe.teacher, start=start)), make_dataset())


def test_norms_are_fixed_by_muon_alone(make_dataset: MakeDataset) -> None:
    recipe = recipe_of(RESIDUAL, fixed_norms=True)
    with pytest.raises(ConfigError, match="'mine' has fixed_norms, which sgd does not keep"):
        check_suits(recipe, make_dataset())
    check_suits(recipe_of(RESIDUAL, fixed_norms=True, optimizer="muon"), make_dataset())
    tuned = TrainingRecipe(fixed_norms=True, optimizer="adamw")  # as a student's is planned
    pruned = replace(recipe.teacher, name="less", training=tuned, prune=PruneRecipe(share=0.5))
    teacher = replace(recipe.teacher, training=replace(tuned, optimizer="muon"))
    check_suits(FitRecipe(teacher=teacher, students=(pruned,)), make_dataset())


def test_a_network_whose_place_another_one_takes_is_not_looked_at(
    make_dataset: MakeDataset,
) -> None:
    check_suits(recipe_of(NgramsConfig()), make_dataset(), networks=False)
    varied = recipe_of(NgramsConfig(), variation=SoundVariation())
    with pytest.raises(ConfigError, match="the variation of 'mine' is for sounds"):
        check_suits(varied, make_dataset(), networks=False)


def test_a_fit_is_refused_before_anything_is_trained() -> None:
    settings = Settings(recipe=recipe_of(NgramsConfig()))
    with pytest.raises(ConfigError, match="is for texts, and digits holds pictures"):
        fit("digits", "drop<=1%", settings=settings)
