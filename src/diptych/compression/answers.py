"""A teacher's answers to a batch: computed as it comes, looked up, or remembered.

Where training changes items on the way, a teacher answers what the student sees; where it does not,
an item is the same in every epoch and for every student, and one answer to it is enough. Where
batches repeat themselves after so many epochs, as changed items too, one answer to each of them is;
and where they come back as mirror images, one answer serves for both if the teacher looks at both.

Shapes: N items, B batch, K outputs.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from diptych.core.specs import COLUMNS
from diptych.training.compute import autocast
from diptych.training.recipe import Arithmetic, TrainingRecipe
from diptych.training.variation import PictureVariation

MOST_BYTES = 1 << 30
KEY_BYTES = 16

Answers = Callable[[Tensor, Tensor], Tensor]
"""(inputs (B, ...), chosen int64 (B,)) to the teacher's outputs float32 (B, K)."""


class Running:
    """A teacher that answers each batch as it comes; no gradient reaches it.

    Asked twice about the same batch, as for both labels of mixed items, it computes once.

    Args:
        teacher: A network in evaluation mode that takes what the student takes.
        arithmetic: What it computes in.
    """

    def __init__(self, teacher: nn.Module, arithmetic: Arithmetic = "fp32") -> None:
        self.teacher, self.arithmetic = teacher, arithmetic
        self.last: tuple[Tensor, Tensor] | None = None

    def __call__(self, inputs: Tensor, chosen: Tensor) -> Tensor:
        """Answer a batch (B, ...) with float32 (B, K)."""
        if self.last is None or self.last[0] is not inputs:
            with torch.no_grad(), autocast(inputs.device, self.arithmetic):
                self.last = inputs, self.teacher(inputs).float()
        return self.last[1]


def recorded(outputs: Tensor) -> Answers:
    """Look a teacher's answers up, where it cannot run here.

    Args:
        outputs: float32 (N, K), its outputs for the items that are learned.

    Returns:
        Its answers.
    """

    def answer(inputs: Tensor, chosen: Tensor) -> Tensor:
        return outputs[chosen]

    return answer


class Memory:
    """What a teacher has answered; it is asked about each item once, by whoever learns first."""

    def __init__(self) -> None:
        self.items: np.ndarray | None = None
        self.outputs = self.asked = torch.empty(0)
        self.left = 0

    def known(self) -> np.ndarray | None:
        """Give all answers.

        Returns:
            float32 (N, K); None where some items were not asked about.
        """
        return None if self.items is None or self.left else self.outputs.cpu().numpy()

    def learn(self, items: np.ndarray, outputs: np.ndarray) -> None:
        """Take over what another memory knows.

        Args:
            items: All that are learned, (N, ...).
            outputs: float32 (N, K), the answers.
        """
        self.items, self.outputs, self.left = items, torch.from_numpy(outputs), 0

    def recall(self, answers: Answers, items: np.ndarray) -> Answers:
        """Answer from memory, where it can be.

        Args:
            answers: How the teacher answers, the same for the same items.
            items: All that are learned, (N, ...); other ones are another lesson.

        Returns:
            The same answers.
        """
        if self.items is not items:
            self.items, self.left = items, len(items)
            self.outputs = self.asked = torch.empty(0)

        def answer(inputs: Tensor, chosen: Tensor) -> Tensor:
            if self.left:
                self._ask(answers, inputs, chosen)
            if self.outputs.device != chosen.device:
                self.outputs = self.outputs.to(chosen.device)
            return self.outputs[chosen]

        return answer

    def _ask(self, answers: Answers, inputs: Tensor, chosen: Tensor) -> None:
        """Ask about the items of a batch that were not asked about."""
        if not len(self.asked):
            self.asked = torch.zeros(self.left, dtype=torch.bool, device=chosen.device)
        new = ~self.asked[chosen]
        if not new.any():
            return
        whole = bool(new.all())
        given = answers(inputs, chosen) if whole else answers(inputs[new], chosen[new])
        if not len(self.outputs):
            self.outputs = given.new_empty(len(self.asked), given.shape[1])
        self.outputs[chosen[new]] = given
        self.asked[chosen[new]] = True
        self.left = len(self.asked) - int(self.asked.sum())


