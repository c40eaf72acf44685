"""Whether a recipe suits the data: networks and variations are of one kind of item each."""

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, ImageSpec, OwnSpec, TableSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import (
    ConformerConfig,
    DepthwiseNetConfig,
    NgramsConfig,
    PrunedConfig,
    ResidualNetConfig,
    TabularConfig,
    TextConvolutionConfig,
    TextMixtureConfig,
    TransformerConfig,
    WhitenedNetConfig,
)
from diptych.training.trees import TreesConfig
from diptych.training.variation import PictureVariation, SoundVariation, TextVariation

ITEMS: dict[type, str] = {
    ImageSpec: "pictures",
    AudioSpec: "sounds",
    TextSpec: "texts",
    TableSpec: "rows of a table",
    OwnSpec: "items of a task of one's own",
}
NETWORKS_OF: dict[type, type] = {
    ResidualNetConfig: ImageSpec,
    WhitenedNetConfig: ImageSpec,
    DepthwiseNetConfig: AudioSpec,
    ConformerConfig: AudioSpec,
    NgramsConfig: TextSpec,
    TextConvolutionConfig: TextSpec,
    TextMixtureConfig: TextSpec,
    TransformerConfig: TextSpec,
    TabularConfig: TableSpec,
    TreesConfig: TableSpec,
}
"""What each network takes; others take what they are told of."""
VARIATIONS_OF: dict[type, type] = {
    PictureVariation: ImageSpec,
    SoundVariation: AudioSpec,
    TextVariation: TextSpec,
}


def check_suits(recipe: FitRecipe, dataset: Dataset, *, networks: bool = True) -> None:
    """Check that all models of a recipe are for items such as these.

    Args:
        recipe: One that was given.
        dataset: The data.
        networks: Whether its networks are trained, and not one that training starts from.

    Raises:
        ConfigError: If a network or a variation is of another kind, or a setting of a training is
            of no use there.
    """
    spec = type(dataset.spec)
    for plan in (recipe.teacher, *recipe.students, *recipe.cheaper):
        if plan.prune is None:  # what is pruned starts from another, and is planned after it
            _check_settings(plan, starts=plan.start is not None or not networks)
        for what, kind in _needs(plan):
            other = spec is OwnSpec if what == "variation" else not networks
            if kind is not spec and not other:
                raise ConfigError(
                    f"the {what} of {plan.name!r} is for {ITEMS[kind]}, and "
                    f"{dataset.record.name} holds {ITEMS[spec]}",
                    "give a recipe for such data, or none",
                )


def _check_settings(plan: ModelPlan, *, starts: bool) -> None:
    """Check that a training can do what it is told, with what it has to begin with."""
    training = plan.training
    if training.freeze_share and not starts:
        raise ConfigError(
            f"{plan.name!r} has freeze_share = {training.freeze_share:g}, and starts from nothing: "
            "its first weights would wait as they were drawn",
            "leave freeze_share out, or give a start",
        )
    if training.fixed_norms and training.optimizer != "muon":
        raise ConfigError(
            f"{plan.name!r} has fixed_norms, which {training.optimizer} does not keep",
            'leave it out, or set optimizer = "muon"',
        )


def _needs(plan: ModelPlan) -> list[tuple[str, type]]:
    """List what of a model is for one kind of item, and for which."""
    config = plan.network.network if isinstance(plan.network, PrunedConfig) else plan.network
    found = [("network", NETWORKS_OF.get(type(config)))]
    found += [
        ("variation", VARIATIONS_OF.get(type(each.variation)))
        for each in (plan.training, plan.quantized)
        if each is not None
    ]
    return [(what, kind) for what, kind in found if kind is not None]
