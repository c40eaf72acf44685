"""The recipe of a whole fit: what is trained, how, and into which programs it is lowered.

A fit without one plans it, and writes what it did into the bundle; with that it is done again.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.fitting import recipe_errors
from diptych.fitting.members import EnsembleConfig, FunctionConfig, Member
from diptych.fitting.program_plan import ProgramPlan
from diptych.inference.manifest import check_model_name
from diptych.targets.adopted import ForeignConfig
from diptych.training.encoder import EncoderConfig
from diptych.training.models import (
    NETWORKS,
    GivenConfig,
    NetworkConfig,
    OwnConfig,
    PrunedConfig,
)
from diptych.training.models.given import Scaling
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.start import StartPlan
from diptych.training.trees import TreesConfig
from diptych.training.variation import BATCHES

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z")]
ONLY_TEACH = (TreesConfig, EncoderConfig, FunctionConfig, EnsembleConfig)
UNTRAINED = (*ONLY_TEACH, ForeignConfig)


Config = (
    NetworkConfig | TreesConfig | EncoderConfig | ForeignConfig | FunctionConfig | EnsembleConfig
)


class ModelPlan(Value):
    """One network and how it is trained, its first weights too; files are called by the name.

    A network that is `kept` has the weights that it starts from, and is not trained.

    With `prune` a student begins as the model of the name `source`, by default the teacher, and is
    pruned; its `network` is that of the source, and in the recipe of a bundle what is left of it.

    `quantized` is how it is then trained on in 8 bits; without it this is done, as far as
    `programs` ask for it, where an int8 program loses more than the budget allows.
    """

    name: Name
    network: Config
    training: TrainingRecipe
    start: StartPlan | None = None
    kept: bool = False
    prune: PruneRecipe | None = None
    source: Name | None = None
    quantized: TrainingRecipe | None = None

    def __post_init__(self) -> None:
        """Check what concerns several fields.

        Raises:
            ConfigError: If there are no weights to keep, or features that cannot be learned.
        """
        if self.kept and self.start is None:
            raise ConfigError(f"{self.name} is to be kept, and starts from nothing", "give a start")
        whole = (self.quantized, self.training if self.prune else None)
        if any(recipe and (recipe.similarity or recipe.features) for recipe in whole):
            raise ConfigError(
                f"{self.name} cannot learn features while it is pruned or trained in 8 bits",
                "set similarity and features to 0 there",
            )


def starts_of(plan: ModelPlan) -> tuple[StartPlan, ...]:
    """List the weights that a model is made of.

    Args:
        plan: The model.

    Returns:
        That of the plan, or those of its members.
    """
    members = plan.network.members if isinstance(plan.network, EnsembleConfig) else ()
    starts = (plan.start, *(member.start for member in members))
    return tuple(start for start in starts if start)


class FitRecipe(Value):
    """Everything a fit decides; students learn from the teacher, in this order.

    With `most_students` only so many are trained: the first that can keep the budget, by what they
    cost before they are trained, and what is pruned from these; where it is one, the best of those
    that may cost the same. A bundle's recipe has those that were.

    Where a student keeps the budget, those of `cheaper`, the costliest first, are tried in its
    place as far as there is time; most of them are not trained to the end.

    `validation_items` are held back of the training data where it comes without a validation split.
    """

    teacher: ModelPlan
    students: tuple[ModelPlan, ...] = ()
    most_students: Annotated[int, Meta(ge=0)] = 0
    cheaper: tuple[ModelPlan, ...] = ()
    programs: tuple[ProgramPlan, ...] = ()
    calibration_items: Annotated[int, Meta(ge=16)] = 512
    validation_items: Annotated[int, Meta(ge=1)] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what concerns more than one model.

        Raises:
            ConfigError: If a name is too long or two are the same, or nothing can be lowered.
        """
        names = [plan.name for plan in (self.teacher, *self.students, *self.cheaper)]
        for name in names:
            check_model_name(name)
        if len(set(names)) < len(names):
            raise ConfigError(f"models share a name: {', '.join(names)}")
        pupils = (*self.students, *self.cheaper)
        taught = [not isinstance(plan.network, UNTRAINED) for plan in pupils]
        if not all(taught) or (isinstance(self.teacher.network, ONLY_TEACH) and not self.students):
            raise ConfigError(
                "trees, pretrained encoders, ONNX files, functions and several models together can "
                "only teach: students must be networks, at least one"
            )
        if any(isinstance(p.network, GivenConfig) and p.prune is None for p in self.students):
            raise ConfigError("a module of one's own teaches; students can be pruned from it")
        for place, plan in enumerate(self.students):
            _check_source(plan, (self.teacher, *self.students[:place]))
        for plan in self.cheaper:
            _check_source(plan, ())
        _check_source(self.teacher, ())

    def source_of(self, plan: ModelPlan) -> ModelPlan:
        """Find what a pruned model is made of.

        Args:
            plan: One of this recipe, with `prune`.

        Returns:
            The plan of its source.
        """
        named = {each.name: each for each in (self.teacher, *self.students)}
        return named[plan.source or self.teacher.name]

    def followed(self, plans: Sequence[ModelPlan]) -> "FitRecipe":
        """Write down what was really done.

        Args:
            plans: The teacher's, then the students', as they were trained; of one name the last.

        Returns:
            The recipe with these, and nobody else to try.
        """
        teacher, *students = {plan.name: plan for plan in plans}.values()
        return structs.replace(self, teacher=teacher, students=tuple(students), cheaper=())

    def left_with(self, chosen: Sequence[ModelPlan], most: int = 0) -> "FitRecipe":
        """Leave only some of the students that are trained from their first weights.

        Args:
            chosen: Those.
            most: How many of them are trained; 0 for all.

        Returns:
            The recipe with them, and with the students that are pruned from what is left; whoever
            else comes after the first of them, and costs less, is there as `cheaper`.
        """
        kept: dict[str, ModelPlan] = {}
        for plan in self.students:
            source = plan.source or self.teacher.name
            pruned = plan.prune is not None and source in {self.teacher.name, *kept}
            if pruned or plan in chosen:
                kept[plan.name] = plan
        whole = [plan for plan in self.students if plan.prune is None]
        rest = [plan for plan in whole[whole.index(chosen[0]) :] if plan not in chosen]
        return structs.replace(
            self,
            students=tuple(kept.values()),
            most_students=most,
            cheaper=(*rest, *self.cheaper),
        )


