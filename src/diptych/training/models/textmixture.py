"""A bag of runs and convolutions over runs, whose outputs are averaged: they err differently.

In training each answers for itself, so that the one does not lean on the other.

Shapes: N texts, L tokens, K outputs.
"""

import torch
from msgspec import field
from torch import Tensor, nn

from diptych.core.specs import TextSpec, Value
from diptych.training.models.ngrams import Ngrams, NgramsConfig
from diptych.training.models.textcnn import TextConvolution, TextConvolutionConfig


class TextMixtureConfig(Value, tag_field="name", tag="text-mixture"):
    """The shapes of both members."""

    bag: NgramsConfig = field(default_factory=NgramsConfig)
    convolution: TextConvolutionConfig = field(default_factory=TextConvolutionConfig)

    def scaled(self, factor: float) -> "TextMixtureConfig":
        """Make both members smaller or larger.

        Args:
            factor: What to multiply the number of buckets and widths by.

        Returns:
            The scaled shapes.
        """
        return TextMixtureConfig(
            bag=self.bag.scaled(factor), convolution=self.convolution.scaled(factor)
        )


class TextMixture(nn.Module):
    """Token numbers in, outputs out.

    Args:
        config: The shapes of both members.
        spec: The texts it takes.
        outputs: K.
    """

    def __init__(self, config: TextMixtureConfig, spec: TextSpec, outputs: int) -> None:
        super().__init__()
        self.bag = Ngrams(config.bag, spec, outputs)
        self.convolution = TextConvolution(config.convolution, spec, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            tokens: int32 (N, L), zeros after the text; in training L may be smaller.

        Returns:
            float32 (N, K); in training those of each member, (N, 2, K).
        """
        return self._joined(self.bag(tokens), self.convolution(tokens))

    def last_features(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L) to features of whole texts (N, C): the bag's, then the other's."""
        return torch.cat(
            [self.bag.last_features(tokens), self.convolution.last_features(tokens)], 1
        )

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, C) to outputs (N, K), in training (N, 2, K)."""
        width = self.bag.head.in_features
        bag, convolution = features[:, :width], features[:, width:]
        return self._joined(self.bag.outputs_of(bag), self.convolution.outputs_of(convolution))

    def _joined(self, bag: Tensor, convolution: Tensor) -> Tensor:
        if self.training:
            return torch.stack([bag, convolution], 1)
        mean: Tensor = (bag + convolution) / 2
        return mean
