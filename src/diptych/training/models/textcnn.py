"""A convolutional network over word pieces: each channel looks for a run, wherever it is.

Runs of each length have their own channels; the strongest answer of each over the text counts.

Shapes: N texts, L tokens, W numbers per token, C channels, K outputs.

Source: Y. Kim, "Convolutional neural networks for sentence classification", 2014. Changed: tokens
are embedded anew, without vectors from elsewhere; dropout of embeddings too. Learns best by plain
descent: with Adam it knew rare words by heart (accuracy on 500 new questions of 6 kinds 86.6 %, not
89.0 %).
"""

from typing import Annotated

from msgspec import Meta
from torch import Tensor, cat, nn
from torch.nn import functional

from diptych.core.specs import TextSpec, Value
from diptych.training.models.lengths import by_length

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
EMBEDDING_DEVIATION = 0.025
EMBEDDING_GAIN = 4.0
"""Rows of the table are seen rarely: the gain lets plain descent move them as far as layers."""
STEP = 16


class TextConvolutionConfig(Value, tag_field="name", tag="text-convolution"):
    """The shape of a network.

    `width` is numbers per token, `channels` those for each of the lengths of `runs`; `dropout` is
    the share of channels left out in training, half of it that of embeddings.
    """

    width: Annotated[int, Meta(ge=1, le=4096)] = 96
    channels: Annotated[int, Meta(ge=1, le=4096)] = 96
    runs: Annotated[tuple[Annotated[int, Meta(ge=1, le=16)], ...], Meta(min_length=1)] = (
        1,
        2,
        3,
        4,
    )
    dropout: Share = 0.4

    def scaled(self, factor: float) -> "TextConvolutionConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply widths by; they stay multiples of 16.

        Returns:
            The scaled shape, for runs of the same lengths.
        """
        width, channels = (
            STEP * max(1, round(number * factor / STEP)) for number in (self.width, self.channels)
        )
        return TextConvolutionConfig(
            width=width, channels=channels, runs=self.runs, dropout=self.dropout
        )


class TextConvolution(nn.Module):
    """Token numbers in, outputs out.

    Args:
        config: The shape of the network.
        spec: The texts it takes.
        outputs: K.
    """

    def __init__(self, config: TextConvolutionConfig, spec: TextSpec, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_DEVIATION)
        self.lengths = config.runs
        self.runs = nn.ModuleList(nn.Conv1d(config.width, config.channels, n) for n in config.runs)
        self.embedding_dropout = nn.Dropout(config.dropout / 2)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.channels * len(config.runs), outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            tokens: int32 (N, L), zeros after the text; in training L may be smaller.

        Returns:
            float32 (N, K).
        """
        return by_length(lambda some: self.outputs_of(self._strongest(some)), tokens)

    def last_features(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L) to features of whole texts (N, C)."""
        return by_length(self._strongest, tokens)

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, C) to outputs (N, K)."""
        outputs: Tensor = self.head(self.dropout(features))
        return outputs

    def _strongest(self, tokens: Tensor) -> Tensor:
        present = (tokens > 0).float()[:, None]
        embedded = self.embedding_dropout(EMBEDDING_GAIN * self.embedding(tokens.long()))
        embedded = embedded.transpose(1, 2) * present  # (N, W, L)
        strongest = [
            (functional.relu(run(_padded(embedded, length))) * present).amax(2)
            for run, length in zip(self.runs, self.lengths, strict=True)
        ]
        return cat(strongest, 1)


def _padded(x: Tensor, length: int) -> Tensor:
    """Return (N, W, L) with zeros on both sides, so that runs begin at each of L places."""
    return functional.pad(x, ((length - 1) // 2, length // 2))
