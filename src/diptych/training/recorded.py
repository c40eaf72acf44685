"""Models that a student knows by their recorded answers only: trees, pretrained encoders.

Shapes: N items, U items without labels, K outputs.
"""

from dataclasses import dataclass

import numpy as np

from diptych.core.values import CurvePoint, Energy
from diptych.training.recipe import TrainingRecipe


@dataclass(frozen=True, kw_only=True)
class RecordedModel:
    """Answers to each split as a network gives them, float32 (N, K), and what they took.

    `train` are the answers that students learn from, and `unlabelled` those to U more items.
    `recipe` is how training really went, where there was one; `answered` is how many training items
    have an answer, None for all, and `trees` how many trees there was time for, None where there
    are none. `cpu_energy` is what the processors counted, where they do. `flops` is of one forward
    pass; `training_flops` of the whole run, a multiply-add counted as two.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    unlabelled: np.ndarray | None = None
    seconds: float
    cpu_seconds: float
    cpu_energy: Energy | None = None
    samples: int = 0
    curve: tuple[CurvePoint, ...] = ()
    parameters: int = 0
    flops: int = 0
    training_flops: int = 0
    recipe: TrainingRecipe | None = None
    answered: int | None = None
    trees: int | None = None

    def lesson(self) -> np.ndarray:
        """Give all answers that students learn from.

        Returns:
            float32 (N, K), or (N + U, K).
        """
        if self.unlabelled is None:
            return self.train
        return np.concatenate([self.train, self.unlabelled])
