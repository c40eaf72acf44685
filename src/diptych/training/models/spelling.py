"""How pieces of words are spelled: the runs of letters in each, as rows of a table that they share.

Pieces that are spelled alike then learn together: a rare word from the frequent ones that it
begins or ends like. Once learned, a piece's runs of letters are added to its own row, so that a
trained network is as small and as fast as one that knows no letters.

Shapes: V pieces, R runs of letters.

Source: P. Bojanowski, E. Grave, A. Joulin and T. Mikolov, "Enriching word vectors with subword
information", 2017. Changed: of word pieces; added to the pieces' rows after training.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable
from zlib import crc32

import numpy as np
from torch import nn

from diptych.core.specs import TextSpec
from diptych.core.values import Dataset
from diptych.tasks.text import pieces

SHORTEST = 3
MOST_RUNS = 40


@runtime_checkable
class Spelled(Protocol):
    """A part of a network that learns by letters too."""

    def learn_spelling(self, pieces: Sequence[str]) -> None:
        """Take in how each of V pieces is spelled."""
        ...

    def fold(self) -> None:
        """Add what was learned of letters to the pieces' own rows, and forget the letters."""
        ...

    def unfold(self) -> None:
        """Take what letters tell out of the pieces' own rows, as it was before `fold`."""
        ...


def teach_spelling(network: nn.Module, dataset: Dataset) -> None:
    """Tell each part of a network that learns by letters how pieces are spelled.

    Args:
        network: Any network; one without such a part stays as it is.
        dataset: What it is trained on; of texts where there is such a part.
    """
    for part in network.modules():
        if isinstance(part, Spelled) and isinstance(dataset.spec, TextSpec) and dataset.assets:
            part.learn_spelling(pieces(dataset.spec, dataset.assets))


def fold_spelling(network: nn.Module) -> None:
    """Make a trained network do without letters; its answers stay the same.

    Args:
        network: Any network, changed in place.
    """
    for part in network.modules():
        if isinstance(part, Spelled):
            part.fold()


def letter_rows(pieces: Sequence[str], longest: int, first: int, buckets: int) -> np.ndarray:
    """Find the rows of the runs of letters in each piece.

    Args:
        pieces: V, with a sign in front of those that begin a word.
        longest: Letters in the longest run; the shortest has 3.
        first: The first row for runs, at least 1.
        buckets: How many rows they share.

    Returns:
        int32 (V, R), from `first` to `first` + `buckets` - 1, then zeros; at most 40 of a piece.
    """
    found = [_runs(piece, longest) for piece in pieces]
    rows = np.zeros((len(found), max(1, *map(len, found))), dtype=np.int32)
    for row, runs in zip(rows, found, strict=True):
        row[: len(runs)] = [first + crc32(run.encode()) % buckets for run in runs]
    return rows


def _runs(piece: str, longest: int) -> list[str]:
    lengths = range(SHORTEST, min(longest, len(piece)) + 1)
    runs = (piece[i : i + n] for n in lengths for i in range(len(piece) - n + 1))
    return [run for run, _ in zip(runs, range(MOST_RUNS), strict=False)]
