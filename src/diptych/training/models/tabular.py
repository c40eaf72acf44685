"""A network for rows of a table: embedded numbers and words, and a perceptron of several members.

A number becomes its place between knots, one value from 0 to 1 per piece, or waves of it
(`periodic`), and these a few learned features, with no harm from outliers or skew. A missing number
has a feature of its own. Members share all weights but the sign with which each takes a feature,
and their heads; they are trained side by side and answer with their mean.

Shapes: N rows, C columns, of these A numbers or dates and B categories, T pieces, P places (T
pieces or 2 V waves), D features of a number, E features of a word, F = A D + B E features, M
members, W width, K outputs.

Source: Y. Gorishniy et al., "On embeddings for numerical features in tabular deep learning", 2022
(piecewise linear encoding), and "TabM", 2024 (the variant with one adapter before a shared
perceptron). Changed: knots also between rare values; missing and unseen values.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from msgspec import Meta
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.specs import CategoryColumn, TableSpec, Value
from diptych.training.models.knots import knots
from diptych.training.models.periodic import Periodic

Width = Annotated[int, Meta(ge=1, le=4096)]
LARGEST = 1e37
FILLING = 16


class TabularConfig(Value, tag_field="name", tag="tabular"):
    """The shape of a network.

    `widths` are those of the hidden layers. A number is cut into `pieces` and becomes
    `number_width` features, a word `category_width`. An embedding by ``periodic`` makes `waves` of
    each number, first of frequencies that deviate from 0 by `wave_deviation`. `members` is the size
    of the ensemble. `dropout` is the share of hidden values that are left out in training.
    """

    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=16)] = (256, 256)
    members: Annotated[int, Meta(ge=1, le=256)] = 1
    pieces: Annotated[int, Meta(ge=1, le=1024)] = 64
    embedding: Literal["knots", "periodic"] = "knots"
    waves: Annotated[int, Meta(ge=1, le=1024)] = 24
    wave_deviation: Annotated[float, Meta(gt=0.0, le=100.0)] = 0.1
    number_width: Width = 16
    category_width: Width = 8
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.1

    def scaled(self, factor: float) -> "TabularConfig":
        """Make the hidden layers narrower or wider.

        Args:
            factor: What to multiply every width by; widths become multiples of 16.

        Returns:
            The scaled shape.
        """
        widths = tuple(FILLING * max(1, round(width * factor / FILLING)) for width in self.widths)
        return replace(self, widths=widths)


class Tabular(nn.Module):
    """Prepared rows in, outputs out.

    Args:
        config: The shape of the network.
        spec: The columns it takes.
        outputs: K.
    """

    signs: nn.Parameter | None

    def __init__(self, config: TabularConfig, spec: TableSpec, outputs: int) -> None:
        super().__init__()
        words = [isinstance(column, CategoryColumn) for column in spec.columns]
        sizes = [len(c.values) for c in spec.columns if isinstance(c, CategoryColumn)]
        numbers = [place for place, word in enumerate(words) if not word]
        self.numbers = Numbers(config, numbers) if numbers else None
        categories = [place for place, word in enumerate(words) if word]
        self.categories = Categories(config, categories, sizes) if categories else None
        features = len(numbers) * config.number_width + len(categories) * config.category_width
        self.signs = None
        if config.members > 1:
            self.signs = nn.Parameter(torch.randint(0, 2, (config.members, features)) * 2.0 - 1)
        widths = (features, *config.widths)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.Parameter(torch.randn(config.members, widths[-1], outputs))
        self.heads.data /= math.sqrt(widths[-1])
        self.bias = nn.Parameter(torch.zeros(config.members, outputs))

    def forward(self, columns: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            columns: float32 (N, C).

        Returns:
            (N, K); while it is trained and has several members, (N, M, K).
        """
        parts = [part(columns) for part in (self.numbers, self.categories) if part is not None]
        x = torch.cat(parts, 1)  # (N, F)
        if self.signs is not None:
            x = x[:, None, :] * self.signs  # (N, M, F)
        for layer in self.layers:
            x = self.dropout(functional.relu(layer(x)))
        if self.training and self.signs is not None:
            return torch.einsum("nmw,mwk->nmk", x, self.heads) + self.bias
        heads = self.heads.flatten(0, 1) / len(self.heads)  # (M W, K)
        return x.flatten(1) @ heads + self.bias.mean(0)

    def learn_scaling(self, inputs: Tensor) -> None:
        """Learn the knots of numbers from training rows.

        Args:
            inputs: float32 (N, C).
        """
        if self.numbers is not None:
            self.numbers.learn_knots(inputs.numpy())