class Repeated:
    """A teacher that is asked about the same batches again; it computes each once.

    Batches are known by what is in them: their number would not say which part of a batch it is,
    which of its items have labels, or whether its mirror image has been mixed alike. For this a
    graphics processor is waited for, once for each batch.

    Args:
        answers: How it answers, the same for the same inputs.
        mirrors: Whether it tells the same of a picture (H, W, C) and its mirror image.
    """

    def __init__(self, answers: Answers, *, mirrors: bool = False) -> None:
        self.answers, self.mirrors = answers, mirrors
        self.given: dict[bytes, Tensor] = {}
        self.last: tuple[Tensor, Tensor] | None = None

    def __call__(self, inputs: Tensor, chosen: Tensor) -> Tensor:
        """Answer a batch (B, ...) with float32 (B, K)."""
        if self.last is None or self.last[0] is not inputs:
            self.last = inputs, self._recall(inputs, chosen)
        return self.last[1]

    def _recall(self, inputs: Tensor, chosen: Tensor) -> Tensor:
        content = inputs.cpu()
        alike = [content, content.flip(COLUMNS)] if self.mirrors else [content]
        keys = [_digest(each) for each in alike]
        key = min(keys)
        if key not in self.given:
            side = inputs if key == keys[0] else inputs.flip(COLUMNS)
            self.given[key] = self.answers(side, chosen)
        return self.given[key]


def _digest(content: Tensor) -> bytes:
    numbers = content.flatten().numpy()
    return hashlib.blake2b(numbers.data, digest_size=KEY_BYTES).digest()


def views_of(recipe: TrainingRecipe, *, mirrors: bool = False) -> int:
    """Say how many epochs differ for a teacher.

    Args:
        recipe: Of the student's training.
        mirrors: Whether the teacher tells the same of a picture and its mirror image.

    Returns:
        After how many the same batches come again; 0 for never.
    """
    variation = recipe.variation
    turned = isinstance(variation, PictureVariation) and variation.flip and recipe.views % 2 == 1
    return recipe.views * (2 if turned and not mirrors else 1)


def can_repeat(recipe: TrainingRecipe, count: int, outputs: int, *, mirrors: bool = False) -> bool:
    """Say whether a teacher is to remember the batches it was asked about.

    Args:
        recipe: Of the student's training.
        count: How many items are learned.
        outputs: K.
        mirrors: Whether the teacher tells the same of a picture and its mirror image.

    Returns:
        Whether batches come again, and there is room for the answers.
    """
    views = views_of(recipe, mirrors=mirrors)
    return 0 < views < recipe.epochs and 4 * count * views * outputs <= MOST_BYTES


def can_remember(recipe: TrainingRecipe, count: int, outputs: int) -> bool:
    """Say whether a teacher needs to be asked about an item only once.

    Args:
        recipe: Of the student's training.
        count: How many items are learned.
        outputs: K.

    Returns:
        Whether items stay as they are in every epoch, and there is room for the answers.
    """
    varies = recipe.variation is not None or recipe.mixup > 0 or recipe.cutmix > 0
    return not varies and 4 * count * outputs <= MOST_BYTES


def asked_for(
    recipe: TrainingRecipe, count: int, outputs: int, samples: int, *, mirrors: bool = False
) -> int:
    """Say how many items a teacher that is a network computes while a student learns.

    Args:
        recipe: Of the student's training.
        count: How many items are learned.
        outputs: K.
        samples: How many items the student is shown, one several times.
        mirrors: Whether the teacher tells the same of a picture and its mirror image.

    Returns:
        At most that many; fewer where the teacher remembers them.
    """
    if can_remember(recipe, count, outputs):
        return min(samples, count)
    if can_repeat(recipe, count, outputs, mirrors=mirrors):
        return min(samples, count * views_of(recipe, mirrors=mirrors))
    return samples
