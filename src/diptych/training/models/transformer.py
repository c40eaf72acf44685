"""A small transformer over word pieces: attention finds what belongs together, a mean sums it up.

Norms come first in each block. Padding is left out of attention after the softmax, by shares that
sum to 1 again, and not by huge negative scores before it, whose range 8 bits could not hold.

Shapes: N texts, L tokens, H heads, S numbers per head, W per token, K outputs.

Source: A. Vaswani et al., "Attention is all you need", 2017; norms first from R. Xiong et al., "On
layer normalization in the transformer architecture", 2020.
"""

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.specs import TextSpec, Value
from diptych.training.models.heads import Projections
from diptych.training.models.lengths import by_length

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
EMBEDDING_DEVIATION = 0.1
PLACE_DEVIATION = 0.02
WIDTH_STEP = 8


class TransformerConfig(Value, tag_field="name", tag="transformer"):
    """The shape of a transformer.

    `width` is numbers per token, a multiple of `heads`; `hidden` is the width inside each of
    `layers` blocks; `dropout` is the share of numbers left out in training.
    """

    width: Annotated[int, Meta(ge=1, le=4096)] = 96
    heads: Annotated[int, Meta(ge=1, le=64)] = 4
    layers: Annotated[int, Meta(ge=1, le=48)] = 2
    hidden: Annotated[int, Meta(ge=1, le=16_384)] = 192
    dropout: Share = 0.2

    def scaled(self, factor: float) -> "TransformerConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply widths by; each head keeps a multiple of 8 numbers.

        Returns:
            The scaled shape, with as many heads and layers.
        """
        step = WIDTH_STEP * self.heads
        return TransformerConfig(
            width=step * max(1, round(self.width * factor / step)),
            heads=self.heads,
            layers=self.layers,
            hidden=step * max(1, round(self.hidden * factor / step)),
            dropout=self.dropout,
        )


class Transformer(nn.Module):
    """Token numbers in, outputs out.

    Args:
        config: The shape of the network.
        spec: The texts it takes.
        outputs: K.
    """

    def __init__(self, config: TransformerConfig, spec: TextSpec, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_DEVIATION)
        self.place = nn.Parameter(PLACE_DEVIATION * torch.randn(spec.tokens, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            tokens: int32 (N, L), zeros after the text; in training L may be smaller.

        Returns:
            float32 (N, K).
        """
        return by_length(lambda some: self.outputs_of(self._mean(some)), tokens)

    def last_features(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L) to features of whole texts (N, W)."""
        return by_length(self._mean, tokens)

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, W) to outputs (N, K)."""
        outputs: Tensor = self.head(self.dropout(features))
        return outputs

    def _mean(self, tokens: Tensor) -> Tensor:
        present = (tokens > 0).float()
        x = self.dropout(self.embedding(tokens.long()) + self.place[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x, present)
        present = present[:, :, None]
        mean: Tensor = (self.norm(x) * present).sum(1) / present.sum(1).clamp_min(1.0)
        return mean


class Block(nn.Module):
    """Attention, then two layers at each place; both are added to what they take."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm, self.layers_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Map (N, L, W) to the same shape; `present` (N, L) is 0 at padding, else 1."""
        x = x + self.dropout(self._attend(self.attention_norm(x), present))
        widened = functional.relu(self.widen(self.layers_norm(x)))
        added: Tensor = x + self.dropout(self.narrow(self.dropout(widened)))
        return added

    def projections(self) -> Projections:
        """Give the layers before and after the heads."""
        return Projections((self.query, self.key, self.value), self.output)

    def _attend(self, x: Tensor, present: Tensor) -> Tensor:
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5)
        shares = scores.softmax(-1) * present[:, None, None]
        shares = shares / shares.sum(-1, keepdim=True).clamp_min(1e-20)
        attended: Tensor = self.output((shares @ value).transpose(1, 2).flatten(2))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """Map (N, L, H S) to (N, H, L, S)."""
        return torch.unflatten(x, 2, (self.heads, -1)).transpose(1, 2)
