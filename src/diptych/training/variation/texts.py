"""Whole batches of varied texts: pieces are forgotten, and padding that no text needs is cut off.

Shapes: N all texts, B batch, L tokens.
"""

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from diptych.core.specs import Value
from diptych.training.sending import sent

UNKNOWN = 1


class TextVariation(Value, tag="text"):
    """How far texts are changed: each piece becomes an unknown one with the chance `forget`."""

    forget: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.1


class TextBatches:
    """Draws varied batches from texts that stay as they are.

    Args:
        tokens: int32 (N, L), zeros after each text.
        variation: How far they are changed.
        generator: Not used.
    """

    def __init__(
        self, tokens: Tensor, variation: TextVariation, generator: torch.Generator
    ) -> None:
        self.tokens = tokens
        self.variation = variation

    def draw(self, chosen: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Make one batch.

        Args:
            chosen: int64 (B,), indices of the items.
            epoch: Not used.
            generator: The stream of randomness of this batch.

        Returns:
            int32 (B, L') where L' is the length of the longest text of the batch, at least 1.
        """
        rows = self.tokens[chosen]  # (B, L); all N may be larger than memory
        batch = rows[:, : max(1, int(rows.amax(0).count_nonzero()))]
        drawn = sent(torch.rand(batch.shape, generator=generator), batch.device)
        return torch.where(drawn < self.variation.forget, batch.clamp(max=UNKNOWN), batch)
