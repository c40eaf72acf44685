"""Learning from a teacher's last features: what is alike in a batch, and the features themselves.

While it is trained, a student gives its features behind its outputs, flat, so that an objective
sees both; a projection onto the teacher's features is trained with it and dropped afterwards.

Shapes: B batch, K outputs, C and D channels of student and teacher, F numbers of all its features.

Source: F. Tung and G. Mori, "Similarity-preserving knowledge distillation", 2019; A. Romero et al.,
"FitNets: hints for thin deep nets", 2015. Changed: the sum over a batch is divided by its size once
and not twice, the square of features by the teacher's, so that weights mean the same for any batch
and network; projected are the last features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.specs import TensorSpec
from diptych.training.compute import autocast
from diptych.training.models.features import look
from diptych.training.objectives import Objective
from diptych.training.recipe import TrainingRecipe

LEAST = 1e-12


class Showing(nn.Module):
    """A student that in training gives its features behind its outputs, (B, K + F) or (B, M K + F).

    Args:
        network: A network that shows its features.
        shape: Of its features without the batch, (C, ...).
        channels: D.
    """

    def __init__(self, network: nn.Module, shape: torch.Size, channels: int) -> None:
        super().__init__()
        self.network, self.shape = network, shape
        self.projection = nn.Linear(shape[0], channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs (B, K) of raw inputs, and in training the features too."""
        if not self.training:
            told: Tensor = self.network(inputs)
            return told
        outputs, features = look(self.network, inputs)
        return torch.cat([outputs.flatten(1).float(), features.flatten(1).float()], 1)

    def split(self, shown: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
        """Part what was given in training.

        Args:
            shown: (B, K + F) or (B, M K + F).
            outputs: K.

        Returns:
            Outputs (B, K) or (B, M, K), and features (B, C, ...).
        """
        count = self.shape.numel()
        told, features = shown[:, :-count], shown[:, -count:]
        if told.shape[1] != outputs:
            told = torch.unflatten(told, 1, (-1, outputs))
        return told, torch.unflatten(features, 1, self.shape)

    def projected(self, features: Tensor) -> Tensor:
        """Map features (B, C, ...) to (B, D, ...)."""
        mapped: Tensor = self.projection(features.movedim(1, -1))
        return mapped.movedim(-1, 1)


class Watched:
    """A teacher whose outputs and features come from one pass over a batch.

    Args:
        teacher: A network in evaluation mode that shows its features.
        recipe: What it computes in.
    """

    def __init__(self, teacher: nn.Module, recipe: TrainingRecipe) -> None:
        self.teacher, self.recipe = teacher, recipe
        self.last: tuple[Tensor, Tensor, Tensor] | None = None

    def answers(self, inputs: Tensor, chosen: Tensor) -> Tensor:
        """Answer a batch (B, ...) with float32 (B, K)."""
        return self._look(inputs)[1]

    def features(self, inputs: Tensor) -> Tensor:
        """Show the features of a batch, float32 (B, D, ...)."""
        return self._look(inputs)[2]

    def _look(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.last is None or self.last[0] is not inputs:
            with torch.no_grad(), autocast(inputs.device, self.recipe.arithmetic):
                outputs, features = look(self.teacher, inputs)
            self.last = inputs, outputs.float(), features.float()
        return self.last


def shape_of(network: nn.Module, spec: TensorSpec) -> torch.Size:
    """Say what shape a network's features have.

    Args:
        network: One that shows them; left as it is.
        spec: Its input.

    Returns:
        (C, ...), without the batch.
    """
    sides = [size or 1 for size in spec.shape[1:]]
    was = network.training
    with torch.no_grad():
        shown = look(network.eval(), torch.zeros(1, *sides, dtype=getattr(torch, spec.dtype)))
    network.train(was)
    return shown[1].shape[1:]


def with_features(
    objective: Objective, student: Showing, watched: Watched, recipe: TrainingRecipe, outputs: int
) -> Objective:
    """Add what features cost to an objective of outputs.

    Args:
        objective: Of the outputs.
        student: Who is trained.
        watched: Whom it imitates.
        recipe: The weights `similarity` and `features`.
        outputs: K.

    Returns:
        The objective of what the student gives in training.
    """

    def total(inputs: Tensor, shown: Tensor, chosen: Tensor) -> Tensor:
        told, mine = student.split(shown, outputs)
        loss, theirs = objective(inputs, told, chosen), watched.features(inputs)
        if recipe.similarity:
            loss = loss + recipe.similarity * dissimilarity(mine, theirs)
        if recipe.features:
            loss = loss + recipe.features * distance(student.projected(mine), theirs)
        return loss

    return total


def dissimilarity(mine: Tensor, theirs: Tensor) -> Tensor:
    """Say how differently a batch's items are alike for two networks, whatever their features mean.

    Args:
        mine: (B, C, ...).
        theirs: (B, D, ...), of the same items.

    Returns:
        The mean over items of the squared distance of their rows of similarities, each of length 1.
    """
    rows = [functional.normalize(flat @ flat.T) for flat in (mine.flatten(1), theirs.flatten(1))]
    return ((rows[0] - rows[1]) ** 2).sum(1).mean()


def distance(mine: Tensor, theirs: Tensor) -> Tensor:
    """Say how far projected features are from a teacher's.

    Args:
        mine: (B, D, ...); of other places than theirs, both are averaged over as many as the
            smaller has, or over all of them where these lie along other axes.
        theirs: (B, D, ...).

    Returns:
        The mean squared difference, in units of their mean square.
    """
    if mine.shape != theirs.shape:
        mine, theirs = _same_places(mine, theirs)
    return ((mine - theirs) ** 2).mean() / (theirs**2).mean().clamp_min(LEAST)


def _same_places(mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    if mine.dim() != theirs.dim() or mine.dim() > 4:
        return mine.flatten(2).mean(2) if mine.dim() > 2 else mine, (
            theirs.flatten(2).mean(2) if theirs.dim() > 2 else theirs
        )
    sides = [min(pair) for pair in zip(mine.shape[2:], theirs.shape[2:], strict=True)]
    pool = functional.adaptive_avg_pool1d if len(sides) == 1 else functional.adaptive_avg_pool2d
    return pool(mine, sides), pool(theirs, sides)  # type: ignore[arg-type]  # as many as it takes
