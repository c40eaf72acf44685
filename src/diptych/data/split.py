"""Splits: what is missing is taken from the training data, class by class, by the seed."""

from collections.abc import Mapping

import numpy as np

from diptych.core.seeds import generator
from diptych.core.values import Split

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
VALIDATION_MOST = 5_000


def complete(given: Mapping[str, Split], seed: int) -> tuple[dict[str, Split], str]:
    """Make the splits that are missing; test first, then validation from what is left.

    Args:
        given: ``train``, and ``validation`` and ``test`` where the source has them; where one is
            missing, no class of ``train`` has fewer items than there are splits to be made of it.
        seed: The root seed.

    Returns:
        All three splits, and how they were made, in words.
    """
    splits = dict(given)
    words = []
    for name, share, most in (
        ("test", TEST_SHARE, None),
        ("validation", VALIDATION_SHARE, VALIDATION_MOST),
    ):
        if name in given:
            words.append(f"{name} as given")
            continue
        kept, taken = stratified(
            splits["train"].targets, share, generator(seed, "data", "split", name), most
        )
        splits[name], splits["train"] = take(splits["train"], taken), take(splits["train"], kept)
        limit = f", at most {most:,}" if most else ""
        part = f"{100 * share:.0f} %{limit}: {len(taken):,} items"
        words.append(f"{name} taken from train ({part}), stratified by class, seed {seed}")
    return splits, "; ".join(words)


def stratified(
    targets: np.ndarray, share: float, random: np.random.Generator, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide items in two so that every class is in both parts, in proportion.

    Args:
        targets: (N,) class numbers; each class that occurs has two items or more.
        share: The share to take, from 0 to 1.
        random: Decides which items are taken.
        most: Take no more than this, if that leaves one of every class.

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
        sizes: (K,) items in each class, each 2 or more.
        wanted: How many in all.

    Returns:
        (K,) counts, each from 1 to the class's size less 1; their sum is at most `wanted` or K.
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
    items = tuple(split.items[row] for row in rows.tolist())
    return Split(inputs=split.inputs[rows], targets=split.targets[rows], items=items)