def _check_source(plan: ModelPlan, earlier: tuple[ModelPlan, ...]) -> None:
    """Check that what is to be pruned is a network before it, of the shape that the plan tells."""
    if plan.prune is None:
        if plan.source is not None:
            raise ConfigError(
                f"{plan.name} has the source {plan.source!r} and is not pruned",
                "say how with prune, or leave the source out",
            )
        return
    networks = {each.name: each for each in earlier if not isinstance(each.network, UNTRAINED)}
    name = plan.source or (earlier[0].name if earlier else plan.name)
    if name not in networks:
        raise ConfigError(
            f"{plan.name} is to be pruned from {name!r}, which is no network before it",
            f"networks before it: {', '.join(networks) or 'none'}",
        )
    if _whole(plan) != _whole(networks[name]) or plan.start is not None:
        raise ConfigError(
            f"{plan.name} is to be pruned from {name!r} and has another network or start",
            f"give it the network of {name!r}, and no start",
        )


def _whole(plan: ModelPlan) -> Config:
    """Return the shape that a network was built in."""
    return plan.network.network if isinstance(plan.network, PrunedConfig) else plan.network


KINDS = (
    FitRecipe,
    ModelPlan,
    ProgramPlan,
    TrainingRecipe,
    Replan,
    OwnConfig,
    GivenConfig,
    PrunedConfig,
    PruneRecipe,
    TreesConfig,
    EncoderConfig,
    ForeignConfig,
    FunctionConfig,
    EnsembleConfig,
    Member,
    Scaling,
    StartPlan,
    *NETWORKS,
    *BATCHES,
)


class _Provenance(Struct):
    recipe: FitRecipe


class _Written(Struct):
    """The part of ``bundle.json`` that is read here."""

    provenance: _Provenance


def read_recipe(path: Path) -> FitRecipe:
    """Read a recipe from a TOML file, or from the bundle that a fit wrote.

    A rate that a file does not name is looked for when the training begins.

    Args:
        path: A ``.toml`` file or a bundle's folder.

    Returns:
        The recipe.

    Raises:
        ConfigError: If there is none, or a setting is unknown or out of its range.
    """
    source = path / "bundle.json" if path.is_dir() else path
    document: object = None
    try:
        text = source.read_bytes()
        if source.suffix == ".json":
            return msgspec.json.decode(text, type=_Written).provenance.recipe
        document = tomllib.loads(text.decode())
        _leave_rates_open(document)
        return msgspec.convert(document, FitRecipe)
    except OSError as error:
        raise ConfigError(
            f"cannot read the recipe {source}: {error.strerror}",
            "give a .toml file or the folder of a bundle",
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the recipe {source} cannot be used: {error}{recipe_errors.seen(error, document)}",
            recipe_errors.hint(error, KINDS),
        ) from error


def _leave_rates_open(document: dict[str, Any]) -> None:
    lists = [document.get("students"), document.get("cheaper")]
    listed = [plan for plans in lists if isinstance(plans, list) for plan in plans]
    for plan in (document.get("teacher"), *listed):
        if isinstance(plan, dict) and isinstance(plan.get("training"), dict):
            plan["training"].setdefault("learning_rate", None)