class Numbers(nn.Module):
    """Columns of numbers to features; a missing one has a feature of its own.

    Args:
        config: Pieces and features of a number.
        places: A places among the C columns.
    """

    places: Tensor
    starts: Tensor
    slopes: Tensor

    def __init__(self, config: TabularConfig, places: list[int]) -> None:
        super().__init__()
        count, pieces, width = len(places), config.pieces, config.number_width
        self.register_buffer("places", torch.tensor(places))
        self.register_buffer("starts", torch.zeros(count, pieces))
        self.register_buffer("slopes", torch.zeros(count, pieces))
        self.periodic: Periodic | None = None
        if config.embedding == "periodic":
            self.periodic = Periodic(count, pieces, config.waves, config.wave_deviation)
        places_of_one = pieces if self.periodic is None else 2 * config.waves
        weight = torch.randn(count, places_of_one + 1, width) / math.sqrt(places_of_one)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(count, width))

    def forward(self, columns: Tensor) -> Tensor:
        """Map (N, C) to (N, A D)."""
        values = columns.index_select(1, self.places)
        missing = values.isnan()
        values = torch.where(missing, self.starts[:, 0], values).clamp(-LARGEST, LARGEST)
        pieces = ((values[..., None] - self.starts) * self.slopes).clamp(0, 1)  # (N, A, T)
        if self.periodic is not None:
            waves = self.periodic(pieces)  # (N, A, 2 V)
            pieces = torch.where(missing[..., None], 0.0, waves)
        places = torch.cat([pieces, missing[..., None].float()], 2)  # (N, A, P + 1)
        if self.training:
            features = torch.einsum("nat,atd->nad", places, self.weight)
        else:  # in float also where products of matrices are in 8 bits, which are too few here
            features = (places[..., None] * self.weight).sum(2)
        return functional.relu(features + self.bias).flatten(1)

    def learn_knots(self, rows: np.ndarray) -> None:
        """Cut each column where its values are.

        Args:
            rows: float32 (N, C).
        """
        self.starts.zero_()
        self.slopes.zero_()
        for place, column in enumerate(self.places.tolist()):
            found = knots(rows[:, column], self.starts.shape[1])
            if self.periodic is not None:
                self.periodic.learn_heights(place, rows[:, column], found)
            cuts = torch.from_numpy(found).float()
            if len(cuts) > 1:
                self.starts[place] = cuts[0]
                self.starts[place, : len(cuts) - 1] = cuts[:-1]
                self.slopes[place, : len(cuts) - 1] = 1 / cuts.diff().clamp_min(1 / LARGEST)


class Categories(nn.Module):
    """Columns of words to features; 0, missing or unseen, is the origin until it is learned.

    Args:
        config: Features of a word.
        places: B places among the C columns.
        sizes: How many words each knows.
    """

    places: Tensor
    sizes: Tensor
    offsets: Tensor

    def __init__(self, config: TabularConfig, places: list[int], sizes: list[int]) -> None:
        super().__init__()
        offsets = np.cumsum([0, *(size + 1 for size in sizes)])
        self.register_buffer("places", torch.tensor(places))
        self.register_buffer("sizes", torch.tensor(sizes))
        self.register_buffer("offsets", torch.from_numpy(offsets[:-1]))
        words = torch.randn(int(offsets[-1]), config.category_width) / config.category_width**0.5
        words[self.offsets] = 0
        self.words = nn.Parameter(words)

    def forward(self, columns: Tensor) -> Tensor:
        """Map (N, C) to (N, B E)."""
        numbers = columns.index_select(1, self.places).long()
        numbers = torch.minimum(numbers.clamp_min(0), self.sizes)
        return functional.embedding(numbers + self.offsets, self.words).flatten(1)
