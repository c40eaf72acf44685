"""A pretrained encoder of texts with its head, that takes token numbers and needs no mask.

Shapes: N texts, L tokens, K outputs.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

TEXTS_AT_ONCE = 32


class Encoder(nn.Module):
    """An encoder with its head, whose texts are (N, L) tokens filled up with padding.

    Args:
        model: A ``transformers`` model for sequence classification.
        numbers: The model's own numbers of tokens that have others here.
    """

    def __init__(self, model: Any, numbers: Mapping[int, int] | None = None) -> None:  # noqa: ANN401  an untyped library's object
        super().__init__()
        self.model = model
        self.padding = int(model.config.pad_token_id)
        self.numbers = dict(numbers or {})

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute outputs; outside training, few texts of like length at once.

        An exported graph computes all texts at once: where it runs, they come one by one.

        Args:
            tokens: int32 (N, L).

        Returns:
            float32 (N, K).
        """
        told = tokens.long()
        own = told
        for number, meant in self.numbers.items():
            own = torch.where(told == number, meant, own)
        if torch.compiler.is_exporting():
            return self._answer(own)
        if self.training:
            return self._answer(self._shortened(own))
        order = (own != self.padding).sum(1).argsort(stable=True)
        parts = torch.split(order, TEXTS_AT_ONCE)
        answers = torch.cat([self._answer(self._shortened(own[rows])) for rows in parts])
        return answers[order.argsort()]

    def _shortened(self, tokens: Tensor) -> Tensor:
        """Cut off the padding that no text needs."""
        used = (tokens != self.padding).any(0).nonzero()
        return tokens[:, : int(used.max()) + 1 if len(used) else 1]

    def _answer(self, tokens: Tensor) -> Tensor:
        mask = (tokens != self.padding).long()
        outputs: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return outputs.float()
