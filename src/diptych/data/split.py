"""Splits: what is missing is taken from the training data, stratum by stratum, by the seed.

A stratum is a class, a tenth of the range of a number by rank, or the rarest label of an item.
"""

from collections.abc import Mapping

import numpy as np

from diptych.core import arrays
from diptych.core.seeds import generator
from diptych.core.values import Goal, Split

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
VALIDATION_MOST = 5_000
VALIDATION_MOST_SHARE = 0.5
NUMBER_STRATA = 10
LEAST_IN_STRATUM = 3
STRATA: dict[Goal, str] = {
    "classification": "class",
    "multi-label": "rarest label",
    "ordinal": "class",
    "regression": "tenths of the target",
}


def complete(
    given: Mapping[str, Split],
    seed: int,
    goal: Goal = "classification",
    validation_items: int | None = None,
) -> tuple[dict[str, Split], str]:
    """Make the splits that are missing; test first, then validation from what is left.

    Args:
        given: ``train``, and ``validation`` and ``test`` where the source has them. A class of
            fewer items than there are splits to be made of it is absent from some.
        seed: The root seed.
        goal: What the targets are.
        validation_items: How many items validation takes, at most half of those that there are; by
            default a tenth, at most 5,000.

    Returns:
        All three splits, and how they were made, in words.
    """
    splits = dict(given)
    words = []
    for name, share, most, wanted in (
        ("test", TEST_SHARE, None, None),
        ("validation", VALIDATION_SHARE, VALIDATION_MOST, validation_items),
    ):
        if name in given:
            words.append(f"{name} as given")
            continue
        kept, taken = stratified(
            strata(splits["train"].targets, goal),
            share if wanted is None else VALIDATION_MOST_SHARE,
            generator(seed, "data", "split", name),
            most if wanted is None else wanted,
        )
        splits[name], splits["train"] = take(splits["train"], taken), take(splits["train"], kept)
        limit = f", at most {most:,}" if most else ""
        rule = f"{100 * share:.0f} %{limit}" if wanted is None else "as asked"
        part = f"{rule}: {len(taken):,} items"
        words.append(f"{name} taken from train ({part}), stratified by {STRATA[goal]}, seed {seed}")
    return splits, "; ".join(words)


def strata(targets: np.ndarray, goal: Goal) -> np.ndarray:
    """Say which items are alike, so that each split gets its share of them.

    Args:
        targets: Of the goal: int64 (N,), float32 (N,) or float32 (N, K); N >= 1.
        goal: What they are.

    Returns:
        int64 (N,) stratum numbers: classes as they are; numbers in ten equal parts by rank; the
        rarest label that an item has, where fewer than 3 share it with the largest stratum.
    """
    if goal == "regression":
        ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
        parts = min(NUMBER_STRATA, max(1, len(targets) // NUMBER_STRATA))
        return np.asarray(ranks * parts // len(targets))
    return _rarest_label(targets) if goal == "multi-label" else targets


def _rarest_label(targets: np.ndarray) -> np.ndarray:
    has = np.concatenate([targets > 0, np.ones((len(targets), 1), bool)], axis=1)
    counts = np.where(has, has.sum(axis=0), len(targets) + 1)
    rarest = counts.argmin(axis=1)
    sizes = np.bincount(rarest)
    return np.where(sizes[rarest] < LEAST_IN_STRATUM, sizes.argmax(), rarest)


def stratified(
    targets: np.ndarray, share: float, random: np.random.Generator, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide items in two so that every stratum is in both parts, in proportion.

    Args:
        targets: (N,) stratum numbers; an item that is alone in its stratum is not taken.
        share: The share to take, from 0 to 1.
        random: Decides which items are taken.
        most: Take no more than this, if that leaves one of every stratum.

    Returns:
        The numbers of the items that stay and of those taken, each in order.
    """
    wanted = round(share * len(targets))
    wanted = wanted if most is None else min(wanted, most)
    classes, sizes = np.unique(targets, return_counts=True)
    counts = allot(sizes, wanted)
    taken = [
        random.permutation(np.flatnonzero(targets == number))[:count]
        for number, count in zip(classes, counts, strict=True)
    ]
    chosen = np.zeros(len(targets), dtype=bool)
    chosen[np.concatenate(taken)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def allot(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Divide a number over classes: one for each, the rest in proportion, by largest remainders.

    Args:
        sizes: (K,) items in each class, each 1 or more.
        wanted: How many in all.

    Returns:
        (K,) counts, each from 1 to the class's size less 1, and 0 for a class of one item; their
        sum is at most `wanted` or K.
    """
    beyond_one = np.maximum(wanted * sizes / sizes.sum() - 1, 0)
    rest = max(wanted - len(sizes), 0)
    exact = rest * beyond_one / (beyond_one.sum() or 1)
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: rest - counts.sum()]] += 1
    bounded: np.ndarray = np.minimum(1 + counts, sizes - 1)
    return bounded


def take(split: Split, rows: np.ndarray) -> Split:
    """Select items of a split.

    Args:
        split: The split.
        rows: (M,) their numbers.

    Returns:
        A split of these items.
    """
    chosen = rows.tolist()
    return Split(
        inputs=arrays.take(split.inputs, rows),
        targets=split.targets[rows],
        items=tuple(split.items[row] for row in chosen),
        originals=split.originals and tuple(split.originals[row] for row in chosen),
    )
