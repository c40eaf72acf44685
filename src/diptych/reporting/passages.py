"""Texts with their words marked by how much each speaks for the answer.

A token speaks for an answer as much as the answer loses without it: when the token is replaced by
an unknown one. Shapes: L tokens, K outputs, B batch.

Source: J. Li, W. Monroe, D. Jurafsky, "Understanding Neural Networks through Representation
Erasure", 2016 (erasing a word and taking the difference in log-odds).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.values import Goal
from diptych.tasks.classification import log_odds

Run = Callable[[np.ndarray], np.ndarray]
"""int32 (B, L) to float32 (B, K)."""

UNKNOWN_TOKEN = 1
MOST_TOKENS = 120
BATCH = 32
LEVELS = 4
LEAST_CHANGE = 0.1
"""A change of log-odds that is marked as a strong one at least; noise is not."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of text and how it is marked: -4 (speaks against) to 4 (speaks for the answer)."""

    text: str
    level: int = 0

    @property
    def space(self) -> str:
        """The space before it, which is not marked."""
        return self.text[: len(self.text) - len(self.text.lstrip())]


def marked(pieces: Sequence[str], changes: np.ndarray | None, goal: Goal) -> tuple[Piece, ...]:
    """Mark pieces of text.

    Args:
        pieces: One per token.
        changes: What the answer loses without each of the first of them, or None.
        goal: What the model tells.

    Returns:
        At most 120 pieces, and one that says so where there are more.
    """
    shown = list(pieces[:MOST_TOKENS])
    levels = [0] * len(shown) if changes is None else _levels(changes, goal)
    marks = [Piece(text=text, level=level) for text, level in zip(shown, levels, strict=True)]
    return tuple(marks + [Piece(text=" …")] * (len(pieces) > MOST_TOKENS))


def changes(run: Run, tokens: np.ndarray, goal: Goal) -> np.ndarray:
    """Measure what an answer loses without each token.

    Args:
        run: The model.
        tokens: int32 (L,), those before the padding first.
        goal: What the model tells: the likeliest class, the likeliest label, or a number.

    Returns:
        float64, one for each of the first 120 tokens: log-odds of the answer, or the number itself.
    """
    places = np.flatnonzero(tokens)[:MOST_TOKENS]
    rows = np.repeat(tokens[None], len(places) + 1, axis=0)
    rows[np.arange(1, len(rows)), places] = UNKNOWN_TOKEN
    parts = [run(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    strengths = _strengths(np.concatenate(parts), goal)
    return np.asarray(strengths[0] - strengths[1:])


def _strengths(outputs: np.ndarray, goal: Goal) -> np.ndarray:
    """Return how strongly each row tells what the first one tells: (B, K) to (B,)."""
    answer = outputs[0].argmax()
    if goal in {"classification", "ordinal"}:
        return log_odds(outputs)[:, answer]
    return outputs[:, answer].astype(np.float64)


def _levels(changes: np.ndarray, goal: Goal) -> list[int]:
    least = np.finfo(np.float64).tiny if goal == "regression" else LEAST_CHANGE
    top = max(float(np.abs(changes).max(initial=0.0)), least)
    return [round(level) for level in (LEVELS * changes / top).tolist()]
