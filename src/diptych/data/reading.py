"""How data is read: what a user may ask for, and what each kind of input brings to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter
from diptych.core.specs import ImageSpec, InputSpec, Notation, TextSpec
from diptych.core.values import Assets, Goal, Skipped
from diptych.data.raw import RawSplit
from diptych.tasks.own import Task

LEAST_SIDE, MOST_SIDE = 4, 1024


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read labelled data.

    `target` is the label's column, `target_notation` how CSV writes its numbers; `goal` what is to
    be told, inferred by default, and `order` the classes of an ordinal goal from least to most.
    `spec` with `assets`, as from a bundle, say what to prepare items for; by default they are
    learned, pictures with `image_size` as their side in pixels, from 4 to 1,024, if given.
    `largest`, with `assets`, is what is learned at most: the length of texts for a tokenizer that
    is given, or the size of pictures. A `task` of the user reads and prepares its own items.
    `cache` says whether what is prepared may be kept for the next time, and taken from there.
    `validation_items` are held back of the training data where the source has no validation split:
    by default a tenth, at most 5,000. `to_score` says that a bundle shall answer the items and
    nothing is learned of them, so that any number of them will do.
    """

    seed: int = 0
    validation_items: int | None = None
    target: str | None = None
    target_notation: Notation = "1234.5"
    goal: Goal | None = None
    order: tuple[str, ...] | None = None
    image_size: int | None = None
    spec: InputSpec | None = None
    largest: TextSpec | ImageSpec | None = None
    assets: Assets = field(default_factory=dict)
    skip_unreadable: bool = False
    task: Task | None = None
    cache: bool = True
    to_score: bool = False

    def __post_init__(self) -> None:
        """Check the range of the size.

        Raises:
            ConfigError: If `image_size` is out of range.
        """
        if self.image_size is not None and not LEAST_SIDE <= self.image_size <= MOST_SIDE:
            raise ConfigError(
                f"image size {self.image_size} is out of range",
                f"choose {LEAST_SIDE} to {MOST_SIDE} pixels",
            )


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What items are prepared for; `facts` are lines for people about what was seen."""

    spec: InputSpec
    assets: Assets = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Decoded = tuple[np.ndarray, np.ndarray, list[Skipped]]
"""Prepared items (M, ...), their numbers in the split (M,), and those that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One kind of input: its items' `noun`, what is learned from splits, and preparing one split.

    `learn` looks at all splits for what must fit them all, and learns from ``train`` alone.
    """

    noun: str
    learn: Callable[[Mapping[str, RawSplit], Options, Reporter], Learned]
    decode: Callable[[str, RawSplit, InputSpec, Assets, Reporter], Decoded]
