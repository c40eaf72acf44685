"""A student that learns its teacher's features too: what is trained, and towards what."""

import dataclasses
from dataclasses import dataclass

from torch import nn

from diptych.compression.features import Showing, Watched, shape_of, with_features
from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.fitting.aims import objective_of
from diptych.training.compute import initialize
from diptych.training.control import RunControl
from diptych.training.models.features import features_of
from diptych.training.objectives import Objective
from diptych.training.recipe import TrainingRecipe

SET_TO_0 = "set similarity and features to 0"


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What is trained, which holds a network; its objective; and the control of its run."""

    module: nn.Module
    objective: Objective
    control: RunControl


def shows(recipe: TrainingRecipe) -> bool:
    """Say whether a student learns features.

    Args:
        recipe: Of its training.

    Returns:
        Whether one of the two weights is above 0.
    """
    return bool(recipe.similarity or recipe.features)


def showing_learner(
    network: nn.Module,
    teacher: nn.Module | None,
    dataset: Dataset,
    recipe: TrainingRecipe,
    control: RunControl,
) -> Learner:
    """Have a student learn a teacher's answers and features.

    Args:
        network: The student, on the processor.
        teacher: Whom it imitates, on the processor; None where it only has answers.
        dataset: The data.
        recipe: The weights, and all that concerns the answers.
        control: Of the student's run.

    Returns:
        What is trained; the network in it, which is changed in place, is the student.

    Raises:
        ConfigError: If one of the two does not show its features.
    """
    if teacher is None or features_of(teacher) is None:
        raise ConfigError(f"the teacher of {control.name} does not show its features", SET_TO_0)
    if features_of(network) is None:
        raise ConfigError(f"{control.name} does not show its features", SET_TO_0)
    spec, outputs = dataset.spec.tensor(), len(dataset.labels)
    shape, channels = shape_of(network, spec), shape_of(teacher, spec)[0]
    student = initialize(
        lambda: Showing(network, shape, channels), control.seed, control.name, "projection"
    )
    watched = Watched(teacher.to(control.device), recipe)
    objective = objective_of(dataset, recipe, watched.answers, control.device)
    fresh = {f"network.{name}" for name in control.fresh}
    fresh |= {f"projection.{name}" for name, _ in student.projection.named_parameters()}
    return Learner(
        module=student,
        objective=with_features(objective, student, watched, recipe, outputs),
        control=dataclasses.replace(control, fresh=frozenset(fresh)),
    )
