"""The score of a network while it is trained: over the validation split, by all of a team."""

from collections.abc import Callable

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.values import Dataset
from diptych.tasks.goals import kind_of
from diptych.training.compute import compute_outputs
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import Team


def validation_score(
    network: nn.Module,
    dataset: Dataset,
    recipe: TrainingRecipe,
    team: Team,
    tell: Callable[[], None],
) -> float | None:
    """Compute the mean score of the validation split.

    Args:
        network: As it is to be scored.
        dataset: The data.
        recipe: How many threads there are.
        team: Who shares the items.
        tell: Called after each batch, so that nobody thinks that this process hangs.

    Returns:
        The mean over all items; None where there are none.
    """
    split = dataset.validation
    if not len(split):
        return None
    each = -(-len(split) // team.size)  # as many for all, some of which another one has too
    starts = [min(rank * each, len(split) - each) for rank in range(team.size)]
    start = starts[team.rank]
    recipe = replace(recipe, threads=team.threads(recipe.threads))
    own = compute_outputs(network, split.inputs[start : start + each], recipe, lambda done: tell())
    parts = team.gathered(torch.from_numpy(own).flatten()).view(team.size, *own.shape).numpy()
    new = [part[rank * each - starts[rank] :] for rank, part in enumerate(parts)]
    scores = kind_of(dataset).item_scores(np.concatenate(new), split.targets)
    return float(scores.sum()) / len(split)
