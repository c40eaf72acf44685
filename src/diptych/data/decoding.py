"""Going through the items of a split that are files: in a few threads, errors kept per item."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step
from diptych.core.specs import TensorSpec
from diptych.core.values import Skipped
from diptych.data.raw import Content, RawSplit
from diptych.data.reading import Decoded

Result = TypeVar("Result")
MAX_THREADS = 8
CHUNK_ITEMS = 32


def each(
    split: RawSplit, work: Callable[[Content, str], Result], stage: str, report: Reporter
) -> Iterator[Result | DataError]:
    """Work on every item.

    Args:
        split: The split as read; its contents are an array, files or their content.
        work: Takes an item's content and name.
        stage: What this is called in progress.
        report: Told how far it is.

    Yields:
        The result of each item, or the error it raised, in order.
    """

    def attempt(pairs: Sequence[tuple[Content, str]]) -> list[Result | DataError]:
        return [_caught(work, content, item) for content, item in pairs]

    done, total = 0, len(split.items)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
        for batch in split.batches():
            pairs = list(zip(batch, split.items[done : done + len(batch)], strict=True))
            chunks = [pairs[at : at + CHUNK_ITEMS] for at in range(0, len(pairs), CHUNK_ITEMS)]
            for results in pool.map(attempt, chunks):
                yield from results
            done += len(batch)
            report(Step(stage=stage, done=done, total=total))


def decode_each(
    split: RawSplit,
    tensor: TensorSpec,
    make: Callable[[Content, str], np.ndarray],
    stage: str,
    report: Reporter,
) -> Decoded:
    """Prepare every item.

    Args:
        split: The split as read.
        tensor: What the prepared items are.
        make: Prepares an item, given its content and name.
        stage: What this is called in progress.
        report: Told how far it is.

    Returns:
        Those that can be read (M, ...), their numbers (M,), and those that cannot, with the reason.
    """
    rows = np.arange(len(split.items))
    shape = [len(rows), *(size or 0 for size in tensor.shape[1:])]
    inputs = arrays.empty(shape, tensor.dtype)
    part = arrays.items_per_part(inputs)
    readable = np.ones(len(rows), dtype=bool)
    skipped = []
    for row, made in enumerate(each(split, make, stage, report)):
        if isinstance(made, DataError):
            reason = made.message.removeprefix(split.items[row]).strip()
            skipped.append(Skipped(item=split.items[row], reason=reason))
            readable[row] = False
        else:
            inputs[row] = made
        if row % part == 0:
            arrays.release(inputs)
    rows = rows[readable]
    return (arrays.take(inputs, rows) if skipped else inputs), rows, skipped


def _caught(
    work: Callable[[Content, str], Result], content: Content, item: str
) -> Result | DataError:
    try:
        return work(content, item)
    except DataError as error:
        return error
