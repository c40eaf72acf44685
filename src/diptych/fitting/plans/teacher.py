"""The plan of a teacher that was given: one or more as they are, or an encoder that is tuned."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.manifest import Machine
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset
from diptych.fitting.members import EnsembleConfig, FunctionConfig, Member
from diptych.fitting.plans.machines import fast_arithmetic
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.targets.adopted import ForeignConfig
from diptych.training.encoder import EncoderConfig, check_items
from diptych.training.pretrained import fingerprint
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import Start

LEAST_EPOCHS, MOST_EPOCHS = 3, 10
USUAL_STEPS = 1000
BATCH_SIZE = 16
LEARNING_RATE = 5e-5
LABEL_SHARE = 0.5
NAMED = 3
HELD = {"validation", "test"}


def with_teacher(recipe: FitRecipe, folder: Path, dataset: Dataset, machine: Machine) -> FitRecipe:
    """Put a given teacher in the place of the planned one.

    Args:
        recipe: The plan of the fit.
        folder: A local Hugging Face folder with an encoder, as `check_folder` wants it.
        dataset: The data, of texts or pictures.
        machine: Where it is trained.

    Returns:
        The recipe with that teacher, who takes over whether classes are balanced.
    """
    check_items(dataset)
    training = fine_tuning(recipe.teacher.training, dataset, machine)
    network = EncoderConfig(folder=str(folder), sha256=fingerprint(folder))
    teacher = ModelPlan(name=recipe.teacher.name, network=network, training=training)
    return replace(recipe, teacher=teacher)


def fine_tuning(planned: TrainingRecipe, dataset: Dataset, machine: Machine) -> TrainingRecipe:
    """Say how a pretrained encoder is trained.

    Args:
        planned: How a network would be that begins anew.
        dataset: The data, of texts or pictures.
        machine: Where it is trained.

    Returns:
        The usual settings, with the balance of classes and the variation of pictures as planned.
    """
    items, is_pictures = len(dataset.train), isinstance(dataset.spec, ImageSpec)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(USUAL_STEPS * BATCH_SIZE / items)))
    return TrainingRecipe(
        epochs=float(epochs),
        batch_size=min(BATCH_SIZE, items),
        optimizer="adamw",
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        warmup_share=0.1,
        label_smoothing=0.0,
        clip=1.0,
        balance=planned.balance,
        variation=planned.variation if is_pictures else None,
        arithmetic=fast_arithmetic(machine),
        threads=machine.cores,
    )


def with_bundle(recipe: FitRecipe, start: Start, dataset: Dataset) -> FitRecipe:
    """Put the network of a bundle in the place of the planned teacher; it is not trained further.

    Args:
        recipe: The plan of the fit.
        start: What the bundle holds.
        dataset: The data, prepared as the bundle prepares it.

    Returns:
        The recipe with that teacher.

    """
    member = member_of(start, dataset)
    return replace(
        recipe, teacher=replace(recipe.teacher, network=member.network, start=start.plan, kept=True)
    )


def member_of(start: Start, dataset: Dataset) -> Member:
    """Plan a bundle that teaches, alone or beside others.

    Args:
        start: What the bundle holds.
        dataset: The data.

    Returns:
        Its network, with its weights.

    Raises:
        ConfigError: If it tells something else of an item, or has learned from items that it would
            be scored on.
    """
    network, told = start.alone().network(), start.manifest
    if network is None or told is None:
        raise ConfigError(f"{start.name} holds no network", "give a bundle")
    if (told.labels, told.goal) != (dataset.labels, dataset.goal):
        raise ConfigError(
            f"{start.name} tells {_labels(told.goal, told.labels)}, and the data has "
            f"{_labels(dataset.goal, dataset.labels)}",
            f"train a teacher of these labels from it: diptych train DATA --start {start.path}",
        )
    _check_split(start.name, told.provenance.data, dataset.record)
    return Member(network=network, start=start.plan)


def with_member(recipe: FitRecipe, config: ForeignConfig | FunctionConfig) -> FitRecipe:
    """Put a model that was made elsewhere in the place of the planned teacher.

    Args:
        recipe: The plan of the fit.
        config: An ONNX file or a function.

    Returns:
        The recipe with that teacher.
    """
    return _with_network(recipe, config)


def with_several(recipe: FitRecipe, members: Sequence[Member]) -> FitRecipe:
    """Put several models in the place of the planned teacher.

    Args:
        recipe: The plan of the fit.
        members: Two models or more.

    Returns:
        The recipe, with the mean of what they hold likely as the teacher.
    """
    return _with_network(recipe, EnsembleConfig(members=tuple(members)))


def _with_network(
    recipe: FitRecipe, network: ForeignConfig | FunctionConfig | EnsembleConfig
) -> FitRecipe:
    teacher = replace(recipe.teacher, network=network, start=None, kept=False)
    return replace(recipe, teacher=teacher)


def _check_split(name: str, learned: DataRecord, given: DataRecord) -> None:
    """Check that data which is the same as far as can be seen was split alike."""
    same = (learned.name, sum(learned.counts.values())) == (given.name, sum(given.counts.values()))
    splits = [(each.seed, each.counts["validation"]) for each in (learned, given)]
    if same and splits[0] != splits[1] and HELD - set(given.given_splits):
        held_back = learned.counts["validation"]
        raise ConfigError(
            f"{name} was trained on another split of the same data, by seed {learned.seed}, with "
            f"{held_back:,} items for validation",
            f"give --seed {learned.seed} --validation-items {held_back}, or it is scored on what "
            "it has learned",
        )


def _labels(goal: str, labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:NAMED]) + (", ..." if len(labels) > NAMED else "")
    return f"{len(labels)} of {goal} ({shown})"


def with_labels(recipe: FitRecipe) -> FitRecipe:
    """Have students learn from labels too, for nobody knows how good a given teacher is.

    On trec a bag of n-grams that learned from an encoder that had learned nothing was right on
    19 % of the test texts, and on 88 % with half of the loss on labels; with a teacher that was
    right on 79 %, on 87.5 % and 88 % (2 and 3 seeds).

    Args:
        recipe: The plan of a fit.

    Returns:
        The recipe with half of each student's loss on labels, where it was less.
    """
    students = [
        replace(
            plan,
            training=replace(
                plan.training, label_share=max(plan.training.label_share, LABEL_SHARE)
            ),
        )
        for plan in recipe.students
    ]
    return replace(recipe, students=tuple(students))
