"""A bag of word pieces and their neighbours: one table of numbers, one weighted sum.

Pieces and runs of two, three or four of them each have a row of a table; a run's row is found by
hashing inside the graph. Rows are summed and divided by the root of their number, so that long
texts do not outweigh short ones. Learns best by plain SGD: Adam gives rare rows too large steps.
While it is trained, a piece may have the rows of its runs of letters too (`spelling`).

Shapes: N texts, L tokens, M pieces and runs of a text, R rows, W numbers per row, K outputs.

Source: A. Joulin, E. Grave, P. Bojanowski and T. Mikolov, "Bag of tricks for efficient text
classification", 2016. Changed: the root of the number in the place of the number.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from msgspec import Meta
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.specs import TextSpec, Value
from diptych.training.models.spelling import letter_rows

MULTIPLIERS = (31_337, 24_251, 19_867, 28_099)
"""Below 2**15, so that a product with a token is below 2**30."""
MASK = (1 << 24) - 1
"""OpenVINO takes remainders in float32, which is exact below 2**24 only."""
LEAST_BUCKETS = 1_021
HEAD_GAIN = 8.0
"""Rows learn by small steps, and from few texts each: the head makes them count."""


class NgramsConfig(Value, tag_field="name", tag="ngrams"):
    """The shape of a bag.

    `orders` is the longest run of pieces, `buckets` the number of rows that runs share (best a
    prime, for then all of a hash counts), `width` the numbers per row, as many as outputs at most;
    one linear layer makes the outputs of them, and is learned only where they are fewer. `letters`
    is the longest run of letters that pieces are learned by, which has no part in the size; 0 for
    none.
    """

    orders: Annotated[int, Meta(ge=1, le=4)] = 3
    buckets: Annotated[int, Meta(ge=1, lt=1 << 24)] = 131_071
    width: Annotated[int, Meta(ge=1, le=1024)] = 16
    letters: Annotated[int, Meta(ge=0, le=16)] = 0

    def scaled(self, factor: float) -> "NgramsConfig":
        """Make the table smaller or larger.

        Args:
            factor: What to multiply the number of buckets by; odd, and at least 1,021.

        Returns:
            The scaled shape.
        """
        buckets = max(LEAST_BUCKETS, int(self.buckets * factor) | 1)
        return replace(self, buckets=buckets)


class Ngrams(nn.Module):
    """Token numbers in, outputs out.

    Args:
        config: The shape of the bag.
        spec: The texts it takes.
        outputs: K.
    """

    letters: Tensor | None
    shares: Tensor

    def __init__(self, config: NgramsConfig, spec: TextSpec, outputs: int) -> None:
        super().__init__()
        self.orders, self.buckets, self.pieces = config.orders, config.buckets, spec.vocabulary
        self.longest = config.letters
        self.register_buffer("letters", None, persistent=False)
        self.register_buffer("shares", torch.zeros(0, 1), persistent=False)
        width = min(config.width, outputs)
        self.table = nn.Embedding(spec.vocabulary + config.buckets, width)
        self.head = nn.Linear(width, outputs)
        nn.init.zeros_(self.table.weight)
        nn.init.orthogonal_(self.head.weight, gain=HEAD_GAIN)
        self.head.weight.requires_grad_(width < outputs)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            tokens: int32 (N, L), zeros after the text; in training L may be smaller.

        Returns:
            float32 (N, K).
        """
        return self.outputs_of(self.last_features(tokens))

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, W) to outputs (N, K)."""
        outputs: Tensor = self.head(features)
        return outputs

    def last_features(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L) to features of whole texts (N, W)."""
        rows = self.rows(tokens)
        present = (rows > 0).float()
        total = (self.table(rows.long()) * present[:, :, None]).sum(1)
        if self.letters is not None:
            used, places = torch.unique(tokens.long(), return_inverse=True)
            total = total + self._spelled(self.letters[used], self.shares[used])[places].sum(1)
        length = present.sum(1, keepdim=True).clamp_min(1.0).sqrt()
        features: Tensor = total / length
        return features

    def rows(self, tokens: Tensor) -> Tensor:
        """Find the row of each piece and of each run.

        Args:
            tokens: int32 (N, L), zeros after the text.

        Returns:
            int32 (N, M) below the number of rows; 0 where there is no run.
        """
        found, hashed = [tokens], tokens * MULTIPLIERS[0]
        for order in range(1, min(self.orders, tokens.shape[1])):
            last = tokens[:, order:]
            hashed = (hashed[:, :-1] & MASK) + last * MULTIPLIERS[order]
            run = self.pieces + (hashed & MASK) % self.buckets
            found.append(torch.where(last > 0, run, 0))
        return torch.cat(found, 1)

    def learn_spelling(self, pieces: Sequence[str]) -> None:
        """Take in how pieces are spelled, where they are learned by letters.

        Args:
            pieces: Their spelling, one for each of the vocabulary.
        """
        if self.longest:
            rows = letter_rows(pieces, self.longest, self.pieces, self.buckets)
            self.letters = torch.from_numpy(rows)
            counts = (self.letters > 0).sum(1, keepdim=True)
            self.shares = (counts > 0) / counts.clamp_min(1).sqrt()

    def fold(self) -> None:
        """Add what was learned of letters to the pieces' own rows, and forget the letters."""
        if self.letters is not None:
            spelled = self._spelled(self.letters, self.shares).detach()
            self.table.weight.data[: self.pieces] += spelled
            self.letters = None

    def unfold(self) -> None:
        """Take what letters tell out of the pieces' own rows, as it was before `fold`."""
        if self.letters is not None:
            spelled = self._spelled(self.letters, self.shares).detach()
            self.table.weight.data[: self.pieces] -= spelled

    def _spelled(self, letters: Tensor, shares: Tensor) -> Tensor:
        """Return what letters tell of pieces: (U, R) to (U, W)."""
        weight = self.table.weight
        summed = functional.embedding_bag(letters, weight, mode="sum", padding_idx=0)
        return summed * shares
